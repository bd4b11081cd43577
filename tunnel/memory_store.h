// MemoryStore: a ConfigStore without a disk, for tests.

#ifndef TUNNEL_MEMORY_STORE_H_
#define TUNNEL_MEMORY_STORE_H_

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "tunnel/config_store.h"
#include "tunnel/sync/mutex.h"

namespace tunnel {

class MemoryStore : public ConfigStore {
 public:
  // Runs inside each Commit(), before anything is kept; its error is the
  // commit's.
  std::function<absl::Status(const StoreCommit&)> on_commit;

  absl::Status Commit(const StoreCommit& commit) override {
    if (on_commit != nullptr) {
      if (absl::Status status = on_commit(commit); !status.ok()) return status;
    }
    const MutexLock lock(mu_);
    ++commits_;
    for (const StoredDevice& device : commit.removed) {
      tunnels_.erase(device.name);
      removed_.push_back(device);
    }
    for (const StoredTunnel& tunnel : commit.put)
      tunnels_[tunnel.config.name] = tunnel;
    if (commit.request.has_value()) requests_.push_back(*commit.request);
    if (commit.set_pending) pending_ = commit.pending;
    return absl::OkStatus();
  }

  void DeviceRemoved(const StoredDevice& device) override {
    const MutexLock lock(mu_);
    const auto it =
        std::find_if(removed_.begin(), removed_.end(), [&](const auto& d) {
          return d.name == device.name && d.ifindex == device.ifindex;
        });
    if (it != removed_.end()) removed_.erase(it);
  }

  // What a store on a disk would give the next manager.
  StoredState Load() const {
    const MutexLock lock(mu_);
    StoredState state;
    for (const auto& [name, tunnel] : tunnels_) state.tunnels.push_back(tunnel);
    state.removed = removed_;
    state.requests = requests_;
    state.pending = pending_;
    return state;
  }

  size_t commits() const {
    const MutexLock lock(mu_);
    return commits_;
  }

 private:
  mutable Mutex mu_;
  size_t commits_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<std::string, StoredTunnel> tunnels_ ABSL_GUARDED_BY(mu_);
  std::vector<StoredDevice> removed_ ABSL_GUARDED_BY(mu_);
  std::vector<StoredRequest> requests_ ABSL_GUARDED_BY(mu_);
  std::optional<StoredPending> pending_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tunnel

#endif  // TUNNEL_MEMORY_STORE_H_
