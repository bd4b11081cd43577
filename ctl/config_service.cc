#include "ctl/config_service.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ctl/action_call.h"
#include "ctl/apply_request.h"
#include "ctl/audit.h"
#include "ctl/change_call.h"
#include "ctl/convert_reply.h"
#include "ctl/wire_time.h"
#include "tunnel/base/error.h"

namespace tunnel::ctl {
namespace {

constexpr std::chrono::milliseconds kMinConfirm = std::chrono::seconds(1);
constexpr std::chrono::milliseconds kMaxConfirm = std::chrono::hours(24);

std::optional<std::chrono::milliseconds> ReadConfirmWithin(
    const v1::ApplyConfigRequest& request, Faults& faults) {
  if (!request.has_confirm_within()) return std::nullopt;
  const auto within =
      DurationFromProto("confirm_within", request.confirm_within(), faults);
  if (within && (*within < kMinConfirm || *within > kMaxConfirm)) {
    faults.AddInvalid("confirm_within",
                      absl::StrCat(within->count(), " ms; want 1 s to 24 h"));
  }
  return within;
}

// The committed configuration, read without the lock.
TunnelManager::Configs CurrentConfigs(const TunnelManager& manager) {
  TunnelManager::Configs configs;
  for (TunnelView& view : manager.List().tunnels) {
    std::string name = view.config.name;
    configs.emplace(std::move(name), std::move(view.config));
  }
  return configs;
}

// What is asked for in a table of calls: "ApplyConfig 3".
std::string Size(const v1::ApplyConfigRequest& request) {
  return absl::StrCat(request.tunnels_size() + request.operations_size());
}

absl::Status Interrupt(TunnelManager& manager, uint64_t id) {
  const absl::Status status = manager.InterruptLock(id);
  if (!absl::IsNotFound(status)) return status;
  return MakeError(Reason::kLockPartyNotFound,
                   absl::StrCat("configuration lock: nobody holds or waits for "
                                "it under id ",
                                id),
                   {{"id", absl::StrCat(id)}});
}

}  // namespace

grpc::ServerUnaryReactor* ConfigServiceImpl::ApplyConfig(
    grpc::CallbackServerContext* rpc, const v1::ApplyConfigRequest* request,
    v1::ConfigChange* response) {
  Faults faults;
  const auto confirm_within = ReadConfirmWithin(*request, faults);
  // Made by the check, which is for the thread of the change: a request may
  // hold thousands of tunnels.
  auto wanted = std::make_shared<std::optional<ApplyRequest>>();
  const auto check = [this, request, wanted](Faults& found) {
    wanted->emplace(*request, CurrentConfigs(context_.manager), found);
  };
  const auto run = [this, wanted, confirm_within](
                       const CallContext& call, const ChangeOptions& options) {
    auto result = context_.manager.Apply(
        call,
        [&](const TunnelManager::Configs& current) {
          return (*wanted)->Edit(current);
        },
        {.change = options, .confirm_within = confirm_within});
    if (!result.ok()) result = (*wanted)->Locate(result.status());
    return result;
  };
  const std::string size = Size(*request);
  return StartChange(context_, rpc,
                     Mutation<ApplyResult>{.method = "ApplyConfig",
                                           .name = size,
                                           .request = *request,
                                           .options = request->options(),
                                           .faults = std::move(faults),
                                           .check = check,
                                           .run = run},
                     response);
}

grpc::ServerUnaryReactor* ConfigServiceImpl::ConfirmApply(
    grpc::CallbackServerContext* rpc, const v1::ConfirmApplyRequest* request,
    v1::ConfigChange* response) {
  const auto run = [this, request](const CallContext& call,
                                   const ChangeOptions&) {
    return context_.manager.ConfirmApply(call, request->id());
  };
  return StartChange(
      context_, rpc,
      Mutation<ApplyResult>{.method = "ConfirmApply",
                            .name = request->id(),
                            .request = *request,
                            .options = v1::ChangeOptions::default_instance(),
                            .run = run},
      response);
}

grpc::ServerUnaryReactor* ConfigServiceImpl::RevertApply(
    grpc::CallbackServerContext* rpc, const v1::RevertApplyRequest* request,
    v1::ConfigChange* response) {
  const auto run = [this, request](const CallContext& call,
                                   const ChangeOptions& options) {
    return context_.manager.RevertApply(call, request->id(), options);
  };
  return StartChange(context_, rpc,
                     Mutation<ApplyResult>{.method = "RevertApply",
                                           .name = request->id(),
                                           .request = *request,
                                           .options = request->options(),
                                           .run = run},
                     response);
}

grpc::ServerUnaryReactor* ConfigServiceImpl::GetConfigLock(
    grpc::CallbackServerContext* rpc, const v1::GetConfigLockRequest*,
    v1::ConfigLockState* response) {
  *response =
      LockInfoToProto(context_.manager.LockInfo(), context_.manager.Pending());
  return FinishNow(rpc, absl::OkStatus());
}

grpc::ServerUnaryReactor* ConfigServiceImpl::InterruptConfigLock(
    grpc::CallbackServerContext* rpc,
    const v1::InterruptConfigLockRequest* request,
    v1::InterruptConfigLockResponse*) {
  const auto start = std::chrono::steady_clock::now();
  const CallContext call = MakeCallContext(
      context_, *rpc, "InterruptConfigLock", absl::StrCat(request->id()));
  absl::Status status = CheckMayChange(context_, "InterruptConfigLock");
  if (status.ok()) status = Interrupt(context_.manager, request->id());
  AuditAction({.call = call, .start = start}, status);
  return FinishNow(rpc, status);
}

grpc::ServerUnaryReactor* ConfigServiceImpl::ResizeHandoff(
    grpc::CallbackServerContext* rpc, const v1::ResizeHandoffRequest* request,
    v1::ResizeHandoffResponse* response) {
  const auto run = [this, request, response](const CallContext& call) {
    const auto resized =
        context_.manager.ResizeHandoff(call, request->packets());
    if (!resized.ok()) return resized.status();
    response->set_packets(static_cast<uint32_t>(resized->packets));
    response->set_before(static_cast<uint32_t>(resized->before));
    return absl::OkStatus();
  };
  return StartAction(context_, rpc, "ResizeHandoff",
                     absl::StrCat(request->packets()), run);
}

}  // namespace tunnel::ctl
