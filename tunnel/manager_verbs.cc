#include <utility>

#include "absl/strings/str_cat.h"
#include "tunnel/base/clock.h"
#include "tunnel/base/error.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/manager_impl.h"
#include "tunnel/rewire/timed.h"

namespace tunnel {
absl::StatusOr<ChangeResult> ManagerImpl::Delete(const CallContext& call,
                                                 absl::string_view name,
                                                 const ChangeOptions& options) {
  // An interrupted wait ends here: nothing has been touched.
  ASSIGN_OR_RETURN(const ConfigSection section, Enter(call, options));
  section.SetStep("check");
  ChangeResult result;
  result.timing.lock_wait = section.lock_wait();
  ASSIGN_OR_RETURN(TunnelRecord * tunnel, Lookup(section, name, options));
  result.tunnel = View(*tunnel);
  result.changes = Diff(tunnel->wiring.config, EndpointConfig{});
  for (FieldDifference& change : result.changes) change.new_value.clear();
  result.validated_only = options.validate_only;
  if (options.validate_only) return result;
  RETURN_IF_ERROR(section.CommitPoint());
  ExecuteRemove(section, path(), *tunnel, result.timing);
  const std::string key = tunnel->name();
  tunnels_.erase(key);  // the device goes with it
  bus_.Remove(key);
  return result;
}

absl::StatusOr<ChangeResult> ManagerImpl::Verb(
    const CallContext& call, absl::string_view name,
    const ChangeOptions& options,
    const std::function<bool(const TunnelRecord&)>& done,
    const std::function<void(const ConfigSection&, TunnelRecord&,
                             ChangeTiming&)>& step) {
  ASSIGN_OR_RETURN(const ConfigSection section, Enter(call, options));
  section.SetStep("check");
  ChangeResult result;
  result.timing.lock_wait = section.lock_wait();
  ASSIGN_OR_RETURN(TunnelRecord * tunnel, Lookup(section, name, options));
  RETURN_IF_ERROR(CheckNotFailed(*tunnel));
  result.no_op = done(*tunnel);
  result.validated_only = options.validate_only;
  if (!result.no_op && !options.validate_only) {
    RETURN_IF_ERROR(section.CommitPoint());
    const uint64_t drops = TotalDrops(*tunnel->endpoint);
    step(section, *tunnel, result.timing);
    result.timing.packets_dropped = TotalDrops(*tunnel->endpoint) - drops;
    Commit(section, *tunnel);
  }
  result.tunnel = View(*tunnel);
  return result;
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
  return Verb(
      call, name, options,
      [](const TunnelRecord& tunnel) { return tunnel.paused; },
      [&](const ConfigSection& section, TunnelRecord& tunnel,
          ChangeTiming& timing) {
        Timed(timing.pause, [&] { tunnel::Pause(section, path(), tunnel); });
        tunnel.paused = true;
        tunnel.resume_at.reset();
        if (max.has_value()) {
          tunnel.resume_at = Deadline(SteadyNow(), *max);
          NoteTimer(*tunnel.resume_at);
        }
      });
}

absl::StatusOr<ChangeResult> ManagerImpl::Resume(const CallContext& call,
                                                 absl::string_view name,
                                                 const ChangeOptions& options) {
  return Verb(
      call, name, options,
      [](const TunnelRecord& tunnel) { return !tunnel.paused; },
      [&](const ConfigSection& section, TunnelRecord& tunnel,
          ChangeTiming& timing) {
        tunnel.paused = false;
        tunnel.resume_at.reset();
        if (tunnel.detached) return;  // Attach() resumes it
        Timed(timing.resume, [&] { tunnel::Resume(section, path(), tunnel); });
      });
}

absl::StatusOr<ChangeResult> ManagerImpl::Detach(const CallContext& call,
                                                 absl::string_view name,
                                                 const ChangeOptions& options) {
  return Verb(
      call, name, options,
      [](const TunnelRecord& tunnel) { return tunnel.detached; },
      [&](const ConfigSection& section, TunnelRecord& tunnel,
          ChangeTiming& timing) {
        Timed(timing.pause, [&] { tunnel::Pause(section, path(), tunnel); });
        Timed(timing.disestablish,
              [&] { Disestablish(section, path(), tunnel); });
        Timed(timing.detach, [&] {
          tunnel::Detach(section, path(), tunnel.wiring.keys);
          qsbr_.Wait();  // when it returns, nothing comes in any more
        });
        tunnel.detached = true;
      });
}

absl::StatusOr<ChangeResult> ManagerImpl::Attach(const CallContext& call,
                                                 absl::string_view name,
                                                 const ChangeOptions& options) {
  return Verb(
      call, name, options,
      [](const TunnelRecord& tunnel) { return !tunnel.detached; },
      [&](const ConfigSection& section, TunnelRecord& tunnel,
          ChangeTiming& timing) {
        tunnel.detached = false;
        Timed(timing.attach, [&] {
          tunnel::Attach(section, path(), tunnel.wiring.keys,
                         *tunnel.wiring.variant);
        });
        Timed(timing.establish, [&] { Establish(section, path(), tunnel); });
        if (!tunnel.paused) {
          Timed(timing.resume,
                [&] { tunnel::Resume(section, path(), tunnel); });
        }
      });
}

}  // namespace tunnel
