// Create, update, delete: changes of one tunnel.

#include <utility>

#include "tunnel/base/status_macros.h"
#include "tunnel/manager_impl.h"

namespace tunnel {

absl::StatusOr<ChangeResult> ManagerImpl::Create(const CallContext& call,
                                                 const EndpointConfig& config,
                                                 const ChangeOptions& options) {
  RETURN_IF_ERROR(Validate(config));
  return RunOne(call, options,
                [&](const ConfigSection& section, Transaction& tx) {
                  return PlanCreate(section, config, tx);
                });
}

absl::StatusOr<ChangeResult> ManagerImpl::Update(
    const CallContext& call, absl::string_view name,
    const TunnelManager::Edit& edit, const ChangeOptions& options) {
  RETURN_IF_ERROR(CheckOverlap(options));
  return RunOne(
      call, options,
      [&](const ConfigSection& section, Transaction& tx) -> absl::Status {
        ASSIGN_OR_RETURN(TunnelRecord * tunnel, Lookup(section, name, options));
        const EndpointConfig& current = tunnel->wiring.config;
        ASSIGN_OR_RETURN(const EndpointConfig config, edit(current));
        RETURN_IF_ERROR(CheckFixedFields(current, config));
        RETURN_IF_ERROR(Validate(config));
        if (config != current) {
          RETURN_IF_ERROR(PlanUpdate(section, *tunnel, config, tx));
          PlanOverlap(options, tx.parts.back());
          return absl::OkStatus();
        }
        tx.untouched.emplace();
        tx.untouched->no_op = true;
        tx.untouched->validated_only = options.validate_only;
        tx.untouched->tunnel = View(*tunnel);
        return absl::OkStatus();
      });
}

absl::StatusOr<ChangeResult> ManagerImpl::Delete(const CallContext& call,
                                                 absl::string_view name,
                                                 const ChangeOptions& options) {
  // An interrupted wait ends here: nothing has been touched.
  return RunOne(
      call, options,
      [&](const ConfigSection& section, Transaction& tx) -> absl::Status {
        ASSIGN_OR_RETURN(TunnelRecord * tunnel, Lookup(section, name, options));
        PlanDelete(section, *tunnel, tx);
        return absl::OkStatus();
      });
}

}  // namespace tunnel
