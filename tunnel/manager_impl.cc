#include "tunnel/manager_impl.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tunnel/base/cpu.h"
#include "tunnel/base/error.h"
#include "tunnel/base/log.h"
#include "tunnel/base/status_macros.h"

namespace tunnel {
ManagerImpl::ManagerImpl(const TunnelManager::Options& options,
                         Platform& platform, size_t workers)
    : options_(options),
      platform_(platform),
      fast_(platform.fast != nullptr ? *platform.fast : no_fast_),
      qsbr_(workers),
      lock_(options.max_lock_waiters) {}

absl::Status ManagerImpl::Start() {
  if (options_.datapath == DatapathMode::kBpf) RETURN_IF_ERROR(fast_.Usable());
  absl::StatusOr<std::vector<std::unique_ptr<Transport>>> transports =
      platform_.transport.Open(qsbr_.readers());
  if (!transports.ok()) return transports.status();
  auto pool = WorkerPool::Create(
      table_, qsbr_, *std::move(transports), AllowedCpus(),
      {options_.busy_poll, options_.dispatch, options_.handoff_packets});
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
  for (const auto& [name, tunnel] : tunnels_) {
    for (const EndpointKey& key : tunnel->wiring.keys)
      if (const auto fast = FastKeyOf(key)) fast_.ForgetInput(*fast);
    if (!tunnel->overlap.has_value()) continue;
    for (const EndpointKey& key : tunnel->overlap->old.keys)
      if (const auto fast = FastKeyOf(key)) fast_.ForgetInput(*fast);
  }
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
  request.times = call.lock_times;
  return lock_.Enter(request);
}

absl::StatusOr<ConfigSection> ManagerImpl::EnterToChange(
    const CallContext& call, const ChangeOptions& options,
    std::optional<ApplyResult>& replay) {
  ASSIGN_OR_RETURN(ConfigSection section, Enter(call, options));
  section.SetStep("check");
  if (!options.request_id.empty()) {
    ASSIGN_OR_RETURN(const ApplyResult* first,
                     requests_.Find(section, options.request_id,
                                    options.request_fingerprint));
    if (first != nullptr) {
      replay = *first;
      replay->replayed = true;
      for (ChangeResult& change : replay->changes) change.replayed = true;
      return section;
    }
  }
  RETURN_IF_ERROR(CheckNothingPending(section));
  return section;
}

void ManagerImpl::Remember(const ConfigSection& section,
                           const ChangeOptions& options,
                           const ApplyResult& result) {
  if (options.request_id.empty()) return;
  requests_.Add(section,
                {options.request_id, options.request_fingerprint, result});
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
    const std::string& etag = tunnel->wiring.etag;
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
      absl::StrCat("tunnel \"", tunnel.name(), "\": ", tunnel.failure),
      {{"name", tunnel.name()}});
}

TunFactory::Request ManagerImpl::TunRequest(
    const EndpointConfig& config) const {
  TunFactory::Request request;
  request.name = config.name;
  request.ethernet = config.encap.mode == encap::Mode::kGretap;
  // `queues` says how many workers share them, and can change; the device has
  // one for each worker, so that the kernel's choice of a flow's queue stays.
  request.queues = std::min<size_t>(pool_->size(), kMaxQueues);
  return request;
}

void ManagerImpl::LogIfError(const absl::Status& status,
                             const std::string& tunnel, const char* what) {
  if (status.ok()) return;
  LogError(what,
           {{"tunnel", tunnel}, {"cause", std::string(status.message())}});
}

TunnelView ManagerImpl::PlannedView(const Wiring& wiring) {
  TunnelView view;
  view.config = wiring.config;
  view.etag = wiring.etag;
  view.effective_local = wiring.local;
  view.effective_mtu = wiring.underlay.effective_mtu;
  view.mtu_reason = wiring.underlay.mtu_reason;
  view.path = wiring.underlay.path;
  view.link = wiring.underlay.next_hop;
  view.overhead = encap::EncapOverhead(wiring.config.encap);
  view.datapath_reason = wiring.fast.why;
  view.kernel_steering = wiring.fast.steered;
  if (wiring.fast.why.empty()) view.datapath_in_use = DatapathMode::kBpf;
  return view;
}

void ManagerImpl::SetOperState(const Wiring& wiring, TunnelView& view) {
  if (view.detached && view.datapath_in_use == DatapathMode::kBpf) {
    view.datapath_in_use = DatapathMode::kUser;
    view.datapath_reason = "detached by an operator";
  }
  if (!wiring.config.admin_up) {
    view.oper_state = OperState::kDown;
    view.oper_reason = "administratively down";
  } else if (view.detached) {
    view.oper_state = OperState::kDetached;
    view.oper_reason = "detached by an operator";
  } else if (view.paused) {
    view.oper_state = OperState::kPaused;
    view.oper_reason = "paused by an operator";
  } else if (wiring.underlay.receive_only) {
    view.oper_state = OperState::kUp;
    view.oper_reason = wiring.underlay.block_reason;
  } else if (wiring.underlay.transmit_block != encap::DropReason::kNone) {
    view.oper_state =
        wiring.underlay.transmit_block == encap::DropReason::kRecursion
            ? OperState::kLoop
            : OperState::kDown;
    view.oper_reason = wiring.underlay.block_reason;
  } else {
    view.oper_state = OperState::kUp;
  }
}

TunnelView ManagerImpl::View(const TunnelRecord& tunnel) {
  TunnelView view = PlannedView(tunnel.wiring);
  view.ifindex = tunnel.endpoint->device().ifindex();
  view.generation = tunnel.generation;
  view.create_time = tunnel.create_time;
  view.update_time = tunnel.update_time;
  view.paused = tunnel.paused;
  view.detached = tunnel.detached;
  if (tunnel.overlap.has_value()) view.overlap_until = tunnel.overlap->until;
  if (tunnel.failed) {
    view.oper_state = OperState::kFailed;
    view.oper_reason = tunnel.failure;
    view.datapath_in_use = DatapathMode::kUser;
    view.datapath_reason = "it has no device";
  } else {
    SetOperState(tunnel.wiring, view);
  }
  return view;
}

TunnelView ManagerImpl::ViewAfter(const TransactionPart& part) {
  if (part.action == ChangeAction::kDeleted) return View(*part.tunnel);
  const TunnelRecord& tunnel =
      part.tunnel != nullptr ? *part.tunnel : *part.made;
  TunnelView view = PlannedView(part.next);
  view.ifindex = tunnel.endpoint->device().ifindex();
  view.generation = tunnel.generation + 1;
  view.create_time = tunnel.create_time;
  view.update_time = absl::Now();
  view.paused = tunnel.paused;
  view.detached = tunnel.detached;
  if (part.overlap.has_value()) view.overlap_until = part.overlap->until;
  SetOperState(part.next, view);
  return view;
}

StoredTunnel ManagerImpl::Stored(const TunnelRecord& tunnel) {
  StoredTunnel stored;
  stored.config = tunnel.wiring.config;
  stored.ifindex = tunnel.endpoint->device().ifindex();
  stored.generation = tunnel.generation;
  stored.create_time = tunnel.create_time;
  stored.update_time = tunnel.update_time;
  // A pause that ends by itself is over when the manager starts again.
  stored.paused = tunnel.paused && !tunnel.resume_at.has_value();
  stored.detached = tunnel.detached;
  return stored;
}

std::string ManagerImpl::ConfigEtag(const ConfigSection&) const {
  std::vector<std::string> etags;
  etags.reserve(tunnels_.size());
  for (const auto& [name, tunnel] : tunnels_)
    etags.push_back(tunnel->wiring.etag);
  return EtagOfAll(etags);
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
