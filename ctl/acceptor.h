// Acceptor: accepts connections, judges who is there, and counts them.
//
// One thread of its own. A connection is handed over only when its peer may
// speak to the daemon at all and neither cap is reached; all others are closed
// before anybody has read a byte. Each handed-over connection is watched
// through a duplicate descriptor until it ends, whoever ends it. Running out of
// descriptors never makes the daemon deaf: a spare one is spent to turn the
// newcomer away.

#ifndef CTL_ACCEPTOR_H_
#define CTL_ACCEPTOR_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "absl/status/statusor.h"
#include "ctl/listen_socket.h"
#include "ctl/peer_credentials.h"
#include "ctl/peer_directory.h"
#include "tunnel/base/unique_fd.h"

namespace tunnel::ctl {

class Acceptor {
 public:
  struct Options {
    AccessPolicy policy;
    size_t max_connections = 64;
    // For each uid but 0 and the daemon's own. Those two also keep the last
    // eighth of max_connections for themselves.
    size_t max_connections_per_uid = 16;
  };
  // Takes over `fd`, which does not block. `access` is never kNone. Called by
  // the acceptor's thread.
  using Handler = std::function<void(int fd, Access access)>;

  // Starts to accept at `listener`. `peers` gets an entry for each connection
  // before its handler is called. Both outlive the acceptor. Errors:
  // FailedPrecondition with the words of the system.
  static absl::StatusOr<std::unique_ptr<Acceptor>> Start(
      const ListenSocket& listener, const Options& options,
      PeerDirectory& peers, Handler handler);

  // Stops accepting; connections that were handed over live on.
  ~Acceptor();

 private:
  struct Connection {
    UniqueFd watch;  // a duplicate, to see the end
    int fd = -1;     // the number that the handler got
    uint32_t uid = 0;
  };

  Acceptor(const ListenSocket& listener, const Options& options,
           PeerDirectory& peers, Handler handler);
  absl::Status Prepare();
  void Loop();
  // False when accepting has to pause.
  bool AcceptOne();
  bool SpendReserve();
  void Consider(UniqueFd fd);
  bool HasRoom(uint32_t uid) const;
  void Register(UniqueFd fd, const PeerCredentials& peer, Access access);
  void Forget(uint64_t id);
  // `peer`: nullptr when it is not known. At most one line a second.
  void LogRefused(const char* why, const PeerCredentials* peer);

  const ListenSocket& listener_;
  const Options options_;
  PeerDirectory& peers_;
  const Handler handler_;

  UniqueFd epoll_;
  UniqueFd stop_;     // eventfd
  UniqueFd reserve_;  // given up for a moment when no descriptor is left

  // Of the thread.
  uint64_t next_id_ = 2;  // 0 and 1 are the listener and stop_ in epoll
  std::map<uint64_t, Connection> connections_;
  std::map<uint32_t, size_t> per_uid_;
  std::chrono::steady_clock::time_point last_log_{};
  uint64_t unlogged_ = 0;

  std::thread thread_;
};

}  // namespace tunnel::ctl

#endif  // CTL_ACCEPTOR_H_
