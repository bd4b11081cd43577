// Many tunnels in one change.

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tunnel/base/clock.h"
#include "tunnel/base/error.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/manager_impl.h"

namespace tunnel {
namespace {

// OK, or one error with the bad fields of all tunnels, each named
// "TUNNEL.FIELD".
absl::Status ValidateAll(const TunnelManager::Configs& configs) {
  std::vector<FieldViolation> violations;
  std::string message;
  std::optional<Reason> reason;
  for (const auto& [name, config] : configs) {
    const absl::Status status = Validate(config);
    if (status.ok()) continue;
    absl::StrAppend(&message, message.empty() ? "" : "; ", name, ": ",
                    status.message());
    std::optional<ErrorDetail> detail = GetErrorDetail(status);
    if (!detail.has_value()) return status;
    if (!reason.has_value()) reason = detail->reason;
    for (FieldViolation& v : detail->violations)
      violations.push_back({absl::StrCat(name, ".", v.field), v.description});
  }
  if (!reason.has_value()) return absl::OkStatus();
  return MakeError(*reason, message, {}, std::move(violations));
}

absl::Status CheckNamesMatch(const TunnelManager::Configs& configs) {
  for (const auto& [name, config] : configs) {
    if (name == config.name) continue;
    return absl::InvalidArgumentError(absl::StrCat("the configuration of \"",
                                                   name, "\" has the name \"",
                                                   config.name, "\""));
  }
  return absl::OkStatus();
}

// What the tunnels of the transaction were, to go back to.
StoredPending Before(
    const Transaction& tx,
    const std::function<StoredTunnel(const TunnelRecord&)>& stored) {
  StoredPending pending;
  std::set<std::string> had;
  for (const TransactionPart& part : tx.parts) {
    if (part.tunnel == nullptr) continue;
    had.insert(part.name);
    pending.before.push_back(stored(*part.tunnel));
  }
  for (const TransactionPart& part : tx.parts) {
    if (had.count(part.name) == 0) pending.created.push_back(part.name);
  }
  return pending;
}

}  // namespace

absl::Status ManagerImpl::CheckConfigEtag(const ConfigSection& section,
                                          const std::string& wanted) const {
  if (wanted.empty()) return absl::OkStatus();
  const std::string etag = ConfigEtag(section);
  if (etag == wanted) return absl::OkStatus();
  return MakeError(
      Reason::kEtagMismatch,
      absl::StrCat("the configuration: wanted etag ", wanted, ", it is ", etag,
                   "; list the tunnels again and repeat"),
      {{"etag", etag}, {"wanted", wanted}});
}

absl::Status ManagerImpl::PlanAll(const ConfigSection& section,
                                  const TunnelManager::Configs& desired,
                                  Transaction& tx) {
  for (const auto& [name, tunnel] : tunnels_) {
    if (desired.count(name) == 0) PlanDelete(section, *tunnel, tx);
  }
  for (const auto& [name, config] : desired) {
    const auto it = tunnels_.find(name);
    if (it == tunnels_.end()) {
      RETURN_IF_ERROR(PlanCreate(section, config, tx));
      continue;
    }
    TunnelRecord& tunnel = *it->second;
    if (tunnel.failed) {
      // The device is gone: what is asked for takes a new one.
      PlanDelete(section, tunnel, tx);
      RETURN_IF_ERROR(PlanCreate(section, config, tx));
    } else if (config != tunnel.wiring.config) {
      RETURN_IF_ERROR(CheckFixedFields(tunnel.wiring.config, config));
      RETURN_IF_ERROR(PlanUpdate(section, tunnel, config, tx));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<ApplyResult> ManagerImpl::Apply(
    const CallContext& call, const TunnelManager::EditAll& edit,
    const ApplyOptions& options) {
  const auto plan = [&](const ConfigSection& section,
                        Transaction& tx) -> absl::Status {
    RETURN_IF_ERROR(CheckConfigEtag(section, options.change.if_match));
    TunnelManager::Configs current;
    for (const auto& [name, tunnel] : tunnels_)
      current.emplace(name, tunnel->wiring.config);
    ASSIGN_OR_RETURN(const TunnelManager::Configs desired, edit(current));
    RETURN_IF_ERROR(CheckNamesMatch(desired));
    RETURN_IF_ERROR(ValidateAll(desired));
    RETURN_IF_ERROR(PlanAll(section, desired, tx));
    if (tx.parts.empty() || !options.confirm_within.has_value() ||
        options.change.validate_only) {
      return absl::OkStatus();
    }
    tx.set_pending = true;
    tx.pending = Before(tx, Stored);
    tx.pending->id = absl::StrCat(section.id());
    tx.pending->deadline =
        absl::Now() + absl::FromChrono(*options.confirm_within);
    tx.confirm_within = options.confirm_within;
    return absl::OkStatus();
  };
  return Run(call, options.change, plan);
}

absl::StatusOr<ApplyResult> TunnelManager::Apply(const CallContext& call,
                                                 const EditAll& edit,
                                                 const ApplyOptions& options) {
  return impl_->Apply(call, edit, options);
}

absl::StatusOr<ApplyResult> TunnelManager::ConfirmApply(const CallContext& call,
                                                        absl::string_view id) {
  return impl_->Confirm(call, id);
}

absl::StatusOr<ApplyResult> TunnelManager::RevertApply(
    const CallContext& call, absl::string_view id,
    const ChangeOptions& options) {
  return impl_->Revert(call, id, options);
}

absl::StatusOr<TunnelManager::RestoreReport> TunnelManager::Restore(
    const StoredState& state) {
  return impl_->Restore(state);
}

std::optional<PendingApply> TunnelManager::Pending() const {
  return impl_->Pending();
}

}  // namespace tunnel
