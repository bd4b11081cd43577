// ConfigStore: where committed configuration outlives the process.
//
// The manager commits to the store at its commit line: after all that can fail
// has been prepared, and before the first step that traffic can see. So what is
// in the store is the last acknowledged configuration, or the one that was just
// being committed.

#ifndef TUNNEL_CONFIG_STORE_H_
#define TUNNEL_CONFIG_STORE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tunnel/endpoint/endpoint_config.h"
#include "tunnel/tunnel_types.h"

namespace tunnel {

struct StoredTunnel {
  EndpointConfig config;
  uint32_t ifindex = 0;  // of its device, in the running kernel
  uint64_t generation = 0;
  absl::Time create_time;
  absl::Time update_time;
  bool paused = false;
  bool detached = false;
};

// A device of a deleted tunnel that may still be there.
struct StoredDevice {
  std::string name;
  uint32_t ifindex = 0;
  bool ethernet = false;
};

// A committed call with a request_id, and what it returned.
struct StoredRequest {
  std::string id;
  std::string fingerprint;
  ApplyResult result;
};

// What to go back to while a configuration awaits confirmation.
struct StoredPending {
  std::string id;
  absl::Time deadline;
  std::vector<StoredTunnel> before;  // of the tunnels that were there
  std::vector<std::string> created;  // names that were not
};

// One commit: all of it or none of it.
struct StoreCommit {
  std::vector<StoredTunnel> put;      // new or changed, by name
  std::vector<StoredDevice> removed;  // deleted tunnels with their devices
  std::optional<StoredRequest> request;
  // set_pending: `pending` replaces what awaits confirmation (nullopt:
  // nothing).
  bool set_pending = false;
  std::optional<StoredPending> pending;
};

// Everything that a store holds.
struct StoredState {
  std::vector<StoredTunnel> tunnels;  // by name
  std::vector<StoredDevice> removed;  // not yet reported by DeviceRemoved()
  std::vector<StoredRequest>
      requests;  // oldest first; at most kMaxStoredRequests
  std::optional<StoredPending> pending;
};
inline constexpr size_t kMaxStoredRequests = 1024;

class ConfigStore {
 public:
  virtual ~ConfigStore() = default;
  // Durable when it returns OK; without effect when not. Called by one thread
  // at a time, under the configuration lock. Errors: STORE_FAILED.
  virtual absl::Status Commit(const StoreCommit& commit) = 0;
  // The device of a deleted tunnel is gone; need not be durable at once.
  virtual void DeviceRemoved(const StoredDevice& device) = 0;
};

}  // namespace tunnel

#endif  // TUNNEL_CONFIG_STORE_H_
