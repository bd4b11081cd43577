#include "tunnel/manager_impl.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tunnel/base/cpu.h"
#include "tunnel/base/error.h"
#include "tunnel/base/status_macros.h"

namespace tunnel {
namespace {

constexpr uint32_t kFallbackUnderlayMtu =
    1500;  // bytes, while there is no route

std::string KeyText(const std::optional<uint32_t>& key) {
  return key.has_value() ? absl::StrCat(*key) : "none";
}

absl::Status PairInUse(const EndpointKey& key, const Endpoint& holder) {
  const std::string local = key.addresses.local.ToString();
  const std::string remote = key.addresses.remote.ToString();
  return MakeError(
      Reason::kEndpointPairInUse,
      absl::StrCat("local ", local, " remote ", remote, " input key ",
                   KeyText(key.key), " protocol ",
                   static_cast<int>(key.protocol), " belongs to tunnel \"",
                   holder.name(),
                   "\"; choose another pair or key, or delete that tunnel"),
      {{"tunnel", holder.name()},
       {"local", local},
       {"remote", remote},
       {"key", KeyText(key.key)}});
}

}  // namespace

ManagerImpl::ManagerImpl(const TunnelManager::Options& options,
                         Platform& platform, size_t workers)
    : options_(options),
      platform_(platform),
      qsbr_(workers),
      lock_(options.max_lock_waiters) {}

absl::Status ManagerImpl::Start() {
  absl::StatusOr<std::vector<std::unique_ptr<Transport>>> transports =
      platform_.transport.Open(qsbr_.readers());
  if (!transports.ok()) return transports.status();
  auto pool =
      WorkerPool::Create(table_, qsbr_, *std::move(transports), AllowedCpus());
  if (!pool.ok()) return pool.status();
  pool_ = *std::move(pool);
  RETURN_IF_ERROR(platform_.links.StartMonitor(
      [this](const LinkEvent& event) { OnLinkEvent(event); }));
  reconciler_ = std::thread([this] { ReconcileLoop(); });
  return absl::OkStatus();
}

ManagerImpl::~ManagerImpl() {
  lock_.Close();
  if (reconciler_.joinable()) {
    platform_.links.StopMonitor();
    {
      const MutexLock lock(reconcile_mu_);
      stop_ = true;
    }
    reconcile_cv_.NotifyAll();
    reconciler_.join();
  }
  // The workers end first, so that nothing reads what is freed next.
  if (pool_ != nullptr) pool_->Stop();
  tunnels_.clear();
}

absl::StatusOr<ConfigSection> ManagerImpl::Enter(const CallContext& call,
                                                 const ChangeOptions& options) {
  ConfigLock::Request request;
  request.operation = call.operation;
  request.uid = call.uid;
  request.pid = call.pid;
  request.deadline = call.deadline;
  request.lock_timeout = options.lock_timeout;
  request.cancel = call.cancel;
  return lock_.Enter(request);
}

absl::Status ManagerImpl::NotFound(absl::string_view name) const {
  const std::string closest = bus_.Closest(name);
  return MakeError(
      Reason::kTunnelNotFound,
      absl::StrCat("no tunnel is named \"", name, "\"",
                   closest.empty()
                       ? std::string("; tunnelctl show lists them all")
                       : absl::StrCat("; did you mean \"", closest, "\"?")),
      {{"name", std::string(name)}, {"closest", closest}});
}

absl::StatusOr<TunnelRecord*> ManagerImpl::Lookup(
    const ConfigSection&, absl::string_view name,
    const ChangeOptions& options) {
  const auto it = tunnels_.find(std::string(name));
  if (it == tunnels_.end()) return NotFound(name);
  TunnelRecord* tunnel = it->second.get();
  if (!options.if_match.empty()) {
    const std::string etag = Etag(tunnel->wiring.config);
    if (etag != options.if_match) {
      return MakeError(
          Reason::kEtagMismatch,
          absl::StrCat("tunnel \"", name, "\": wanted etag ", options.if_match,
                       ", it is ", etag, "; read the tunnel again and repeat"),
          {{"name", std::string(name)},
           {"etag", etag},
           {"wanted", options.if_match}});
    }
  }
  return tunnel;
}

absl::Status ManagerImpl::CheckNotFailed(const TunnelRecord& tunnel) {
  if (!tunnel.failed) return absl::OkStatus();
  return MakeError(
      Reason::kInvalidState,
      absl::StrCat(
          "tunnel \"", tunnel.name(),
          "\": its network device has been removed; delete the tunnel and "
          "create it again"),
      {{"name", tunnel.name()}});
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

UnderlayState ManagerImpl::EvaluateUnderlay(const EndpointConfig& config,
                                            uint32_t underlay_ifindex,
                                            uint32_t own_ifindex) {
  UnderlayState state;
  const encap::EncapConfig& encap = config.encap;
  const uint32_t overhead = encap::EncapOverhead(encap);
  const absl::StatusOr<RouteInfo> route = platform_.links.RouteTo(
      encap.remote, encap.local, underlay_ifindex, config.fwmark);
  if (config.mtu.has_value()) {
    state.effective_mtu = *config.mtu;
    state.mtu_reason = absl::StrCat(*config.mtu, " (configured)");
  } else {
    const uint32_t underlay =
        route.ok() && route->mtu != 0 ? route->mtu : kFallbackUnderlayMtu;
    const uint32_t least = encap.local.is_v6() ? kMinMtuV6 : kMinMtuV4;
    state.effective_mtu =
        std::clamp(underlay > overhead ? underlay - overhead : least, least,
                   kMaxMtu - overhead);
    state.mtu_reason = absl::StrCat(
        underlay,
        route.ok() ? absl::StrCat(" (route via ", route->device, ")")
                   : " (no route yet)",
        " - ", overhead, " (outer headers)");
  }
  if (!platform_.links.IsLocalAddress(encap.local)) {
    state.transmit_block = encap::DropReason::kNoRoute;
    state.block_reason = absl::StrCat("local address ", encap.local.ToString(),
                                      " is not on this host");
  } else if (route.ok() && own_ifindex != 0 && route->ifindex == own_ifindex) {
    state.transmit_block = encap::DropReason::kRecursion;
    state.block_reason = absl::StrCat("the route to ", encap.remote.ToString(),
                                      " leads into the tunnel itself");
  }
  return state;
}

absl::StatusOr<Wiring> ManagerImpl::Plan(const EndpointConfig& config,
                                         uint32_t own_ifindex) {
  Wiring wiring;
  wiring.config = config;
  ASSIGN_OR_RETURN(wiring.underlay_ifindex, ResolveDevice(config));
  wiring.keys = EndpointKeys(config.encap, wiring.underlay_ifindex);
  wiring.underlay =
      EvaluateUnderlay(config, wiring.underlay_ifindex, own_ifindex);
  return wiring;
}

absl::Status ManagerImpl::CheckPairFree(const ConfigSection& section,
                                        const Wiring& wiring,
                                        const Endpoint* self) const {
  for (const EndpointKey& key : wiring.keys) {
    const Endpoint* holder = table_.Holder(section, key);
    if (holder != nullptr && holder != self) return PairInUse(key, *holder);
  }
  return absl::OkStatus();
}

absl::Status ManagerImpl::ReserveAndCommit(const ConfigSection& section,
                                           const Wiring& wiring,
                                           const Endpoint& owner) {
  std::vector<EndpointKey> reserved;
  absl::Status status;
  for (const EndpointKey& key : wiring.keys) {
    if (table_.Holder(section, key) == &owner) continue;  // kept from before
    if (const Endpoint* holder = table_.Reserve(section, key, owner)) {
      status = PairInUse(key, *holder);
      break;
    }
    reserved.push_back(key);
  }
  if (status.ok()) status = section.CommitPoint();
  if (status.ok()) return status;
  for (const EndpointKey& key : reserved) table_.Release(section, key);
  qsbr_.Wait();  // a worker may have met a reserved entry
  table_.Reclaim(section);
  return status;
}

absl::Status ManagerImpl::PrepareLink(const ConfigSection& section,
                                      LinkChanges& link, const Wiring* from,
                                      const Wiring& to) {
  // A new device has MTU 1500, the kernel's queue length and no address.
  static const EndpointConfig kNewDevice;
  const EndpointConfig& old_config =
      from == nullptr ? kNewDevice : from->config;
  const uint32_t old_mtu =
      from == nullptr ? 1500 : from->underlay.effective_mtu;
  RETURN_IF_ERROR(link.SetMtu(old_mtu, to.underlay.effective_mtu));
  RETURN_IF_ERROR(section.CheckInterrupt());
  RETURN_IF_ERROR(
      link.SetTxQueueLen(old_config.txqueuelen, to.config.txqueuelen));
  RETURN_IF_ERROR(section.CheckInterrupt());
  return link.SetAddresses(old_config.addresses, to.config.addresses);
}

TunnelView ManagerImpl::PlannedView(const Wiring& wiring) {
  TunnelView view;
  view.config = wiring.config;
  view.etag = Etag(wiring.config);
  view.effective_mtu = wiring.underlay.effective_mtu;
  view.mtu_reason = wiring.underlay.mtu_reason;
  view.overhead = encap::EncapOverhead(wiring.config.encap);
  return view;
}

TunnelView ManagerImpl::View(const TunnelRecord& tunnel) {
  const Wiring& wiring = tunnel.wiring;
  TunnelView view = PlannedView(wiring);
  view.ifindex = tunnel.endpoint->device().ifindex();
  view.generation = tunnel.generation;
  view.create_time = tunnel.create_time;
  view.update_time = tunnel.update_time;
  view.paused = tunnel.paused;
  view.detached = tunnel.detached;
  if (tunnel.failed) {
    view.oper_state = OperState::kFailed;
    view.oper_reason =
        "the network device has been removed; delete the tunnel and create it "
        "again";
  } else if (!wiring.config.admin_up) {
    view.oper_state = OperState::kDown;
    view.oper_reason = "administratively down";
  } else if (tunnel.detached) {
    view.oper_state = OperState::kDetached;
    view.oper_reason = "detached by an operator";
  } else if (tunnel.paused) {
    view.oper_state = OperState::kPaused;
    view.oper_reason = "paused by an operator";
  } else if (wiring.underlay.transmit_block != encap::DropReason::kNone) {
    view.oper_state = OperState::kDown;
    view.oper_reason = wiring.underlay.block_reason;
  } else {
    view.oper_state = OperState::kUp;
  }
  return view;
}

void ManagerImpl::Commit(const ConfigSection& section, TunnelRecord& tunnel) {
  ++tunnel.generation;
  tunnel.update_time = absl::Now();
  Announce(section, tunnel);
}

void ManagerImpl::Announce(const ConfigSection&, const TunnelRecord& tunnel) {
  bus_.Put(View(tunnel), tunnel.endpoint->counter_blocks());
}

}  // namespace tunnel
