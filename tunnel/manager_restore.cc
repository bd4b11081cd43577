// What a store held, brought back: devices that are still there are taken over,
// the others made again.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tunnel/absent_device.h"
#include "tunnel/base/error.h"
#include "tunnel/base/log.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/manager_impl.h"

namespace tunnel {
namespace {

TunnelRecord NewRecord(const StoredTunnel& stored) {
  TunnelRecord tunnel;
  tunnel.generation = stored.generation;
  tunnel.create_time = stored.create_time;
  tunnel.update_time = stored.update_time;
  tunnel.paused = stored.paused;
  tunnel.detached = stored.detached;
  return tunnel;
}

// What an interface's address comes to gives way to what is written down.
std::vector<StoredTunnel> LiteralFirst(std::vector<StoredTunnel> tunnels) {
  std::stable_partition(tunnels.begin(), tunnels.end(),
                        [](const StoredTunnel& stored) {
                          return stored.config.local_device.empty();
                        });
  return tunnels;
}

}  // namespace

// Devices whose tunnels were deleted just before the process ended.
void ManagerImpl::SweepRemoved(const std::vector<StoredDevice>& removed) {
  for (const StoredDevice& device : removed) {
    if (device.ifindex == 0) continue;  // it had none, or of another boot
    TunFactory::Request request;
    request.name = device.name;
    request.ethernet = device.ethernet;
    auto adopted = platform_.tun.Adopt(request, device.ifindex);
    if (adopted.ok()) {
      LogIfError((*adopted)->SetPersistent(false), device.name,
                 "the device of a deleted tunnel could not be removed");
    }
    // If it is not to be had it is not ours any more.
    options_.store->DeviceRemoved(device);
  }
}

// The link as `wiring` wants it, whatever it is now. Addresses that others gave
// it stay.
absl::Status ManagerImpl::AlignLink(const ConfigSection&, LinkChanges& link,
                                    uint32_t ifindex, const Wiring& wiring) {
  ASSIGN_OR_RETURN(const LinkSettings now, platform_.links.Inspect(ifindex));
  const EndpointConfig& config = wiring.config;
  RETURN_IF_ERROR(link.SetMtu(now.mtu, wiring.underlay.effective_mtu));
  RETURN_IF_ERROR(link.SetTxQueueLen(now.txqueuelen, config.txqueuelen));
  std::vector<encap::IpPrefix> there;
  for (const LinkSettings::Address& address : now.addresses) {
    const bool wanted =
        std::find(config.addresses.begin(), config.addresses.end(),
                  address.prefix) != config.addresses.end();
    if (address.ours || wanted) there.push_back(address.prefix);
  }
  RETURN_IF_ERROR(link.SetAddresses(there, config.addresses));
  return link.SetUp(now.up, config.admin_up);
}

// As Plan(), but an underlay device that is not there yet is waited for.
Wiring ManagerImpl::PlanAtStart(const EndpointConfig& config,
                                uint32_t own_ifindex) {
  Wiring wiring =
      PlanOn(config, ResolveDevice(config).value_or(0), own_ifindex);
  DeferFast(wiring);
  return wiring;
}

absl::Status ManagerImpl::TakeOver(const ConfigSection& section,
                                   const StoredTunnel& stored,
                                   std::unique_ptr<TunDevice> device,
                                   TransactionPart& part) {
  part.next = PlanAtStart(stored.config, stored.ifindex);
  part.made = std::make_unique<TunnelRecord>(NewRecord(stored));
  part.made->endpoint =
      std::make_unique<Endpoint>(part.name, std::move(device), pool_->size());
  RETURN_IF_ERROR(TakeUdpPort(nullptr, part.next));
  part.link = std::make_unique<LinkChanges>(platform_.links, stored.ifindex);
  RETURN_IF_ERROR(AlignLink(section, *part.link, stored.ifindex, part.next));
  // Routes by the interface count now.
  part.next.underlay = EvaluateUnderlay(part.next, stored.ifindex);
  part.next.variant =
      BuildVariant(*part.made->endpoint, part.next,
                   std::make_shared<FlowContexts>(pool_->size()));
  DeferFast(part.next);
  return absl::OkStatus();
}

absl::Status ManagerImpl::RestoreOne(const ConfigSection& section,
                                     const StoredTunnel& stored,
                                     Transaction& tx, bool& adopted) {
  TransactionPart part;
  part.action = ChangeAction::kCreated;
  part.name = stored.config.name;
  RETURN_IF_ERROR(Validate(stored.config));
  adopted = false;
  if (stored.ifindex != 0) {
    auto device =
        platform_.tun.Adopt(TunRequest(stored.config), stored.ifindex);
    adopted = device.ok();
    if (adopted) {
      const absl::Status taken =
          TakeOver(section, stored, *std::move(device), part);
      // A failed tunnel has no device, so that its name is free for the next.
      if (!taken.ok() && part.made != nullptr) {
        LogIfError(part.made->endpoint->device().SetPersistent(false),
                   part.name, "the device could not be given up");
      }
      RETURN_IF_ERROR(taken);
    } else if (GetReason(device.status()) != Reason::kDeviceNotFound) {
      return device.status();
    }
  }
  if (!adopted) {
    part.next = PlanAtStart(stored.config, 0);
    part.origin = stored;
    RETURN_IF_ERROR(PrepareCreate(section, part));
    part.made->update_time = stored.update_time;
  }
  part.made->spread = next_spread_++;
  RETURN_IF_ERROR(ReserveRestored(section, part));
  tx.parts.push_back(std::move(part));
  return absl::OkStatus();
}

absl::Status ManagerImpl::ReserveRestored(const ConfigSection& section,
                                          TransactionPart& part) {
  Endpoint& endpoint = *part.made->endpoint;
  const Endpoint* holder = nullptr;
  for (const EndpointKey& key : part.next.keys) {
    holder = table_.Reserve(section, key, endpoint);
    if (holder != nullptr) break;
  }
  if (holder == nullptr) return absl::OkStatus();
  for (const EndpointKey& mine : part.next.keys) {
    if (table_.Holder(section, mine) == &endpoint)
      table_.Release(section, mine);
  }
  if (part.next.config.local_device.empty()) {
    return MakeError(Reason::kEndpointPairInUse,
                     "another tunnel of the store has the same endpoint pair");
  }
  GiveWay(part.next, holder->name());
  waiting_for_pair_.insert(part.name);
  part.next.variant = BuildVariant(
      endpoint, part.next, std::make_shared<FlowContexts>(pool_->size()));
  DeferFast(part.next);
  return absl::OkStatus();
}

// The tunnel stays known, with the reason, and its identity reserved.
void ManagerImpl::KeepFailed(const ConfigSection& section,
                             const StoredTunnel& stored,
                             const absl::Status& why) {
  auto tunnel = std::make_unique<TunnelRecord>(NewRecord(stored));
  tunnel->failed = true;
  tunnel->failure = absl::StrCat(
      "could not be brought back: ", std::string(why.message()),
      "; delete it, or apply its configuration again once that is mended");
  tunnel->endpoint = std::make_unique<Endpoint>(
      stored.config.name, std::make_unique<AbsentDevice>(stored.config.name),
      pool_->size());
  tunnel->wiring.config = stored.config;
  tunnel->wiring.etag = Etag(stored.config);
  for (const EndpointKey& key : PlanAtStart(stored.config, 0).keys) {
    if (table_.Reserve(section, key, *tunnel->endpoint) == nullptr)
      tunnel->wiring.keys.push_back(key);
  }
  TunnelRecord& record = *tunnel;
  tunnels_[stored.config.name] = std::move(tunnel);
  Announce(section, record);
}

absl::StatusOr<TunnelManager::RestoreReport> ManagerImpl::Restore(
    const StoredState& state) {
  CallContext call;
  call.operation = "restore";
  ASSIGN_OR_RETURN(const ConfigSection section, Enter(call, {}));
  section.SetStep("restore");
  RETURN_IF_ERROR(section.CommitPoint());
  TunnelManager::RestoreReport report;
  if (options_.store != nullptr) SweepRemoved(state.removed);
  for (const StoredRequest& request : state.requests)
    requests_.Add(section, request);
  Transaction tx;
  RestoreAll(section, state.tunnels, tx, report);
  EstablishRestored(section, tx);
  if (state.pending.has_value()) {
    SetPending(section, state.pending, std::nullopt);
    const absl::StatusOr<ApplyResult> reverted = RevertUnder(section, {});
    report.reverted = reverted.ok();
    LogIfError(reverted.status(), state.pending->id,
               "the configuration that was not confirmed can not go back yet");
  }
  return report;
}

void ManagerImpl::RestoreAll(const ConfigSection& section,
                             const std::vector<StoredTunnel>& tunnels,
                             Transaction& tx,
                             TunnelManager::RestoreReport& report) {
  StoreCommit commit;
  for (const StoredTunnel& stored : LiteralFirst(tunnels)) {
    bool adopted = false;
    const absl::Status status = RestoreOne(section, stored, tx, adopted);
    if (!status.ok()) {
      KeepFailed(section, stored, status);
      report.failed.emplace_back(stored.config.name, status);
    } else if (adopted) {
      report.adopted.push_back(stored.config.name);
    } else {
      report.remade.push_back(stored.config.name);
      commit.put.push_back(stored);
      commit.put.back().ifindex =
          tx.parts.back().made->endpoint->device().ifindex();
    }
  }
  if (options_.store == nullptr || commit.put.empty()) return;
  if (const absl::Status status = options_.store->Commit(commit);
      !status.ok()) {
    LogError("devices that were made again are not in the store",
             {{"cause", std::string(status.message())}});
  }
}

// As Execute(), but nothing is counted as a change.
void ManagerImpl::EstablishRestored(const ConfigSection& section,
                                    Transaction& tx) {
  std::vector<RewireItem> items;
  for (TransactionPart& part : tx.parts) {
    part.link->Keep();
    part.made->wiring = std::move(part.next);
    items.push_back({RewireItem::Kind::kEstablish, part.made.get(), nullptr,
                     RewirePlan::kRewire, &part.result.timing});
  }
  ExecuteRewire(section, path(), items);
  for (TransactionPart& part : tx.parts) {
    if (options_.store != nullptr) {
      LogIfError(part.made->endpoint->device().SetPersistent(true), part.name,
                 "the device will not outlive the daemon");
    }
    TunnelRecord& record = *part.made;
    tunnels_[part.name] = std::move(part.made);
    Announce(section, record);
  }
}

}  // namespace tunnel
