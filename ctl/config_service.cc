#include "ctl/config_service.h"

#include <chrono>
#include <string>

#include "absl/strings/str_cat.h"
#include "ctl/audit.h"
#include "ctl/convert_reply.h"

namespace tunnel::ctl {
namespace {

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

grpc::ServerUnaryReactor* ConfigServiceImpl::GetConfigLock(
    grpc::CallbackServerContext* rpc, const v1::GetConfigLockRequest*,
    v1::ConfigLockState* response) {
  *response = LockInfoToProto(context_.manager.LockInfo());
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
  AuditAction(call, start, status);
  return FinishNow(rpc, status);
}

}  // namespace tunnel::ctl
