// The walk of every change: plan, check, prepare, commit, execute.

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "tunnel/base/clock.h"
#include "tunnel/base/error.h"
#include "tunnel/base/fault.h"
#include "tunnel/base/log.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/manager_impl.h"

namespace tunnel {
namespace {

void SortByName(ApplyResult& result) {
  std::stable_sort(result.changes.begin(), result.changes.end(),
                   [](const ChangeResult& a, const ChangeResult& b) {
                     return a.tunnel.config.name < b.tunnel.config.name;
                   });
}

const TunnelRecord& RecordOf(const TransactionPart& part) {
  return part.tunnel != nullptr ? *part.tunnel : *part.made;
}

}  // namespace

absl::StatusOr<ApplyResult> ManagerImpl::Run(const CallContext& call,
                                             const ChangeOptions& options,
                                             const Planner& plan) {
  if (FaultActive(Fault::kCheckBeforeLock))
    RETURN_IF_ERROR(CheckTooEarly(call, options, plan));
  std::optional<ApplyResult> replay;
  ASSIGN_OR_RETURN(const ConfigSection section,
                   EnterToChange(call, options, replay));
  if (replay.has_value()) return *std::move(replay);
  const SteadyTime start = SteadyNow();
  Transaction tx;
  RETURN_IF_ERROR(plan(section, tx));
  ASSIGN_OR_RETURN(ApplyResult result, Carry(section, options, tx));
  result.lock_hold = Since(start);
  return result;
}

#ifdef TUNNELD_SEEDED_FAULTS
// Looks under one hold of the lock and acts under another.
absl::Status ManagerImpl::CheckTooEarly(const CallContext& call,
                                        const ChangeOptions& options,
                                        const Planner& plan) {
  ASSIGN_OR_RETURN(const ConfigSection section, Enter(call, options));
  Transaction tx;
  RETURN_IF_ERROR(plan(section, tx));
  return CheckEndState(section, tx);
}
#endif

absl::StatusOr<ChangeResult> ManagerImpl::RunOne(const CallContext& call,
                                                 const ChangeOptions& options,
                                                 const Planner& plan) {
  ASSIGN_OR_RETURN(ApplyResult result, Run(call, options, plan));
  return std::move(result.changes.front());
}

absl::StatusOr<ApplyResult> ManagerImpl::Carry(const ConfigSection& section,
                                               const ChangeOptions& options,
                                               Transaction& tx) {
  const bool changes = !tx.parts.empty();
  ApplyResult result;
  if (changes) {
    if (!FaultActive(Fault::kCheckBeforeLock))
      RETURN_IF_ERROR(CheckEndState(section, tx));
    if (!options.validate_only) RETURN_IF_ERROR(Do(section, options, tx));
    TakeResults(options, tx, result);
  } else if (tx.untouched.has_value()) {
    result = Of(*tx.untouched);
  }
  result.no_op = !changes;
  result.validated_only = options.validate_only;
  result.lock_wait = section.lock_wait();
  for (ChangeResult& change : result.changes)
    change.timing.lock_wait = section.lock_wait();
  SortByName(result);
  result.etag = ConfigEtag(section);
  result.pending = Pending();
  if (!options.validate_only) Remember(section, options, result);
  return result;
}

absl::Status ManagerImpl::Do(const ConfigSection& section,
                             const ChangeOptions& options, Transaction& tx) {
  section.SetStep("prepare");
  for (TransactionPart& part : tx.parts)
    RETURN_IF_ERROR(PreparePart(section, part));
  RETURN_IF_ERROR(ReserveAndCommit(section, options, tx));
  Execute(section, tx);
  if (FaultActive(Fault::kStoreAfterSteps) && options_.store != nullptr)
    return options_.store->Commit(*tx.late_commit);
  return absl::OkStatus();
}

void ManagerImpl::TakeResults(const ChangeOptions& options, Transaction& tx,
                              ApplyResult& result) {
  for (TransactionPart& part : tx.parts) {
    part.result.action = part.action;
    part.result.validated_only = options.validate_only;
    if (options.validate_only && part.action != ChangeAction::kDeleted) {
      part.result.tunnel = PlannedView(part.next);
      if (part.action == ChangeAction::kCreated)
        part.result.tunnel.oper_reason = "not created: validate_only";
    } else if (options.validate_only) {
      part.result.tunnel = View(*part.tunnel);
    }
    result.changes.push_back(std::move(part.result));
  }
}

absl::Status ManagerImpl::PreparePart(const ConfigSection& section,
                                      TransactionPart& part) {
  RETURN_IF_ERROR(section.CheckInterrupt());
  const SteadyTime start = SteadyNow();
  absl::Status status;
  if (part.action == ChangeAction::kCreated) {
    status = PrepareCreate(section, part);
  } else if (part.action == ChangeAction::kUpdated) {
    status = PrepareUpdate(section, part);
  }
  part.result.timing.prepare = Since(start);
  return status;
}

// The record with its device and link settings.
absl::Status ManagerImpl::PrepareCreate(const ConfigSection& section,
                                        TransactionPart& part) {
  const EndpointConfig& config = part.next.config;
  const size_t workers = pool_->size();
  RETURN_IF_ERROR(TakeUdpPort(nullptr, part.next));
  ASSIGN_OR_RETURN(std::unique_ptr<TunDevice> device,
                   platform_.tun.Open(TunRequest(config)));
  auto tunnel = std::make_unique<TunnelRecord>();
  tunnel->spread = next_spread_++;
  tunnel->create_time = absl::Now();
  if (part.origin.has_value()) {
    tunnel->create_time = part.origin->create_time;
    tunnel->generation = part.origin->generation;
    tunnel->paused = part.origin->paused;
    tunnel->detached = part.origin->detached;
  }
  tunnel->endpoint =
      std::make_unique<Endpoint>(config.name, std::move(device), workers);
  part.made = std::move(tunnel);
  Endpoint& endpoint = *part.made->endpoint;
  const uint32_t ifindex = endpoint.device().ifindex();
  part.link = std::make_unique<LinkChanges>(platform_.links, ifindex);
  RETURN_IF_ERROR(PrepareLink(section, *part.link, nullptr, part.next));
  RETURN_IF_ERROR(section.CheckInterrupt());
  RETURN_IF_ERROR(part.link->SetUp(false, config.admin_up));
  // The interface is up now: its own routes count.
  part.next.underlay = EvaluateUnderlay(part.next, ifindex);
  part.next.variant = BuildVariant(endpoint, part.next,
                                   std::make_shared<FlowContexts>(workers));
  if (!part.origin.has_value())
    return PrepareFast(section, endpoint, part.next);
  PrepareFastIfPossible(section, endpoint, part.next);
  return absl::OkStatus();
}

absl::Status ManagerImpl::PrepareUpdate(const ConfigSection& section,
                                        TransactionPart& part) {
  TunnelRecord& tunnel = *part.tunnel;
  Endpoint& endpoint = *tunnel.endpoint;
  RETURN_IF_ERROR(TakeUdpPort(&tunnel.wiring, part.next));
  part.next.variant =
      BuildVariant(endpoint, part.next,
                   part.plan == RewirePlan::kRewire
                       ? std::make_shared<FlowContexts>(pool_->size())
                       : tunnel.wiring.variant->contexts);
  RETURN_IF_ERROR(PrepareFast(section, endpoint, part.next));
  if (part.plan != RewirePlan::kPublish ||
      part.next.config.txqueuelen != tunnel.wiring.config.txqueuelen) {
    part.kernel_drops_before =
        platform_.links.TransmitDrops(endpoint.device().ifindex());
  }
  part.link = std::make_unique<LinkChanges>(platform_.links,
                                            endpoint.device().ifindex());
  RETURN_IF_ERROR(PrepareLink(section, *part.link, &tunnel.wiring, part.next));
  // Up can fail, so it comes before the commit line; down takes routes with it
  // that no way back could restore, so it comes after.
  if (!part.next.config.admin_up) return absl::OkStatus();
  return part.link->SetUp(tunnel.wiring.config.admin_up, true);
}

uint64_t ManagerImpl::KernelDropsSince(const TransactionPart& part) {
  if (!part.kernel_drops_before.has_value()) return 0;
  const uint64_t before = *part.kernel_drops_before;
  const uint64_t now =
      platform_.links.TransmitDrops(part.tunnel->endpoint->device().ifindex());
  return now < before ? 0 : now - before;  // the interface may have gone
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

absl::Status ManagerImpl::ReserveAndCommit(const ConfigSection& section,
                                           const ChangeOptions& options,
                                           Transaction& tx) {
  // What comes for a key that is reserved and not attached yet is lost, too.
  for (TransactionPart& part : tx.parts)
    part.drops_before = TotalDrops(*RecordOf(part).endpoint);
  std::vector<EndpointKey> reserved;
  absl::Status status = Reserve(section, tx, reserved);
  if (status.ok()) status = section.CommitPoint();
  if (status.ok()) status = Store(options, tx);
  if (status.ok()) return status;
  for (const EndpointKey& key : reserved) table_.Release(section, key);
  qsbr_.Wait();  // a worker may have met a reserved entry
  table_.Reclaim(section);
  return status;
}

// Keys that nobody has. Those that a tunnel of the transaction gives up change
// hands past the commit line.
absl::Status ManagerImpl::Reserve(const ConfigSection& section,
                                  const Transaction& tx,
                                  std::vector<EndpointKey>& reserved) {
  for (const TransactionPart& part : tx.parts) {
    const Endpoint* owner = part.tunnel != nullptr ? part.tunnel->endpoint.get()
                            : part.made != nullptr ? part.made->endpoint.get()
                                                   : nullptr;
    for (const EndpointKey& key : part.next.keys) {
      if (table_.Holder(section, key) != nullptr) continue;
      table_.Reserve(section, key, *owner);
      reserved.push_back(key);
    }
  }
  return section.CheckInterrupt();
}

absl::Status ManagerImpl::Store(const ChangeOptions& options, Transaction& tx) {
  if (options_.store == nullptr) return absl::OkStatus();
  StoreCommit commit;
  ApplyResult result;
  for (TransactionPart& part : tx.parts) {
    const TunnelRecord& tunnel =
        part.tunnel != nullptr ? *part.tunnel : *part.made;
    if (part.action == ChangeAction::kDeleted) {
      commit.removed.push_back(
          {part.name, tunnel.endpoint->device().ifindex(),
           tunnel.wiring.config.encap.mode == encap::Mode::kGretap});
    } else {
      StoredTunnel stored = Stored(tunnel);
      stored.config = part.next.config;
      ++stored.generation;
      stored.update_time = absl::Now();
      commit.put.push_back(std::move(stored));
    }
    result.changes.push_back(part.result);
    result.changes.back().action = part.action;
    result.changes.back().tunnel = ViewAfter(part);
  }
  if (!options.request_id.empty()) {
    SortByName(result);
    commit.request = {options.request_id, options.request_fingerprint, result};
  }
  commit.set_pending = tx.set_pending;
  commit.pending = tx.pending;
  if (FaultActive(Fault::kStoreAfterSteps)) {
    tx.late_commit = std::move(commit);
    return absl::OkStatus();
  }
  if (FaultActive(Fault::kStoreOneByOne)) return StoreOneByOne(commit);
  return options_.store->Commit(commit);
}

#ifdef TUNNELD_SEEDED_FAULTS
absl::Status ManagerImpl::StoreOneByOne(StoreCommit& commit) {
  while (commit.put.size() > 1) {
    StoreCommit one;
    one.put.push_back(std::move(commit.put.back()));
    commit.put.pop_back();
    RETURN_IF_ERROR(options_.store->Commit(one));
  }
  return options_.store->Commit(commit);
}
#endif

void ManagerImpl::RewireParts(const ConfigSection& section, Transaction& tx) {
  std::vector<RewireItem> items;
  for (TransactionPart& part : tx.parts) {
    if (part.tunnel != nullptr) EndOverlap(section, *part.tunnel);
    RewireItem item;
    item.timing = &part.result.timing;
    item.plan = part.plan;
    if (part.link != nullptr) part.link->Keep();
    if (part.action == ChangeAction::kCreated) {
      item.kind = RewireItem::Kind::kEstablish;
      item.tunnel = part.made.get();
      part.made->wiring = std::move(part.next);
    } else if (part.action == ChangeAction::kUpdated) {
      if (part.overlap.has_value()) {
        StartOverlap(section, part);
        continue;
      }
      item.kind = RewireItem::Kind::kChange;
      item.tunnel = part.tunnel;
      item.next = &part.next;
    } else {
      item.kind = RewireItem::Kind::kRemove;
      item.tunnel = part.tunnel;
      part.result.tunnel = View(*part.tunnel);
    }
    items.push_back(item);
  }
  ExecuteRewire(section, path(), items);
  for (TransactionPart& part : tx.parts) {
    part.result.timing.packets_dropped = TotalDrops(*RecordOf(part).endpoint) -
                                         part.drops_before +
                                         KernelDropsSince(part);
  }
}

void ManagerImpl::Execute(const ConfigSection& section, Transaction& tx) {
  RewireParts(section, tx);
  // A name may leave and come in one transaction.
  std::vector<EventBus::Update> updates;
  for (TransactionPart& part : tx.parts) {
    if (part.action == ChangeAction::kDeleted) Drop(section, part, updates);
  }
  for (TransactionPart& part : tx.parts) {
    if (part.action != ChangeAction::kDeleted) Finish(section, part, updates);
  }
  bus_.PutAll(std::move(updates));
  // Whoever sees that nothing is pending any more sees the tunnels gone back.
  if (tx.set_pending)
    SetPending(section, std::move(tx.pending), tx.confirm_within);
  WakeWaiting(section);
}

void ManagerImpl::Drop(const ConfigSection&, TransactionPart& part,
                       std::vector<EventBus::Update>& updates) {
  const StoredDevice device{
      part.name, part.tunnel->endpoint->device().ifindex(),
      part.tunnel->wiring.config.encap.mode == encap::Mode::kGretap};
  if (options_.store != nullptr) {
    LogIfError(part.tunnel->endpoint->device().SetPersistent(false), part.name,
               "the device could not be given up");
  }
  waiting_for_pair_.erase(part.name);
  tunnels_.erase(part.name);  // the device goes with it
  part.tunnel = nullptr;
  EventBus::Update& update = updates.emplace_back();
  update.view.config.name = part.name;
  update.deleted = true;
  if (options_.store != nullptr) options_.store->DeviceRemoved(device);
}

void ManagerImpl::Finish(const ConfigSection&, TransactionPart& part,
                         std::vector<EventBus::Update>& updates) {
  if (part.action == ChangeAction::kCreated) {
    part.tunnel = part.made.get();
    tunnels_[part.name] = std::move(part.made);
    if (options_.store != nullptr) {
      LogIfError(part.tunnel->endpoint->device().SetPersistent(true), part.name,
                 "the device will not outlive the daemon");
    }
  } else if (part.next.config.admin_up &&
             !part.tunnel->wiring.config.admin_up) {
    // `next` holds what was before.
    LogIfError(
        platform_.links.SetUp(part.tunnel->endpoint->device().ifindex(), false),
        part.name,
        "the interface could not be set down; its packets are dropped "
        "all the same");
  }
  ++part.tunnel->generation;
  part.tunnel->update_time = absl::Now();
  part.result.tunnel = View(*part.tunnel);
  updates.push_back(
      {part.result.tunnel, part.tunnel->endpoint->counter_blocks()});
}

}  // namespace tunnel
