// The kernel's fast path as the manager uses it: which tunnels take it, with
// which record, and what of the underlay makes it follow.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tunnel/base/clock.h"
#include "tunnel/base/error.h"
#include "tunnel/base/log.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/bpf/eligibility.h"
#include "tunnel/manager_impl.h"
#include "tunnel/rewire/turn.h"

namespace tunnel {
namespace {

constexpr uint32_t kNoLimit = 65535;  // bytes, of an outer packet
constexpr char kJustStarted[] = "the daemon has just started";
// Tunnels that change their path in one hold of the configuration lock.
constexpr size_t kMostRefreshed = 16;

FastRecord RecordOf(const Wiring& wiring) {
  FastRecord record;
  record.config = EffectiveEncap(wiring);
  record.underlay_ifindex = wiring.underlay.route_ifindex;
  record.bound_ifindex = wiring.underlay_ifindex;
  record.fwmark = wiring.config.fwmark;
  const uint32_t mtu = wiring.underlay.path->Mtu(SteadyCoarseNs());
  record.path_mtu = mtu == 0 ? kNoLimit : mtu;
  return record;
}

FastSteering SteeringOf(const EndpointConfig& config) {
  switch (config.steering) {
    case Steering::kOff:
      return FastSteering::kOff;
    case Steering::kOn:
      return FastSteering::kOn;
    case Steering::kAuto:
      break;
  }
  return FastSteering::kAuto;
}

}  // namespace

std::string ManagerImpl::WhyUserPathNow(const Wiring& wiring) {
  const EndpointConfig& config = wiring.config;
  if (config.datapath == DatapathMode::kUser) return "datapath is user";
  if (config.datapath == DatapathMode::kAuto &&
      options_.datapath == DatapathMode::kUser) {
    return "the daemon is told --datapath=user";
  }
  if (std::string why = WhyNeverBpf(config); !why.empty()) return why;
  const auto known = tunnels_.find(config.name);
  if (known != tunnels_.end() && known->second->endpoint->tap_set() != nullptr)
    return "a capture runs";
  const UnderlayState& underlay = wiring.underlay;
  FastSurroundings around;
  around.admin_up = config.admin_up;
  around.can_transmit = underlay.transmit_block == encap::DropReason::kNone;
  around.underlay_ifindex = underlay.route_ifindex;
  around.underlay_ethernet = underlay.ethernet;
  if (!underlay.ethernet) {
    around.underlay_is_tunnel =
        std::any_of(tunnels_.begin(), tunnels_.end(), [&](const auto& entry) {
          return entry.second->endpoint->device().ifindex() ==
                 underlay.route_ifindex;
        });
  }
  std::string why = WhyUserPath(config.encap, around);
  if (!why.empty()) return why;
  around.has_xfrm_policy = platform_.links.HasIpsecPolicies();
  why = WhyUserPath(config.encap, around);
  if (!why.empty()) return why;
  if (wiring.fast.deferred) return kJustStarted;
  return std::string(fast_.Usable().message());
}

absl::Status ManagerImpl::PrepareFast(const ConfigSection&, Endpoint& endpoint,
                                      Wiring& wiring) {
  FastWiring& fast = wiring.fast;
  const bool deferred = fast.deferred;
  fast = {};
  fast.deferred = deferred;
  fast.why = WhyUserPathNow(wiring);
  const bool insists = wiring.config.datapath == DatapathMode::kBpf;
  if (!fast.why.empty() && (deferred || !insists)) return absl::OkStatus();
  const absl::Status usable = fast_.Usable();
  if (!usable.ok()) return insists ? usable : absl::OkStatus();
  NoteFastUser();
  if (!fast.why.empty()) return absl::OkStatus();
  const absl::Status entered = EnterFast(endpoint, wiring);
  if (entered.ok()) return entered;
  fast.why = std::string(entered.message());
  const bool passes = GetReason(entered) == Reason::kDeviceNotFound;
  return insists && !passes ? entered : absl::OkStatus();
}

absl::Status ManagerImpl::EnterFast(Endpoint& endpoint, Wiring& wiring) {
  if (endpoint.fast() == nullptr) {
    ASSIGN_OR_RETURN(
        std::unique_ptr<FastTunnel> opened,
        fast_.Open(endpoint.device().ifindex(), path().pool.size()));
    endpoint.SetFast(std::move(opened));
  }
  wiring.fast.record = RecordOf(wiring);
  ASSIGN_OR_RETURN(wiring.fast.entry,
                   endpoint.fast()->Prepare(wiring.fast.record));
  wiring.fast.steered =
      endpoint.fast()->Steer(SteeringOf(wiring.config), path().pool.cpus());
  // It will be forgotten some time.
  if (wiring.underlay.path->LearnedNow(SteadyCoarseNs()).has_value())
    paths_.NoteLearned();
  return absl::OkStatus();
}

void ManagerImpl::PrepareFastIfPossible(const ConfigSection& section,
                                        Endpoint& endpoint, Wiring& wiring) {
  const absl::Status status = PrepareFast(section, endpoint, wiring);
  if (status.ok() || wiring.config.datapath != DatapathMode::kBpf) return;
  LogWarning("a tunnel can not take the fast path",
             {{"tunnel", wiring.config.name},
              {"cause", std::string(status.message())}});
}

void ManagerImpl::DeferFast(Wiring& wiring) {
  wiring.fast = {};
  wiring.fast.deferred = true;
  wiring.fast.why = WhyUserPathNow(wiring);
  wiring.fast.deferred = wiring.fast.why == kJustStarted;
  if (wiring.fast.deferred) NoteFastUser();
}

bool ManagerImpl::RefreshFastOf(const ConfigSection& section,
                                TunnelRecord& tunnel, Wiring& wiring,
                                const std::vector<EndpointKey>& keys,
                                bool sends) {
  const bool had = wiring.fast.entry != nullptr;
  const std::string why = WhyUserPathNow(wiring);
  if (had && why.empty() && RecordOf(wiring) == wiring.fast.record)
    return false;
  if (!had && why == wiring.fast.why) return false;
  // The kernel may use the old record until it is given out again.
  const FastWiring before = std::exchange(wiring.fast, {});
  PrepareFastIfPossible(section, *tunnel.endpoint, wiring);
  const FastEntry* const entry = wiring.fast.entry.get();
  if (!had && entry == nullptr) return wiring.fast.why != before.why;
  if (tunnel.detached) return true;
  for (const EndpointKey& key : keys) {
    if (const auto fast = FastKeyOf(key)) fast_.SetInput(*fast, entry);
  }
  if (sends && !tunnel.paused) tunnel.endpoint->SetFastOutput(entry);
  return true;
}

bool ManagerImpl::RefreshFast(const ConfigSection& section,
                              TunnelRecord& tunnel) {
  if (tunnel.failed || tunnel.wiring.fast.deferred) return false;
  if (!tunnel.overlap.has_value()) {
    return RefreshFastOf(section, tunnel, tunnel.wiring, tunnel.wiring.keys,
                         true);
  }
  Overlap& overlap = *tunnel.overlap;
  overlap.old.underlay =
      EvaluateUnderlay(overlap.old, tunnel.endpoint->device().ifindex());
  const bool changed = RefreshFastOf(section, tunnel, tunnel.wiring,
                                     tunnel.wiring.keys, overlap.turned);
  RefreshFastOf(section, tunnel, overlap.old, OldKeys(tunnel), !overlap.turned);
  return changed;
}

void ManagerImpl::TurnRefreshed(const ConfigSection& section,
                                const std::vector<TunnelRecord*>& tunnels) {
  if (tunnels.empty()) return;
  fast_.Wait();
  AwaitTurns(section, path(), tunnels);
}

void ManagerImpl::NoteFastUser() {
  {
    const MutexLock lock(reconcile_mu_);
    if (fast_used_) return;
    fast_used_ = true;
  }
  reconcile_cv_.NotifyAll();
}

void ManagerImpl::LookAtFastPaths() {
  const uint64_t learned = paths_.learned();
  const bool ipsec = platform_.links.HasIpsecPolicies();
  const bool straight = platform_.links.GoesStraight();
  const uint64_t now_ns = SteadyCoarseNs();
  FastSeen& seen = fast_seen_;
  if (learned == seen.learned && ipsec == seen.ipsec &&
      straight == seen.straight && now_ns < seen.until_ns) {
    return;
  }
  // Programs that are still being loaded are waited for without the lock.
  fast_.AwaitLoaded();
  seen = {learned, ipsec, straight, UINT64_MAX};
  std::string next;  // where the next part begins
  for (bool more = true; more;) {
    const std::optional<ConfigSection> section =
        EnterAsMonitor("monitor: path of the fast path");
    if (!section.has_value()) return;  // stopping
    fast_.SetClaiming(straight);
    std::vector<TunnelRecord*> refreshed;
    auto it = tunnels_.lower_bound(next);
    for (; it != tunnels_.end() && refreshed.size() < kMostRefreshed; ++it) {
      TunnelRecord& tunnel = *it->second;
      tunnel.wiring.fast.deferred = false;
      if (RefreshFast(*section, tunnel)) {
        refreshed.push_back(&tunnel);
        Announce(*section, tunnel);
      }
      if (tunnel.wiring.fast.entry == nullptr) continue;
      if (const auto known = tunnel.wiring.underlay.path->LearnedNow(now_ns))
        seen.until_ns = std::min(seen.until_ns, known->expires_ns);
    }
    TurnRefreshed(*section, refreshed);
    more = it != tunnels_.end();
    if (more) next = it->first;
  }
}

}  // namespace tunnel
