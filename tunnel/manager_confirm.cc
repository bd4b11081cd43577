// A configuration that awaits confirmation, and the way back.

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "tunnel/base/clock.h"
#include "tunnel/base/error.h"
#include "tunnel/base/log.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/manager_impl.h"

namespace tunnel {
namespace {

// Between two tries of a way back that fails.
constexpr std::chrono::milliseconds kFirstRetry{1000};
constexpr std::chrono::milliseconds kLongestRetry{30000};

std::vector<std::string> Names(const StoredPending& pending) {
  std::vector<std::string> names = pending.created;
  for (const StoredTunnel& tunnel : pending.before)
    names.push_back(tunnel.config.name);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

void ManagerImpl::SetPending(
    const ConfigSection&, std::optional<StoredPending> pending,
    const std::optional<std::chrono::milliseconds>& within) {
  const SteadyTime at = Deadline(SteadyNow(), within.value_or(kFirstRetry));
  const bool set = pending.has_value();
  {
    const MutexLock lock(pending_mu_);
    pending_ = std::move(pending);
    revert_at_ = at;
    revert_retry_ = kFirstRetry;
  }
  if (set) NoteTimer(at);
}

std::optional<PendingApply> ManagerImpl::Pending() const {
  const SteadyTime now = SteadyNow();
  const MutexLock lock(pending_mu_);
  if (!pending_.has_value()) return std::nullopt;
  PendingApply view;
  view.id = pending_->id;
  view.deadline = pending_->deadline;
  if (revert_at_ > now) {
    view.remaining =
        std::chrono::duration_cast<std::chrono::milliseconds>(revert_at_ - now);
  }
  view.tunnels = Names(*pending_);
  return view;
}

absl::Status ManagerImpl::CheckNothingPending(const ConfigSection&) const {
  const std::optional<PendingApply> pending = Pending();
  if (!pending.has_value()) return absl::OkStatus();
  return MakeError(Reason::kApplyPending,
                   absl::StrCat("the configuration applied as ", pending->id,
                                " (", absl::StrJoin(pending->tunnels, ", "),
                                ") awaits confirmation for another ",
                                pending->remaining.count(),
                                " ms; confirm or revert it first"),
                   {{"id", pending->id},
                    {"remaining_ms", absl::StrCat(pending->remaining.count())},
                    {"tunnels", absl::StrJoin(pending->tunnels, ",")}});
}

absl::Status ManagerImpl::CheckPending(absl::string_view id) const {
  const std::optional<PendingApply> pending = Pending();
  if (!pending.has_value()) {
    return MakeError(Reason::kInvalidState,
                     "no configuration awaits confirmation: it was confirmed, "
                     "or has gone back by itself");
  }
  if (id.empty() || id == pending->id) return absl::OkStatus();
  return MakeError(
      Reason::kInvalidState,
      absl::StrCat("what awaits confirmation is ", pending->id, ", not ", id),
      {{"id", pending->id}, {"wanted", std::string(id)}});
}

absl::StatusOr<ApplyResult> ManagerImpl::Confirm(const CallContext& call,
                                                 absl::string_view id) {
  ASSIGN_OR_RETURN(const ConfigSection section, Enter(call, {}));
  const SteadyTime start = SteadyNow();
  section.SetStep("confirm");
  RETURN_IF_ERROR(CheckPending(id));
  RETURN_IF_ERROR(section.CommitPoint());
  if (options_.store != nullptr) {
    StoreCommit commit;
    commit.set_pending = true;
    RETURN_IF_ERROR(options_.store->Commit(commit));
  }
  SetPending(section, std::nullopt, std::nullopt);
  ApplyResult result;
  result.lock_wait = section.lock_wait();
  result.lock_hold = Since(start);
  result.etag = ConfigEtag(section);
  return result;
}

// All tunnels of the pending change, back to what they were.
absl::Status ManagerImpl::PlanRevert(const ConfigSection& section,
                                     Transaction& tx) {
  StoredPending pending;
  {
    const MutexLock lock(pending_mu_);
    pending = *pending_;
  }
  tx.set_pending = true;
  for (const std::string& name : pending.created) {
    const auto it = tunnels_.find(name);
    if (it != tunnels_.end()) PlanDelete(section, *it->second, tx);
  }
  for (const StoredTunnel& before : pending.before) {
    const auto it = tunnels_.find(before.config.name);
    if (it != tunnels_.end() && !it->second->failed) {
      if (before.config == it->second->wiring.config) continue;
      RETURN_IF_ERROR(PlanUpdate(section, *it->second, before.config, tx));
      continue;
    }
    if (it != tunnels_.end()) PlanDelete(section, *it->second, tx);
    RETURN_IF_ERROR(PlanCreate(section, before.config, tx));
    tx.parts.back().origin = before;
  }
  return absl::OkStatus();
}

absl::StatusOr<ApplyResult> ManagerImpl::Revert(const CallContext& call,
                                                absl::string_view id,
                                                const ChangeOptions& options) {
  ASSIGN_OR_RETURN(const ConfigSection section, Enter(call, options));
  RETURN_IF_ERROR(CheckPending(id));
  return RevertUnder(section, options);
}

absl::StatusOr<ApplyResult> ManagerImpl::RevertUnder(
    const ConfigSection& section, const ChangeOptions& options) {
  const SteadyTime start = SteadyNow();
  section.SetStep("revert");
  Transaction tx;
  RETURN_IF_ERROR(PlanRevert(section, tx));
  if (tx.parts.empty() && !options.validate_only) {
    RETURN_IF_ERROR(section.CommitPoint());
    RETURN_IF_ERROR(Store(options, tx));
    SetPending(section, std::nullopt, std::nullopt);
  }
  ASSIGN_OR_RETURN(ApplyResult result, Carry(section, options, tx));
  result.lock_hold = Since(start);
  return result;
}

// Called when a timer has run out; tries again later when the way back fails.
void ManagerImpl::RevertExpired() {
  std::optional<SteadyTime> later;
  {
    const MutexLock lock(pending_mu_);
    if (!pending_.has_value()) return;
    if (revert_at_ > SteadyNow()) later = revert_at_;
  }
  if (later.has_value()) {
    NoteTimer(*later);
    return;
  }
  const std::optional<PendingApply> pending = Pending();
  CallContext call;
  call.operation = "RevertApply (not confirmed)";
  call.uid = getuid();
  call.pid = getpid();
  LockTimes times;
  call.lock_times = &times;
  absl::StatusOr<ApplyResult> result = RevertIfDue(call);
  if (result.ok() && result->no_op) return;  // confirmed in the last moment
  if (options_.on_own_change != nullptr) options_.on_own_change(call, result);
  if (result.ok()) {
    LogWarning("the applied configuration was not confirmed and has gone back",
               {{"tunnels", absl::StrJoin(pending->tunnels, ",")}});
    return;
  }
  if (GetReason(result.status()) == Reason::kShuttingDown) return;
  LogError("the configuration that was not confirmed can not go back yet",
           {{"cause", std::string(result.status().message())}});
  SteadyTime again;
  {
    const MutexLock lock(pending_mu_);
    again = revert_at_ = Deadline(SteadyNow(), revert_retry_);
    revert_retry_ = std::min(revert_retry_ * 2, kLongestRetry);
  }
  NoteTimer(again);
}

absl::StatusOr<ApplyResult> ManagerImpl::RevertIfDue(const CallContext& call) {
  ASSIGN_OR_RETURN(const ConfigSection section, Enter(call, {}));
  const std::optional<PendingApply> pending = Pending();
  if (!pending.has_value() || pending->remaining.count() > 0) {
    ApplyResult nothing;
    nothing.no_op = true;
    return nothing;
  }
  return RevertUnder(section, {});
}

}  // namespace tunnel
