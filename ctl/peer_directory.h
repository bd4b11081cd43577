// PeerDirectory: which user is behind which connection, for the audit log and
// for the holder that `lock show` names.
//
// Any thread may call. Never used to decide what a caller may do: that is
// settled when a connection is accepted, by the server that it is given to.

#ifndef CTL_PEER_DIRECTORY_H_
#define CTL_PEER_DIRECTORY_H_

#include <cstdint>
#include <map>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace tunnel::ctl {

class PeerDirectory {
 public:
  struct Peer {
    uint32_t uid = 0;
    int32_t pid = 0;
  };

  // Connection `fd` belongs to `peer`. A number that the system has given out
  // anew replaces the old entry.
  void Add(int fd, Peer peer);
  void Remove(int fd);

  // `grpc_peer` as ServerContext::peer() has it ("fd:12"). An unknown
  // connection, one that has just ended, is user 65534 (nobody), process 0.
  Peer Find(absl::string_view grpc_peer) const;

 private:
  mutable absl::Mutex mu_;
  std::map<int, Peer> peers_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tunnel::ctl

#endif  // CTL_PEER_DIRECTORY_H_
