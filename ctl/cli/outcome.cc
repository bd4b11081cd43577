#include "ctl/cli/outcome.h"

#include <unistd.h>

#include "absl/algorithm/container.h"
#include "absl/time/clock.h"

namespace tunnel::ctl::cli {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(1);
constexpr absl::Duration kPollInterval = absl::Milliseconds(5);

bool IsOurs(const v1::LockParty& party) { return party.pid() == getpid(); }

// False when the lock can not be seen, or this process stays in it.
bool WaitUntilOutOfLock(Client& client, const CallLimits& limits) {
  while (true) {
    v1::ConfigLockState lock;
    if (!client.GetLock({}, limits, &lock).ok()) return false;
    const bool holds = lock.has_holder() && IsOurs(lock.holder());
    if (!holds && absl::c_none_of(lock.waiters(), IsOurs)) return true;
    if (absl::Now() + kPollInterval >= limits.deadline) return false;
    absl::SleepFor(kPollInterval);
  }
}

absl::Time ToTime(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) +
         absl::Nanoseconds(time.nanos());
}

// Whether the tunnel, which exists, shows that the change was made.
bool ShowsChange(Verb verb, const v1::Tunnel& tunnel, absl::Time start) {
  switch (verb) {
    case Verb::kPause:
      return tunnel.paused();
    case Verb::kResume:
      return !tunnel.paused();
    case Verb::kDetach:
      return tunnel.detached();
    case Verb::kAttach:
      return !tunnel.detached();
    case Verb::kUp:
      return tunnel.admin_state() == v1::ADMIN_UP;
    case Verb::kDown:
      return tunnel.admin_state() == v1::ADMIN_DOWN;
    case Verb::kCreate:
      return ToTime(tunnel.create_time()) >= start;
    default:
      return ToTime(tunnel.update_time()) >= start;
  }
}

}  // namespace

Outcome FindOutcome(Client& client, Verb verb, const std::string& name,
                    absl::Time start, v1::Tunnel* tunnel) {
  CallLimits limits;
  limits.deadline = absl::Now() + kPatience;
  limits.interruptible = false;
  if (!WaitUntilOutOfLock(client, limits)) return Outcome::kUnknown;
  v1::GetTunnelRequest request;
  request.set_name(name);
  const CallError error = client.Get(request, limits, tunnel);
  if (error.code == kCodeNotFound) {
    return verb == Verb::kDelete ? Outcome::kMade : Outcome::kNotMade;
  }
  if (!error.ok()) return Outcome::kUnknown;
  if (verb == Verb::kDelete) return Outcome::kNotMade;
  return ShowsChange(verb, *tunnel, start) ? Outcome::kMade : Outcome::kNotMade;
}

Outcome FindApplyOutcome(Client& client, v1::ApplyConfigRequest request,
                         v1::ConfigChange* change) {
  CallLimits limits;
  limits.deadline = absl::Now() + kPatience;
  limits.interruptible = false;
  if (!WaitUntilOutOfLock(client, limits)) return Outcome::kUnknown;
  v1::ConfigLockState lock;
  if (!client.GetLock({}, limits, &lock).ok()) return Outcome::kUnknown;
  if (lock.has_pending()) {
    // Nobody else can have made it: while one awaits, every other is refused.
    if (!request.has_confirm_within()) return Outcome::kNotMade;
    *change->mutable_pending() = lock.pending();
    return Outcome::kMade;
  }
  if (request.has_confirm_within()) return Outcome::kNotMade;
  request.mutable_options()->Clear();
  request.mutable_options()->set_validate_only(true);
  v1::ConfigChange left;
  if (!client.Apply(request, limits, &left).ok()) return Outcome::kUnknown;
  return left.no_op() ? Outcome::kMade : Outcome::kNotMade;
}

}  // namespace tunnel::ctl::cli
