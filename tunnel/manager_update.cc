#include <utility>

#include "absl/strings/str_cat.h"
#include "tunnel/base/clock.h"
#include "tunnel/base/error.h"
#include "tunnel/base/log.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/manager_impl.h"

namespace tunnel {
namespace {

// What can not be changed in place, since the device would have to be another
// one.
absl::Status CheckFixedFields(const EndpointConfig& from,
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
  if (from.queues != to.queues) {
    violations.push_back(
        {"queues", "is fixed when the device is made; delete and create"});
  }
  if (violations.empty()) return absl::OkStatus();
  std::string message = absl::StrCat("tunnel \"", from.name, "\":");
  for (const FieldViolation& v : violations)
    absl::StrAppend(&message, " ", v.field, " ", v.description, ";");
  message.pop_back();
  return MakeError(Reason::kFieldInvalid, message, {{"name", from.name}},
                   std::move(violations));
}

}  // namespace

// All that can fail of a change to `next`, up to and over the commit line; then
// the steps. On an error the tunnel is as it was.
absl::Status ManagerImpl::ChangeTo(const ConfigSection& section,
                                   TunnelRecord& tunnel, Wiring next,
                                   ChangeTiming& timing) {
  section.SetStep("prepare");
  const SteadyTime start = SteadyNow();
  Endpoint& endpoint = *tunnel.endpoint;
  const uint32_t ifindex = endpoint.device().ifindex();
  const RewirePlan plan = PlanRewire(tunnel.wiring, next);
  next.variant =
      BuildVariant(endpoint, next,
                   plan == RewirePlan::kPublish
                       ? tunnel.wiring.variant->contexts
                       : std::make_shared<FlowContexts>(pool_->size()));
  LinkChanges link(platform_.links, ifindex);
  RETURN_IF_ERROR(PrepareLink(section, link, &tunnel.wiring, next));
  // Up can fail, so it comes before the commit line; down takes routes with it
  // that no way back could restore, so it comes after.
  const bool was_up = tunnel.wiring.config.admin_up;
  const bool is_up = next.config.admin_up;
  if (is_up) RETURN_IF_ERROR(link.SetUp(was_up, true));
  RETURN_IF_ERROR(ReserveAndCommit(section, next, endpoint));
  link.Keep();
  timing.prepare = Since(start);
  ExecuteRewire(section, path(), tunnel, std::move(next), plan, timing);
  if (was_up && !is_up) {
    if (const absl::Status down = platform_.links.SetUp(ifindex, false);
        !down.ok()) {
      LogError(
          "the interface could not be set down; its packets are dropped all "
          "the same",
          {{"tunnel", tunnel.name()}, {"cause", std::string(down.message())}});
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<ChangeResult> ManagerImpl::Update(
    const CallContext& call, absl::string_view name,
    const TunnelManager::Edit& edit, const ChangeOptions& options) {
  ASSIGN_OR_RETURN(const ConfigSection section, Enter(call, options));
  section.SetStep("check");
  ASSIGN_OR_RETURN(TunnelRecord * tunnel, Lookup(section, name, options));
  ASSIGN_OR_RETURN(const EndpointConfig config, edit(tunnel->wiring.config));
  RETURN_IF_ERROR(CheckFixedFields(tunnel->wiring.config, config));
  RETURN_IF_ERROR(Validate(config));
  ChangeResult result;
  result.timing.lock_wait = section.lock_wait();
  result.validated_only = options.validate_only;
  if (config == tunnel->wiring.config) {
    result.no_op = true;
    result.tunnel = View(*tunnel);
    return result;
  }
  RETURN_IF_ERROR(CheckNotFailed(*tunnel));
  ASSIGN_OR_RETURN(Wiring next,
                   Plan(config, tunnel->endpoint->device().ifindex()));
  RETURN_IF_ERROR(CheckPairFree(section, next, tunnel->endpoint.get()));
  result.changes = Diff(tunnel->wiring.config, config);
  if (options.validate_only) {
    result.tunnel = PlannedView(next);
    return result;
  }
  RETURN_IF_ERROR(ChangeTo(section, *tunnel, std::move(next), result.timing));
  Commit(section, *tunnel);
  result.tunnel = View(*tunnel);
  return result;
}

}  // namespace tunnel
