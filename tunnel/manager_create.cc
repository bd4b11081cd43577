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

absl::Status ManagerImpl::CheckNameFree(const ConfigSection&,
                                        const std::string& name) {
  if (tunnels_.count(name) != 0) return NameInUse(name, "another tunnel");
  if (tunnels_.size() >= options_.max_tunnels) {
    return MakeError(
        Reason::kTunnelLimit,
        absl::StrCat(
            "there are ", tunnels_.size(),
            " tunnels, which is the limit; delete some or raise --max_tunnels"),
        {{"limit", absl::StrCat(options_.max_tunnels)}});
  }
  if (platform_.links.IndexOf(name) != 0) {
    return NameInUse(name,
                     "a network interface that is not a tunnel of this daemon");
  }
  return absl::OkStatus();
}

// The record with its device, link settings and reserved pair: all but the
// commit.
absl::StatusOr<std::unique_ptr<TunnelRecord>> ManagerImpl::Build(
    const ConfigSection& section, Wiring wiring) {
  const EndpointConfig& config = wiring.config;
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
  RETURN_IF_ERROR(ReserveAndCommit(section, wiring, *tunnel->endpoint));
  link.Keep();
  tunnel->wiring = std::move(wiring);
  tunnel->create_time = absl::Now();
  return tunnel;
}

absl::StatusOr<ChangeResult> ManagerImpl::Create(const CallContext& call,
                                                 const EndpointConfig& config,
                                                 const ChangeOptions& options) {
  RETURN_IF_ERROR(Validate(config));
  ASSIGN_OR_RETURN(const ConfigSection section, Enter(call, options));
  section.SetStep("check");
  RETURN_IF_ERROR(CheckNameFree(section, config.name));
  ASSIGN_OR_RETURN(Wiring wiring, Plan(config, 0));
  RETURN_IF_ERROR(CheckPairFree(section, wiring, nullptr));
  ChangeResult result;
  result.timing.lock_wait = section.lock_wait();
  result.changes = Diff(EndpointConfig{}, config);
  for (FieldDifference& change : result.changes) change.old_value.clear();
  if (options.validate_only) {
    result.validated_only = true;
    result.tunnel = PlannedView(wiring);
    result.tunnel.oper_reason = "not created: validate_only";
    return result;
  }

  section.SetStep("prepare");
  const SteadyTime start = SteadyNow();
  RETURN_IF_ERROR(section.CheckInterrupt());
  ASSIGN_OR_RETURN(std::unique_ptr<TunnelRecord> tunnel,
                   Build(section, std::move(wiring)));
  result.timing.prepare = Since(start);
  ExecuteEstablish(section, path(), *tunnel, result.timing);
  TunnelRecord& record = *tunnel;
  tunnels_[config.name] = std::move(tunnel);
  Commit(section, record);
  result.tunnel = View(record);
  return result;
}

}  // namespace tunnel
