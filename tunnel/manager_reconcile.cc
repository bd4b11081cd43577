// The underlay as one more caller of the configuration walk: what links,
// addresses and routes do to tunnels, and pauses that end by themselves.

#include <algorithm>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tunnel/base/clock.h"
#include "tunnel/base/cpu.h"
#include "tunnel/base/error.h"
#include "tunnel/base/log.h"
#include "tunnel/manager_impl.h"

namespace tunnel {
namespace {

// Changes come in bursts: one look serves all that arrive in this time.
constexpr std::chrono::milliseconds kSettle{20};
// Tunnels looked at under one hold of the lock, so that operators need not
// wait.
constexpr size_t kChunk = 64;

// Between two looks at what no event tells of the paths of the fast path.
constexpr std::chrono::milliseconds kFastLook{200};

// Between two tries while too many changes wait.
constexpr std::chrono::milliseconds kQueueFullPause{10};

}  // namespace

// What the underlay asks for must happen: an interrupted wait is begun again.
// Only the end of the daemon ends it.
std::optional<ConfigSection> ManagerImpl::EnterAsMonitor(
    const std::string& operation) {
  CallContext call;
  call.operation = operation;
  while (true) {
    absl::StatusOr<ConfigSection> section = Enter(call, {});
    if (section.ok()) return *std::move(section);
    const std::optional<Reason> reason = GetReason(section.status());
    if (reason == Reason::kShuttingDown) return std::nullopt;
    if (reason == Reason::kConfigLockQueueFull) {
      std::this_thread::sleep_for(kQueueFullPause);
    }
  }
}

void ManagerImpl::OnLinkEvent(const LinkEvent& event) {
  {
    const MutexLock lock(reconcile_mu_);
    changes_.Add(event);
  }
  reconcile_cv_.NotifyAll();
}

void ManagerImpl::LookAgain(const std::string& name) {
  {
    const MutexLock lock(reconcile_mu_);
    changes_.AddTunnel(name);
  }
  reconcile_cv_.NotifyAll();
}

void ManagerImpl::WakeWaiting(const ConfigSection&) {
  for (const std::string& name : waiting_for_pair_) LookAgain(name);
}

void ManagerImpl::NoteTimer(SteadyTime when) {
  {
    const MutexLock lock(reconcile_mu_);
    if (!next_timer_.has_value() || when < *next_timer_) next_timer_ = when;
  }
  reconcile_cv_.NotifyAll();
}

void ManagerImpl::ReconcileLoop() {
  SetThreadName("tunnel-monitor");
  SteadyTime look = Deadline(SteadyNow(), kFastLook);  // at fast paths
  while (true) {
    bool timer = false, look_now = false;
    UnderlayChanges changes;
    {
      const MutexLock lock(reconcile_mu_);
      while (!stop_ && changes_.empty() &&
             !(fast_used_ && SteadyNow() >= look) &&
             !(next_timer_.has_value() && SteadyNow() >= *next_timer_)) {
        const SteadyTime next = next_timer_.value_or(SteadyTime::max());
        reconcile_cv_.WaitUntil(reconcile_mu_,
                                fast_used_ ? std::min(next, look) : next);
      }
      if (stop_) return;
      look_now = fast_used_ && SteadyNow() >= look;
      timer = next_timer_.has_value() && SteadyNow() >= *next_timer_;
      if (timer) next_timer_.reset();
      if (!timer && !changes_.empty() && changes_.removed().empty()) {
        const SteadyTime until = Deadline(SteadyNow(), kSettle);
        while (!stop_ && changes_.removed().empty() &&
               reconcile_cv_.WaitUntil(reconcile_mu_, until)) {
        }
        if (stop_) return;
      }
      changes = std::exchange(changes_, {});
    }
    if (look_now) {
      look = Deadline(SteadyNow(), kFastLook);
      LookAtFastPaths();
    }
    if (timer) RunTimers();
    if (!changes.removed().empty()) FailRemoved(changes.removed());
    if (!changes.empty()) Reconcile(changes);
  }
}

void ManagerImpl::FailTunnel(const ConfigSection& section,
                             TunnelRecord& tunnel) {
  LogWarning("the network device of a tunnel has been removed",
             {{"tunnel", tunnel.name()}});
  EndOverlap(section, tunnel);
  tunnel::Pause(section, path(), tunnel);
  Disestablish(section, path(), tunnel);
  tunnel::Detach(section, path(), tunnel.wiring.keys);
  WaitForAll(path());
  pool_->WaitHandedOver(section);
  tunnel.wiring.fast = {};
  tunnel.endpoint->SetFast(nullptr);  // its counters stay
  tunnel.failed = true;
  tunnel.failure =
      "the network device has been removed; delete the tunnel and create it "
      "again";
  waiting_for_pair_.erase(tunnel.name());
  Announce(section, tunnel);
}

void ManagerImpl::FailRemoved(const std::set<uint32_t>& removed) {
  const std::optional<ConfigSection> section =
      EnterAsMonitor("monitor: interface removed");
  if (!section.has_value()) return;  // stopping
  for (auto& [name, tunnel] : tunnels_) {
    if (!tunnel->failed &&
        removed.count(tunnel->endpoint->device().ifindex()) != 0)
      FailTunnel(*section, *tunnel);
  }
}

void ManagerImpl::Reconcile(UnderlayChanges& changes) {
  bool prepared = false;
  std::vector<std::string> moved;
  std::string next;  // the first name of the next chunk
  for (bool more = true; more;) {
    const std::optional<ConfigSection> section =
        EnterAsMonitor("monitor: underlay changed");
    if (!section.has_value()) return;  // stopping
    if (!std::exchange(prepared, true)) {
      std::vector<uint32_t> own;
      own.reserve(tunnels_.size());
      for (const auto& [name, tunnel] : tunnels_)
        own.push_back(tunnel->endpoint->device().ifindex());
      changes.SetOwn(std::move(own));
    }
    size_t looks = 0;
    std::vector<TunnelRecord*> refreshed;
    auto it = tunnels_.lower_bound(next);
    for (; looks < kChunk && it != tunnels_.end(); ++it) {
      TunnelRecord& tunnel = *it->second;
      if (tunnel.failed || !changes.Concerns(tunnel)) continue;
      ++looks;
      if (changes.resync() && IsGone(tunnel)) {
        FailTunnel(*section, tunnel);
      } else if (!ReconcileOne(*section, tunnel)) {
        moved.push_back(it->first);
      } else if (RefreshFast(*section, tunnel)) {
        refreshed.push_back(&tunnel);
        Announce(*section, tunnel);
      }
    }
    TurnRefreshed(*section, refreshed);
    more = it != tunnels_.end();
    if (more) next = it->first;
  }
  for (const std::string& name : moved) Move(name);
}

bool ManagerImpl::IsGone(const TunnelRecord& tunnel) {
  const absl::StatusOr<bool> exists =
      platform_.links.Exists(tunnel.endpoint->device().ifindex());
  return exists.ok() && !*exists;
}

// As Plan(), for a tunnel that is there: an underlay device that has gone is
// waited for, and so is an endpoint pair that its local device came to but
// another tunnel holds.
Wiring ManagerImpl::PlanAgain(const ConfigSection& section,
                              const TunnelRecord& tunnel) {
  const Wiring& now = tunnel.wiring;
  Wiring next;
  next.config = now.config;
  next.etag = now.etag;
  next.underlay_ifindex = now.underlay_ifindex;
  if (!now.config.underlay_device.empty()) {
    const uint32_t ifindex =
        platform_.links.IndexOf(now.config.underlay_device);
    if (ifindex != 0) next.underlay_ifindex = ifindex;
  }
  next.udp_port = now.udp_port;
  next.local = ResolveLocal(now.config);
  const bool has_identity =
      next.local.family() != encap::IpFamily::kNone && !LacksDevice(next);
  if (has_identity)
    next.keys = EndpointKeys(EffectiveEncap(next), next.underlay_ifindex);
  next.underlay = EvaluateUnderlay(next, tunnel.endpoint->device().ifindex());
  for (const EndpointKey& key : next.keys) {
    const Endpoint* holder = table_.Holder(section, key);
    if (holder == nullptr || holder == tunnel.endpoint.get()) continue;
    GiveWay(next, holder->name());
    break;
  }
  if (next.keys.empty() && has_identity) {
    waiting_for_pair_.insert(tunnel.name());
  } else {
    waiting_for_pair_.erase(tunnel.name());
  }
  return next;
}

void ManagerImpl::GiveWay(Wiring& wiring, const std::string& holder) {
  wiring.keys.clear();
  wiring.underlay.transmit_block = encap::DropReason::kDown;
  const std::string local = wiring.local.ToString();
  const std::string& device = wiring.config.local_device;
  wiring.underlay.block_reason = absl::StrCat(
      device.empty()
          ? absl::StrCat("the endpoint pair of ", local)
          : absl::StrCat(device, " has ", local, ", and that endpoint pair"),
      " belongs to tunnel \"", holder, "\"");
}

// The link's MTU follows `next`; what it can not be, `next` does not say.
void ManagerImpl::FollowMtu(const TunnelRecord& tunnel, Wiring& next) {
  const UnderlayState& now = tunnel.wiring.underlay;
  const bool too_early = tunnel.overlap.has_value() &&
                         !tunnel.overlap->turned &&
                         next.underlay.effective_mtu > now.effective_mtu;
  absl::Status status;
  if (!too_early && next.underlay.effective_mtu != now.effective_mtu) {
    status = platform_.links.SetMtu(tunnel.endpoint->device().ifindex(),
                                    next.underlay.effective_mtu);
  }
  LogIfError(status, tunnel.name(), "the MTU could not follow the underlay");
  if (!status.ok() || too_early) {
    next.underlay.effective_mtu = now.effective_mtu;
    next.underlay.mtu_reason = now.mtu_reason;
  }
}

bool ManagerImpl::ReconcileOne(const ConfigSection& section,
                               TunnelRecord& tunnel) {
  Wiring next = PlanAgain(section, tunnel);
  Wiring& wiring = tunnel.wiring;
  if (tunnel.overlap.has_value() && !tunnel.overlap->turned &&
      !platform_.links.IsLocalAddress(tunnel.overlap->old.local)) {
    TurnOutput(section, tunnel);
  }
  if (next.keys != wiring.keys) return false;
  if (next.underlay == wiring.underlay && next.local == wiring.local)
    return true;
  // What was learned holds for the way that the packets went.
  if (next.underlay.route_ifindex != wiring.underlay.route_ifindex)
    next.underlay.path->Forget();
  FollowMtu(tunnel, next);
  const bool block_changes =
      next.underlay.transmit_block != wiring.underlay.transmit_block;
  if (block_changes) {
    LogInfo(
        next.underlay.block_reason.empty() ? "tunnel may transmit again"
                                           : "tunnel stops to transmit",
        {{"tunnel", tunnel.name()}, {"reason", next.underlay.block_reason}});
  }
  if (block_changes || MssLimitsFor(next) != wiring.variant->mss) {
    EndOverlap(section, tunnel);
    next.variant =
        BuildVariant(*tunnel.endpoint, next, wiring.variant->contexts);
    PrepareFastIfPossible(section, *tunnel.endpoint, next);
    Turn(section, tunnel, next, RewirePlan::kPublish);
  } else {
    wiring.underlay = std::move(next.underlay);
    wiring.local = next.local;
  }
  Announce(section, tunnel);
  return true;
}

void ManagerImpl::Turn(const ConfigSection& section, TunnelRecord& tunnel,
                       Wiring& next, RewirePlan plan) {
  ChangeTiming timing;
  const RewireItem item{RewireItem::Kind::kChange, &tunnel, &next, plan,
                        &timing};
  ExecuteRewire(section, path(), {&item, 1});
}

// The identity of a tunnel has changed by itself: all six steps, as for a
// change that an operator asks for, under a hold of the lock of its own.
void ManagerImpl::Move(const std::string& name) {
  std::string operation = "monitor: underlay of " + name;
  if (const std::optional<TunnelView> view = bus_.Get(name);
      view.has_value() && !view->config.local_device.empty()) {
    operation = "monitor: address of " + view->config.local_device;
  }
  const std::optional<ConfigSection> section = EnterAsMonitor(operation);
  if (!section.has_value()) return;  // stopping
  const auto it = tunnels_.find(name);
  if (it == tunnels_.end() || it->second->failed) return;
  TunnelRecord& tunnel = *it->second;
  EndOverlap(*section, tunnel);
  Wiring next = PlanAgain(*section, tunnel);
  if (next.keys == tunnel.wiring.keys) {
    ReconcileOne(*section, tunnel);
    if (RefreshFast(*section, tunnel)) {
      TurnRefreshed(*section, {&tunnel});
      Announce(*section, tunnel);
    }
    return;
  }
  LogInfo("the endpoint pair of a tunnel changes",
          {{"tunnel", name},
           {"local", next.local.ToString()},
           {"reason", next.underlay.block_reason}});
  FollowMtu(tunnel, next);
  next.variant = BuildVariant(*tunnel.endpoint, next,
                              std::make_shared<FlowContexts>(pool_->size()));
  PrepareFastIfPossible(*section, *tunnel.endpoint, next);
  Turn(*section, tunnel, next, RewirePlan::kRewire);
  Announce(*section, tunnel);
  WakeWaiting(*section);
}

void ManagerImpl::RunTimers() {
  ResumeExpired();
  FinishOverlaps();
  RevertExpired();
  SweepTaps();
}

void ManagerImpl::ResumeExpired() {
  const std::optional<ConfigSection> section =
      EnterAsMonitor("monitor: pause expired");
  if (!section.has_value()) return;  // stopping
  const SteadyTime now = SteadyNow();
  for (auto& [name, tunnel] : tunnels_) {
    if (!tunnel->resume_at.has_value()) continue;
    if (*tunnel->resume_at > now) {
      NoteTimer(*tunnel->resume_at);
      continue;
    }
    LogInfo("the pause of a tunnel has ended by itself", {{"tunnel", name}});
    tunnel->paused = false;
    tunnel->resume_at.reset();
    if (!tunnel->detached && !tunnel->failed) {
      tunnel::Resume(*section, path(), *tunnel);
      TurnRefreshed(*section, {tunnel.get()});
    }
    Commit(*section, *tunnel);
  }
}

}  // namespace tunnel
