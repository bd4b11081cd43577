// The underlay as one more caller of the configuration walk: what links,
// addresses and routes do to tunnels, and pauses that end by themselves.

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>

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

// Between two tries while too many changes wait.
constexpr std::chrono::milliseconds kQueueFullPause{10};

}  // namespace

// What the underlay asks for must happen: an interrupted wait is begun again.
// Only the end of the daemon ends it.
std::optional<ConfigSection> ManagerImpl::EnterAsMonitor(
    const char* operation) {
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
    if (event.kind == LinkEvent::Kind::kLink && event.removed) {
      links_removed_.insert(event.ifindex);
    }
    underlay_changed_ = true;
  }
  reconcile_cv_.NotifyAll();
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
  while (true) {
    bool changed = false;
    bool timer = false;
    std::set<uint32_t> removed;
    {
      const MutexLock lock(reconcile_mu_);
      while (!stop_ && !underlay_changed_ &&
             !(next_timer_.has_value() && SteadyNow() >= *next_timer_)) {
        reconcile_cv_.WaitUntil(reconcile_mu_,
                                next_timer_.value_or(SteadyTime::max()));
      }
      if (stop_) return;
      timer = next_timer_.has_value() && SteadyNow() >= *next_timer_;
      if (timer) next_timer_.reset();
      if (underlay_changed_ && links_removed_.empty()) {
        const SteadyTime until = Deadline(SteadyNow(), kSettle);
        while (!stop_ && links_removed_.empty() &&
               reconcile_cv_.WaitUntil(reconcile_mu_, until)) {
        }
        if (stop_) return;
      }
      changed = std::exchange(underlay_changed_, false);
      removed.swap(links_removed_);
    }
    if (timer) RunTimers();
    if (!removed.empty()) FailRemoved(removed);
    if (changed) ReconcileAll();
  }
}

void ManagerImpl::FailRemoved(const std::set<uint32_t>& removed) {
  const std::optional<ConfigSection> section =
      EnterAsMonitor("monitor: interface removed");
  if (!section.has_value()) return;  // stopping
  for (auto& [name, tunnel] : tunnels_) {
    if (tunnel->failed ||
        removed.count(tunnel->endpoint->device().ifindex()) == 0)
      continue;
    LogWarning("the network device of a tunnel has been removed",
               {{"tunnel", name}});
    tunnel::Pause(*section, path(), *tunnel);
    Disestablish(*section, path(), *tunnel);
    tunnel::Detach(*section, path(), tunnel->wiring.keys);
    qsbr_.Wait();
    tunnel->failed = true;
    tunnel->failure =
        "the network device has been removed; delete the tunnel and create it "
        "again";
    Announce(*section, *tunnel);
  }
}

void ManagerImpl::ReconcileAll() {
  std::string next;  // the first name of the next chunk
  do {
    const std::optional<ConfigSection> section =
        EnterAsMonitor("monitor: underlay changed");
    if (!section.has_value()) return;  // stopping
    auto it = tunnels_.lower_bound(next);
    for (size_t n = 0; n < kChunk && it != tunnels_.end(); ++n, ++it) {
      if (!it->second->failed) ReconcileOne(*section, *it->second);
    }
    if (it == tunnels_.end()) return;
    next = it->first;
  } while (true);
}

void ManagerImpl::ReconcileOne(const ConfigSection& section,
                               TunnelRecord& tunnel) {
  Wiring& wiring = tunnel.wiring;
  const uint32_t ifindex = tunnel.endpoint->device().ifindex();
  UnderlayState state =
      EvaluateUnderlay(wiring.config, wiring.underlay_ifindex, ifindex);
  if (state == wiring.underlay) return;
  if (state.effective_mtu != wiring.underlay.effective_mtu) {
    if (const absl::Status status =
            platform_.links.SetMtu(ifindex, state.effective_mtu);
        !status.ok()) {
      LogWarning("the MTU could not follow the underlay",
                 {{"tunnel", tunnel.name()},
                  {"cause", std::string(status.message())}});
      state.effective_mtu = wiring.underlay.effective_mtu;
      state.mtu_reason = wiring.underlay.mtu_reason;
    }
  }
  if (state.transmit_block == wiring.underlay.transmit_block) {
    wiring.underlay = std::move(state);
  } else {
    LogInfo(state.block_reason.empty() ? "tunnel may transmit again"
                                       : "tunnel stops to transmit",
            {{"tunnel", tunnel.name()}, {"reason", state.block_reason}});
    Wiring next;
    next.config = wiring.config;
    next.underlay_ifindex = wiring.underlay_ifindex;
    next.keys = wiring.keys;
    next.underlay = std::move(state);
    next.variant =
        BuildVariant(*tunnel.endpoint, next, wiring.variant->contexts);
    ChangeTiming timing;
    RewireItem item;
    item.tunnel = &tunnel;
    item.next = &next;
    item.plan = RewirePlan::kPublish;
    item.timing = &timing;
    ExecuteRewire(section, path(), std::span(&item, 1));
  }
  Announce(section, tunnel);
}

void ManagerImpl::RunTimers() {
  ResumeExpired();
  RevertExpired();
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
    if (!tunnel->detached && !tunnel->failed)
      tunnel::Resume(*section, path(), *tunnel);
    Commit(*section, *tunnel);
  }
}

}  // namespace tunnel
