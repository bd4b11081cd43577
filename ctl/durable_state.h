// What the daemon does with its state directory when it starts.

#ifndef CTL_DURABLE_STATE_H_
#define CTL_DURABLE_STATE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/config_store.h"
#include "tunnel/tunnel_manager.h"

namespace tunnel::ctl {

// The state directory, owned and open. Without one all is empty, and nothing
// outlives the process.
struct DurableState {
  UniqueFd lock;
  std::unique_ptr<ConfigStore> store;  // ends before lock
  StoredState state;
  size_t problems = 0;  // found in the store, all logged
};

// Takes `directory` for this process. "": no state. Errors: one sentence for
// the operator, that another tunneld uses it among them.
absl::StatusOr<UniqueFd> OwnStateDir(const std::string& directory);

// Opens the store of `directory`, which `lock` owns, and logs all that is wrong
// with it.
absl::StatusOr<DurableState> OpenDurableState(const std::string& directory,
                                              UniqueFd lock);

// Gives `manager` what `state` holds, once, and logs what came of it. The text
// is for the service manager ("12 tunnels, 1 FAILED: gre5"). Errors: those of
// TunnelManager::Restore().
absl::StatusOr<std::string> RestoreTunnels(DurableState& state,
                                           TunnelManager& manager);

}  // namespace tunnel::ctl

#endif  // CTL_DURABLE_STATE_H_
