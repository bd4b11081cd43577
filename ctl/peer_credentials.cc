#include "ctl/peer_credentials.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tunnel::ctl {
namespace {

absl::Status SystemError(absl::string_view what) {
  return absl::FailedPreconditionError(
      absl::StrCat(what, ": ", strerror(errno)));
}

}  // namespace

absl::StatusOr<PeerCredentials> ReadPeerCredentials(int fd) {
  ucred cred{};
  socklen_t length = sizeof(cred);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) != 0) {
    return SystemError("SO_PEERCRED");
  }
  PeerCredentials peer;
  peer.uid = cred.uid;
  peer.pid = cred.pid;
  // ERANGE tells the size; the list of a connected peer does not change.
  std::vector<gid_t> extra(32);
  length = extra.size() * sizeof(gid_t);
  int rc = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, extra.data(), &length);
  if (rc != 0 && errno == ERANGE) {
    extra.resize(length / sizeof(gid_t));
    rc = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, extra.data(), &length);
  }
  // ENODATA: the peer has no supplementary group list.
  if (rc != 0 && errno != ENODATA) return SystemError("SO_PEERGROUPS");
  if (rc != 0) length = 0;
  extra.resize(length / sizeof(gid_t));
  peer.groups.push_back(cred.gid);
  peer.groups.insert(peer.groups.end(), extra.begin(), extra.end());
  return peer;
}

Access JudgeAccess(const AccessPolicy& policy, const PeerCredentials& peer) {
  const auto in = [&](const std::optional<gid_t>& group) {
    return group && std::find(peer.groups.begin(), peer.groups.end(), *group) !=
                        peer.groups.end();
  };
  if (peer.uid == 0 || peer.uid == policy.own_uid || in(policy.admin_group)) {
    return Access::kFull;
  }
  return in(policy.read_only_group) ? Access::kReadOnly : Access::kNone;
}

}  // namespace tunnel::ctl
