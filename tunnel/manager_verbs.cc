// Pause, resume, detach, attach: the steps of the protocol by themselves. And
// the size of the hand-off rings.

#include <utility>

#include "absl/time/clock.h"
#include "tunnel/base/clock.h"
#include "tunnel/base/error.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/manager_impl.h"
#include "tunnel/rewire/timed.h"

namespace tunnel {

absl::StatusOr<ChangeResult> ManagerImpl::Verb(const CallContext& call,
                                               absl::string_view name,
                                               const ChangeOptions& options,
                                               const OneStep& verb) {
  std::optional<ApplyResult> replay;
  ASSIGN_OR_RETURN(const ConfigSection section,
                   EnterToChange(call, options, replay));
  if (replay.has_value()) return std::move(replay->changes.front());
  ASSIGN_OR_RETURN(TunnelRecord * tunnel, Lookup(section, name, options));
  RETURN_IF_ERROR(CheckNotFailed(*tunnel));
  ChangeResult result;
  result.timing.lock_wait = section.lock_wait();
  result.no_op = verb.done(*tunnel);
  result.validated_only = options.validate_only;
  if (!result.no_op && !options.validate_only) {
    result.action = ChangeAction::kUpdated;
    RETURN_IF_ERROR(section.CommitPoint());
    RETURN_IF_ERROR(StoreVerb(options, *tunnel, verb, result));
    EndOverlap(section, *tunnel);
    const uint64_t drops = TotalDrops(*tunnel->endpoint);
    tunnel->resume_at.reset();
    verb.mark(tunnel->paused, tunnel->detached);
    verb.step(section, *tunnel, result.timing);
    result.timing.packets_dropped = TotalDrops(*tunnel->endpoint) - drops;
    Commit(section, *tunnel);
  }
  result.tunnel = View(*tunnel);
  if (!options.validate_only) Remember(section, options, Of(result));
  return result;
}

ApplyResult ManagerImpl::Of(const ChangeResult& change) {
  ApplyResult result;
  result.no_op = change.no_op;
  result.changes.push_back(change);
  return result;
}

absl::Status ManagerImpl::StoreVerb(const ChangeOptions& options,
                                    const TunnelRecord& tunnel,
                                    const OneStep& verb, ChangeResult result) {
  if (options_.store == nullptr) return absl::OkStatus();
  StoredTunnel stored = Stored(tunnel);
  verb.mark(stored.paused, stored.detached);
  if (!verb.durable) stored.paused = false;
  ++stored.generation;
  stored.update_time = absl::Now();
  StoreCommit commit;
  if (!options.request_id.empty()) {
    result.tunnel = View(tunnel);
    result.tunnel.generation = stored.generation;
    result.tunnel.update_time = stored.update_time;
    verb.mark(result.tunnel.paused, result.tunnel.detached);
    SetOperState(tunnel.wiring, result.tunnel);
    commit.request = {options.request_id, options.request_fingerprint,
                      Of(result)};
  }
  commit.put.push_back(std::move(stored));
  return options_.store->Commit(commit);
}

absl::StatusOr<ChangeResult> ManagerImpl::Pause(
    const CallContext& call, absl::string_view name,
    const ChangeOptions& options,
    std::optional<std::chrono::milliseconds> max) {
  if (max.has_value() && max->count() <= 0) {
    return MakeError(Reason::kFieldInvalid,
                     "max_duration: wanted a positive time", {},
                     {{"max_duration", "wanted a positive time"}});
  }
  OneStep verb;
  verb.done = [](const TunnelRecord& tunnel) { return tunnel.paused; };
  verb.mark = [](bool& paused, bool&) { paused = true; };
  verb.durable = !max.has_value();
  verb.step = [&](const ConfigSection& section, TunnelRecord& tunnel,
                  ChangeTiming& timing) {
    Timed(timing.pause, [&] { tunnel::Pause(section, path(), tunnel); });
    if (!max.has_value()) return;
    tunnel.resume_at = Deadline(SteadyNow(), *max);
    NoteTimer(*tunnel.resume_at);
  };
  return Verb(call, name, options, verb);
}

absl::StatusOr<ChangeResult> ManagerImpl::Resume(const CallContext& call,
                                                 absl::string_view name,
                                                 const ChangeOptions& options) {
  OneStep verb;
  verb.done = [](const TunnelRecord& tunnel) { return !tunnel.paused; };
  verb.mark = [](bool& paused, bool&) { paused = false; };
  verb.step = [&](const ConfigSection& section, TunnelRecord& tunnel,
                  ChangeTiming& timing) {
    if (tunnel.detached) return;  // Attach() resumes it
    Timed(timing.resume, [&] {
      tunnel::Resume(section, path(), tunnel);
      TurnRefreshed(section, {&tunnel});
    });
  };
  return Verb(call, name, options, verb);
}

absl::StatusOr<ChangeResult> ManagerImpl::Detach(const CallContext& call,
                                                 absl::string_view name,
                                                 const ChangeOptions& options) {
  OneStep verb;
  verb.done = [](const TunnelRecord& tunnel) { return tunnel.detached; };
  verb.mark = [](bool&, bool& detached) { detached = true; };
  verb.step = [&](const ConfigSection& section, TunnelRecord& tunnel,
                  ChangeTiming& timing) {
    Timed(timing.pause, [&] { tunnel::Pause(section, path(), tunnel); });
    Timed(timing.disestablish, [&] { Disestablish(section, path(), tunnel); });
    Timed(timing.detach, [&] {
      tunnel::Detach(section, path(), tunnel.wiring.keys);
      WaitForAll(path());
      pool_->WaitHandedOver(section);  // nothing comes in any more
    });
  };
  return Verb(call, name, options, verb);
}

absl::StatusOr<ChangeResult> ManagerImpl::Attach(const CallContext& call,
                                                 absl::string_view name,
                                                 const ChangeOptions& options) {
  OneStep verb;
  verb.done = [](const TunnelRecord& tunnel) { return !tunnel.detached; };
  verb.mark = [](bool&, bool& detached) { detached = false; };
  verb.step = [&](const ConfigSection& section, TunnelRecord& tunnel,
                  ChangeTiming& timing) {
    Timed(timing.attach,
          [&] { tunnel::Attach(section, path(), tunnel.wiring); });
    Timed(timing.establish, [&] { Establish(section, path(), tunnel); });
    Timed(timing.resume, [&] {
      if (!tunnel.paused) tunnel::Resume(section, path(), tunnel);
      TurnRefreshed(section, {&tunnel});
    });
  };
  return Verb(call, name, options, verb);
}

absl::StatusOr<TunnelManager::HandoffResize> ManagerImpl::ResizeHandoff(
    const CallContext& call, size_t packets) {
  ASSIGN_OR_RETURN(const ConfigSection section, Enter(call, {}));
  section.SetStep("resize hand-off");
  TunnelManager::HandoffResize result;
  result.before = pool_->handoff_packets();
  RETURN_IF_ERROR(section.CommitPoint());
  RETURN_IF_ERROR(pool_->ResizeHandoff(section, packets));
  result.packets = pool_->handoff_packets();
  return result;
}

}  // namespace tunnel
