// What a change would be: checks that touch nothing.

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/manager_impl.h"

namespace tunnel {
namespace {

constexpr uint32_t kFallbackUnderlayMtu =
    1500;  // bytes, while there is no route

std::string KeyText(const std::optional<uint32_t>& key) {
  return key.has_value() ? absl::StrCat(*key) : "none";
}

std::string ProtocolText(const EndpointKey& key) {
  if (key.udp_port != 0) return absl::StrCat("udp port ", key.udp_port);
  return absl::StrCat("protocol ", static_cast<int>(key.protocol));
}

absl::Status PairInUse(const EndpointKey& key, const std::string& holder,
                       const std::string& note = "") {
  const std::string local = key.addresses.local.ToString();
  const std::string remote = encap::IsWildcard(key.addresses.remote)
                                 ? "any"
                                 : key.addresses.remote.ToString();
  return MakeError(
      Reason::kEndpointPairInUse,
      absl::StrCat("local ", local, " remote ", remote, " input key ",
                   KeyText(key.key), " ", ProtocolText(key),
                   " belongs to tunnel \"", holder, "\"", note,
                   "; choose another pair or key, or delete that tunnel"),
      {{"tunnel", holder},
       {"local", local},
       {"remote", remote},
       {"key", KeyText(key.key)}});
}

absl::Status NameInUse(absl::string_view name, absl::string_view by) {
  return MakeError(
      Reason::kNameInUse,
      absl::StrCat("name \"", name, "\" is taken by ", by, "; choose another"),
      {{"name", std::string(name)}});
}

void SetMtu(const EndpointConfig& config,
            const absl::StatusOr<RouteInfo>& route, uint32_t underlay,
            UnderlayState& state) {
  const encap::IpAddress& remote = config.encap.remote;
  const uint32_t overhead = encap::EncapOverhead(config.encap);
  if (config.mtu.has_value()) {
    state.effective_mtu = *config.mtu;
    state.mtu_reason = absl::StrCat(*config.mtu, " (configured)");
  } else {
    const uint32_t least = remote.is_v6() ? kMinMtuV6 : kMinMtuV4;
    state.effective_mtu =
        std::clamp(underlay > overhead ? underlay - overhead : least, least,
                   kMaxMtu - overhead);
    state.mtu_reason = absl::StrCat(
        underlay,
        route.ok() ? absl::StrCat(" (route via ", route->device, ")")
        : encap::IsWildcard(remote) ? " (remote any)"
                                    : " (no route yet)",
        " - ", overhead, " (outer headers)");
  }
}

// `loops`: the route to the remote leads into the tunnel.
void SetTransmitBlock(const Wiring& wiring, bool local_is_here, bool loops,
                      UnderlayState& state) {
  const EndpointConfig& config = wiring.config;
  const encap::IpAddress& remote = config.encap.remote;
  if (LacksDevice(wiring)) {
    state.transmit_block = encap::DropReason::kNoRoute;
    state.block_reason =
        absl::StrCat("interface ", config.underlay_device, " is not there");
  } else if (wiring.local.family() == encap::IpFamily::kNone) {
    state.transmit_block = encap::DropReason::kNoRoute;
    state.block_reason =
        absl::StrCat(config.local_device, " has no ",
                     remote.is_v6() ? "IPv6" : "IPv4", " address");
  } else if (!local_is_here) {
    state.transmit_block = encap::DropReason::kNoRoute;
    state.block_reason = absl::StrCat("local address ", wiring.local.ToString(),
                                      " is not on this host");
  } else if (encap::IsWildcard(remote)) {
    state.transmit_block = encap::DropReason::kNoRoute;
    state.receive_only = true;
    state.block_reason =
        "receive-only: remote any names no host to transmit to";
  } else if (loops) {
    state.transmit_block = encap::DropReason::kRecursion;
    state.block_reason = absl::StrCat("the route to ", remote.ToString(),
                                      " leads into the tunnel itself");
  }
}

}  // namespace

// What can not be changed in place, since the device would have to be another
// one.
absl::Status ManagerImpl::CheckFixedFields(const EndpointConfig& from,
                                           const EndpointConfig& to) {
  std::vector<FieldViolation> violations;
  if (from.name != to.name) {
    violations.push_back({"name", absl::StrCat("is \"", from.name,
                                               "\" and can not be changed")});
  }
  const bool was_tap = from.encap.mode == encap::Mode::kGretap;
  const bool is_tap = to.encap.mode == encap::Mode::kGretap;
  if (was_tap != is_tap) {
    violations.push_back({"mode",
                          "can not change between Ethernet (gretap) and IP "
                          "payload; delete and create"});
  }
  if (violations.empty()) return absl::OkStatus();
  std::string message = absl::StrCat("tunnel \"", from.name, "\":");
  for (const FieldViolation& v : violations)
    absl::StrAppend(&message, " ", v.field, " ", v.description, ";");
  message.pop_back();
  return MakeError(Reason::kFieldInvalid, message, {{"name", from.name}},
                   std::move(violations));
}

absl::StatusOr<uint32_t> ManagerImpl::ResolveDevice(
    const EndpointConfig& config) {
  if (config.underlay_device.empty()) return 0;
  const uint32_t ifindex = platform_.links.IndexOf(config.underlay_device);
  if (ifindex == 0) {
    return MakeError(
        Reason::kDeviceNotFound,
        absl::StrCat("underlay_device: no interface is named \"",
                     config.underlay_device, "\"; ip link lists them"),
        {{"device", config.underlay_device}});
  }
  return ifindex;
}

encap::IpAddress ManagerImpl::ResolveLocal(const EndpointConfig& config) {
  if (config.local_device.empty()) return config.encap.local;
  return platform_.links.AddressOf(config.local_device,
                                   config.encap.remote.family());
}

UnderlayState ManagerImpl::EvaluateUnderlay(const Wiring& wiring,
                                            uint32_t own_ifindex) {
  UnderlayState state;
  const EndpointConfig& config = wiring.config;
  const encap::IpAddress& remote = config.encap.remote;
  const absl::StatusOr<RouteInfo> route =
      encap::IsWildcard(remote)
          ? absl::NotFoundError("no route leads to any host")
          : platform_.links.RouteTo(remote, wiring.local,
                                    wiring.underlay_ifindex, config.fwmark);
  if (route.ok()) {
    state.route_ifindex = route->ifindex;
    state.ethernet = route->ethernet;
  }
  const uint32_t underlay =
      route.ok() && route->mtu != 0 ? route->mtu : kFallbackUnderlayMtu;
  state.path = paths_.Of({.addresses = {wiring.local, remote},
                          .ifindex = wiring.underlay_ifindex,
                          .mark = config.fwmark});
  state.path->SetRouteMtu(underlay);
  if (!encap::IsWildcard(remote)) {
    state.next_hop = platform_.links.FollowNextHop(
        remote, wiring.local, wiring.underlay_ifindex, config.fwmark);
  }
  if (state.ethernet && state.next_hop != nullptr) {
    state.claim = fast_.ClaimAt(state.route_ifindex);
    NoteFastUser();
  }
  SetMtu(config, route, underlay, state);
  const bool loops =
      route.ok() && own_ifindex != 0 && route->ifindex == own_ifindex;
  SetTransmitBlock(wiring, platform_.links.IsLocalAddress(wiring.local), loops,
                   state);
  return state;
}

absl::StatusOr<Wiring> ManagerImpl::Plan(const EndpointConfig& config,
                                         uint32_t own_ifindex) {
  ASSIGN_OR_RETURN(const uint32_t underlay, ResolveDevice(config));
  Wiring wiring = PlanOn(config, underlay, own_ifindex);
  const auto known = tunnels_.find(config.name);
  wiring.fast.deferred = config.datapath != DatapathMode::kBpf &&
                         known != tunnels_.end() &&
                         known->second->wiring.fast.deferred;
  wiring.fast.why = WhyUserPathNow(wiring);
  return wiring;
}

Wiring ManagerImpl::PlanOn(const EndpointConfig& config,
                           uint32_t underlay_ifindex, uint32_t own_ifindex) {
  Wiring wiring;
  wiring.config = config;
  wiring.etag = Etag(config);
  wiring.underlay_ifindex = underlay_ifindex;
  wiring.local = ResolveLocal(config);
  if (wiring.local.family() != encap::IpFamily::kNone && !LacksDevice(wiring)) {
    wiring.keys = EndpointKeys(EffectiveEncap(wiring), wiring.underlay_ifindex);
  }
  wiring.underlay = EvaluateUnderlay(wiring, own_ifindex);
  return wiring;
}

absl::Status ManagerImpl::TakeUdpPort(const Wiring* from, Wiring& to) {
  const encap::EncapConfig& encap = to.config.encap;
  if (encap.transport != encap::OuterTransport::kUdp) return absl::OkStatus();
  const UdpReceivePort port{encap.remote.family(), encap::UdpPort(encap)};
  if (from != nullptr && from->udp_port != nullptr &&
      from->udp_port->port() == port) {
    to.udp_port = from->udp_port;
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(to.udp_port,
                   UdpPortLease::Take(platform_.transport, fast_, port));
  return absl::OkStatus();
}

absl::Status ManagerImpl::PlanCreate(const ConfigSection&,
                                     const EndpointConfig& config,
                                     Transaction& tx) {
  TransactionPart part;
  part.action = ChangeAction::kCreated;
  part.name = config.name;
  ASSIGN_OR_RETURN(part.next, Plan(config, 0));
  part.result.changes = Diff(EndpointConfig{}, config);
  for (FieldDifference& change : part.result.changes) change.old_value.clear();
  tx.parts.push_back(std::move(part));
  return absl::OkStatus();
}

absl::Status ManagerImpl::PlanUpdate(const ConfigSection&, TunnelRecord& tunnel,
                                     const EndpointConfig& config,
                                     Transaction& tx) {
  RETURN_IF_ERROR(CheckNotFailed(tunnel));
  TransactionPart part;
  part.action = ChangeAction::kUpdated;
  part.name = tunnel.name();
  part.tunnel = &tunnel;
  ASSIGN_OR_RETURN(part.next,
                   Plan(config, tunnel.endpoint->device().ifindex()));
  part.plan = PlanRewire(tunnel.wiring, part.next);
  part.result.changes = Diff(tunnel.wiring.config, config);
  tx.parts.push_back(std::move(part));
  return absl::OkStatus();
}

void ManagerImpl::PlanDelete(const ConfigSection&, TunnelRecord& tunnel,
                             Transaction& tx) {
  TransactionPart part;
  part.action = ChangeAction::kDeleted;
  part.name = tunnel.name();
  part.tunnel = &tunnel;
  part.result.changes = Diff(tunnel.wiring.config, EndpointConfig{});
  for (FieldDifference& change : part.result.changes) change.new_value.clear();
  tx.parts.push_back(std::move(part));
}

absl::Status ManagerImpl::CheckEndState(const ConfigSection& section,
                                        const Transaction& tx) const {
  RETURN_IF_ERROR(CheckNames(tx));
  return CheckKeys(section, tx);
}

absl::Status ManagerImpl::CheckNames(const Transaction& tx) const {
  std::set<std::string> leaving;
  size_t created = 0;
  for (const TransactionPart& part : tx.parts) {
    if (part.action == ChangeAction::kDeleted) leaving.insert(part.name);
  }
  for (const TransactionPart& part : tx.parts) {
    if (part.action != ChangeAction::kCreated) continue;
    ++created;
    if (tunnels_.count(part.name) != 0 && leaving.count(part.name) == 0)
      return NameInUse(part.name, "another tunnel");
    if (platform_.links.IndexOf(part.name) != 0) {
      return NameInUse(
          part.name, "a network interface that is not a tunnel of this daemon");
    }
  }
  const size_t total = tunnels_.size() - leaving.size() + created;
  if (created == 0 || total <= options_.max_tunnels) return absl::OkStatus();
  return MakeError(Reason::kTunnelLimit,
                   absl::StrCat("there would be ", total,
                                " tunnels, the limit is ", options_.max_tunnels,
                                "; delete some or raise --max_tunnels"),
                   {{"limit", absl::StrCat(options_.max_tunnels)}});
}

absl::Status ManagerImpl::CheckKeys(const ConfigSection& section,
                                    const Transaction& tx) const {
  std::map<const Endpoint*, const TransactionPart*> concerned;
  for (const TransactionPart& part : tx.parts) {
    if (part.tunnel != nullptr) concerned[part.tunnel->endpoint.get()] = &part;
  }
  const auto gives_up = [&](const Endpoint* holder, const EndpointKey& key) {
    const auto it = concerned.find(holder);
    if (it == concerned.end()) return false;
    const std::vector<EndpointKey>& next = it->second->next.keys;
    return std::find(next.begin(), next.end(), key) == next.end();
  };
  absl::flat_hash_map<EndpointKey, const TransactionPart*> wanted;
  for (const TransactionPart& part : tx.parts) {
    for (const EndpointKey& key : part.next.keys) {
      const auto [other, fresh] = wanted.emplace(key, &part);
      if (!fresh) return PairInUse(key, other->second->name);
      const Endpoint* holder = table_.Holder(section, key);
      if (holder == nullptr || gives_up(holder, key)) continue;
      if (part.tunnel == nullptr || part.tunnel->endpoint.get() != holder)
        return PairInUse(key, holder->name(), OverlapNote(key, holder->name()));
    }
  }
  return absl::OkStatus();
}

}  // namespace tunnel
