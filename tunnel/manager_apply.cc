#include "tunnel/manager_impl.h"

namespace tunnel {

absl::StatusOr<ApplyResult> TunnelManager::Apply(const CallContext&,
                                                 const EditAll&,
                                                 const ApplyOptions&) {
  return absl::UnimplementedError("apply");
}
absl::StatusOr<ApplyResult> TunnelManager::ConfirmApply(const CallContext&,
                                                        absl::string_view) {
  return absl::UnimplementedError("confirm");
}
absl::StatusOr<ApplyResult> TunnelManager::RevertApply(const CallContext&,
                                                       absl::string_view,
                                                       const ChangeOptions&) {
  return absl::UnimplementedError("revert");
}
absl::StatusOr<TunnelManager::RestoreReport> TunnelManager::Restore(
    const StoredState&) {
  return absl::UnimplementedError("restore");
}
std::optional<PendingApply> TunnelManager::Pending() const { return {}; }

}  // namespace tunnel
