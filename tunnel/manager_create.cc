#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tunnel/base/clock.h"
#include "tunnel/base/error.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/manager_impl.h"

namespace tunnel {
namespace {

absl::Status NameInUse(absl::string_view name, absl::string_view by) {
  return MakeError(
      Reason::kNameInUse,
      absl::StrCat("name \"", name, "\" is taken by ", by, "; choose another"),
      {{"name", std::string(name)}});
}

}  // namespace

absl::StatusOr<ChangeResult> ManagerImpl::Create(const CallContext& call,
                                                 const EndpointConfig& config,
                                                 const ChangeOptions& options) {
  RETURN_IF_ERROR(Validate(config));
  ASSIGN_OR_RETURN(const ConfigSection section, Enter(call, options));
  section.SetStep("check");
  ChangeResult result;
  result.timing.lock_wait = section.lock_wait();
  if (tunnels_.count(config.name) != 0)
    return NameInUse(config.name, "another tunnel");
  if (tunnels_.size() >= options_.max_tunnels) {
    return MakeError(
        Reason::kTunnelLimit,
        absl::StrCat(
            "there are ", tunnels_.size(),
            " tunnels, which is the limit; delete some or raise --max_tunnels"),
        {{"limit", absl::StrCat(options_.max_tunnels)}});
  }
  if (platform_.links.IndexOf(config.name) != 0) {
    return NameInUse(config.name,
                     "a network interface that is not a tunnel of this daemon");
  }
  ASSIGN_OR_RETURN(Wiring wiring, Plan(config, 0));
  RETURN_IF_ERROR(CheckPairFree(section, wiring, nullptr));
  result.changes = Diff(EndpointConfig{}, config);

  section.SetStep("prepare");
  const SteadyTime start = SteadyNow();
  if (options.validate_only) {
    result.validated_only = true;
    result.tunnel.config = config;
    result.tunnel.etag = Etag(config);
    result.tunnel.effective_mtu = wiring.underlay.effective_mtu;
    result.tunnel.mtu_reason = wiring.underlay.mtu_reason;
    result.tunnel.overhead = encap::EncapOverhead(config.encap);
    result.tunnel.oper_reason = "not created: validate_only";
    return result;
  }
  RETURN_IF_ERROR(section.CheckInterrupt());
  const size_t workers = pool_->size();
  TunFactory::Request request;
  request.name = config.name;
  request.ethernet = config.encap.mode == encap::Mode::kGretap;
  request.queues = config.queues == 0 ? workers : config.queues;
  ASSIGN_OR_RETURN(std::unique_ptr<TunDevice> device,
                   platform_.tun.Open(request));

  auto tunnel = std::make_unique<TunnelRecord>();
  tunnel->spread = next_spread_++;
  tunnel->endpoint =
      std::make_unique<Endpoint>(config.name, std::move(device), workers);
  const uint32_t ifindex = tunnel->endpoint->device().ifindex();
  LinkChanges link(platform_.links, ifindex);
  RETURN_IF_ERROR(PrepareLink(section, link, nullptr, wiring));
  RETURN_IF_ERROR(section.CheckInterrupt());
  RETURN_IF_ERROR(link.SetUp(false, config.admin_up));
  // The interface is up now: its own routes count.
  wiring.underlay = EvaluateUnderlay(config, wiring.underlay_ifindex, ifindex);
  wiring.variant = BuildVariant(*tunnel->endpoint, wiring,
                                std::make_shared<FlowContexts>(workers));

  std::vector<EndpointKey> reserved;
  absl::Status status =
      ReservePair(section, wiring, *tunnel->endpoint, reserved);
  if (status.ok()) status = section.CommitPoint();
  if (!status.ok()) {
    for (const EndpointKey& key : reserved) table_.Release(section, key);
    qsbr_.Wait();  // a worker may have met the reserved entry
    table_.Reclaim(section);
    return status;
  }

  link.Keep();
  result.timing.prepare = Since(start);
  tunnel->wiring = std::move(wiring);
  tunnel->create_time = absl::Now();
  ExecuteEstablish(section, path(), *tunnel, result.timing);
  TunnelRecord& record = *tunnel;
  tunnels_[config.name] = std::move(tunnel);
  Commit(section, record);
  result.tunnel = View(record);
  return result;
}

}  // namespace tunnel
