// What an ApplyConfigRequest wants of the configuration. Pure functions.

#ifndef CTL_APPLY_REQUEST_H_
#define CTL_APPLY_REQUEST_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ctl/faults.h"
#include "proto/tunnel/v1/tunnel_service.pb.h"
#include "tunnel/tunnel_manager.h"

namespace tunnel::ctl {

// A desired state ("tunnels", "prune") or a list of steps ("operations"), once
// it has been checked. Immutable.
class ApplyRequest {
 public:
  // Faults: both forms or none, a name twice, and every bad field of every
  // tunnel, with paths like "tunnels[3].ttl" or "operations[2].create.mode".
  // What a step makes of `current` is checked too, so that bad fields of an
  // update are told with the rest; for an update of what is not there, and
  // without regard to names that are taken, Edit() has the word. `request`
  // outlives the object.
  ApplyRequest(const v1::ApplyConfigRequest& request,
               const TunnelManager::Configs& current, Faults& faults);

  // The whole configuration that is wanted, out of `current`. Errors:
  // ETAG_MISMATCH for a tunnel that was given with another etag; of steps also
  // NAME_IN_USE and TUNNEL_NOT_FOUND (metadata name, field; closest), and those
  // of an update.
  absl::StatusOr<TunnelManager::Configs> Edit(
      const TunnelManager::Configs& current) const;

  // `status` with the bad fields named as in the request: "queues" of tunnel
  // "gre0" becomes "tunnels[3].queues". What has no bad fields, or no metadata
  // "name" of a tunnel of the request, stays as it is.
  absl::Status Locate(const absl::Status& status) const;

 private:
  // "tunnels[3]", "operations[2].create", "operations[2].update.tunnel"; ""
  // when the request has no such tunnel.
  std::string PathOf(const std::string& name) const;
  absl::StatusOr<TunnelManager::Configs> EditState(
      const TunnelManager::Configs& current) const;
  absl::StatusOr<TunnelManager::Configs> EditSteps(
      const TunnelManager::Configs& current) const;

  const v1::ApplyConfigRequest& request_;
  std::vector<EndpointConfig> desired_;  // of request_.tunnels
};

}  // namespace tunnel::ctl

#endif  // CTL_APPLY_REQUEST_H_
