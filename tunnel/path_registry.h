// PathRegistry: the PathState of each way that a tunnel sends on.
//
// For the holder of the configuration lock. A state lives as long as a tunnel
// has it.

#ifndef TUNNEL_PATH_REGISTRY_H_
#define TUNNEL_PATH_REGISTRY_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "encap/address.h"
#include "tunnel/endpoint/path_state.h"

namespace tunnel {

// What the kernel chooses a route by.
struct PathKey {
  encap::AddressPair addresses;
  uint32_t ifindex = 0;  // 0: any
  uint32_t mark = 0;

  friend bool operator==(const PathKey&, const PathKey&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const PathKey& k) {
    return H::combine(std::move(h), k.addresses.local, k.addresses.remote,
                      k.ifindex, k.mark);
  }
};

class PathRegistry {
 public:
  // The state of this way; a new one if no tunnel has it.
  std::shared_ptr<PathState> Of(const PathKey& key) {
    std::weak_ptr<PathState>& known = paths_[key];
    std::shared_ptr<PathState> path = known.lock();
    if (path == nullptr) {
      path =
          std::make_shared<PathState>(key.addresses.remote.family(), learned_);
      known = path;
      Sweep();
    }
    return path;
  }

  // Rises when something is learned of one of them, or NoteLearned() is called.
  // Any thread.
  uint64_t learned() const {
    return learned_->load(
        std::memory_order_relaxed);  // PathState::Learn() [P3]
  }
  void NoteLearned() {
    learned_->fetch_add(1, std::memory_order_relaxed);  // learned() [P3]
  }

 private:
  // Forgets the ways of tunnels that have gone, now and then.
  void Sweep() {
    if (paths_.size() < sweep_at_) return;
    absl::erase_if(paths_,
                   [](const auto& entry) { return entry.second.expired(); });
    sweep_at_ = std::max(kLeast, 2 * paths_.size());
  }

  static constexpr size_t kLeast = 64;
  absl::flat_hash_map<PathKey, std::weak_ptr<PathState>> paths_;
  size_t sweep_at_ = kLeast;
  const std::shared_ptr<PathState::LearnCount> learned_ =
      std::make_shared<PathState::LearnCount>(0);
};

}  // namespace tunnel

#endif  // TUNNEL_PATH_REGISTRY_H_
