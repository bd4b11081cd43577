// ListenSocket: the daemon's unix socket in the file system.
//
// One daemon has it at a time: a lock file beside it (PATH.lock) is held for
// the whole life, so that two daemons that start together can not both take it.
// The file of a daemon that has died is replaced. The destructor removes the
// socket.
//
// Who may connect is settled twice: here, by the mode, so that a stranger gets
// EACCES from connect(2), and again by the acceptor, by credentials.

#ifndef CTL_LISTEN_SOCKET_H_
#define CTL_LISTEN_SOCKET_H_

#include <sys/types.h>

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "tunnel/base/unique_fd.h"

namespace tunnel::ctl {

class ListenSocket {
 public:
  struct Options {
    std::string path;
    // These may connect, besides the owner: by the mode if it is the admin
    // group alone, else by an access control list. Where the file system has no
    // such lists anybody may, and the acceptor alone decides.
    std::optional<gid_t> admin_group;
    std::optional<gid_t> read_only_group;
  };

  // Makes the directory (0755) if there is none, binds and listens. Errors:
  // FailedPrecondition with one sentence for the operator.
  static absl::StatusOr<ListenSocket> Open(const Options& options);

  ListenSocket(ListenSocket&& other) noexcept = default;
  ListenSocket& operator=(ListenSocket&&) = delete;
  ~ListenSocket();

  // Does not block.
  int fd() const { return socket_.get(); }
  const std::string& path() const { return path_; }

 private:
  ListenSocket() = default;

  std::string path_;
  UniqueFd lock_;
  UniqueFd socket_;
};

}  // namespace tunnel::ctl

#endif  // CTL_LISTEN_SOCKET_H_
