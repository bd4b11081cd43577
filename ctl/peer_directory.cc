#include "ctl/peer_directory.h"

#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"

namespace tunnel::ctl {
namespace {

constexpr PeerDirectory::Peer kUnknown = {65534, 0};

}  // namespace

void PeerDirectory::Add(int fd, Peer peer) {
  absl::MutexLock lock(&mu_);
  peers_[fd] = peer;
}

void PeerDirectory::Remove(int fd) {
  absl::MutexLock lock(&mu_);
  peers_.erase(fd);
}

PeerDirectory::Peer PeerDirectory::Find(absl::string_view grpc_peer) const {
  int fd = 0;
  if (!absl::ConsumePrefix(&grpc_peer, "fd:") ||
      !absl::SimpleAtoi(grpc_peer, &fd)) {
    return kUnknown;
  }
  absl::MutexLock lock(&mu_);
  const auto found = peers_.find(fd);
  return found == peers_.end() ? kUnknown : found->second;
}

}  // namespace tunnel::ctl
