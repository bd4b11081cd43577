// Who is at the other end of a unix socket, by the kernel's word, and what that
// user may do.

#ifndef CTL_PEER_CREDENTIALS_H_
#define CTL_PEER_CREDENTIALS_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"

namespace tunnel::ctl {

struct PeerCredentials {
  uint32_t uid = 0;
  int32_t pid = 0;
  std::vector<gid_t> groups;  // the primary one first
};

// What the peer of a connected unix socket was when it connected. Errors:
// FailedPrecondition with the words of the system.
absl::StatusOr<PeerCredentials> ReadPeerCredentials(int fd);

enum class Access { kNone, kReadOnly, kFull };

struct AccessPolicy {
  uint32_t own_uid = 0;                  // of the daemon: full, as is uid 0
  std::optional<gid_t> admin_group;      // full
  std::optional<gid_t> read_only_group;  // reads
};

Access JudgeAccess(const AccessPolicy& policy, const PeerCredentials& peer);

}  // namespace tunnel::ctl

#endif  // CTL_PEER_CREDENTIALS_H_
