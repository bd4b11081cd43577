#include "ctl/action_call.h"

#include <chrono>
#include <stop_token>
#include <utility>

#include "ctl/audit.h"
#include "ctl/status_map.h"

namespace tunnel::ctl {
namespace {

using Run = std::function<absl::Status(const CallContext&)>;

// Lives until gRPC is done with the call; Conclude() is the last to touch it
// before.
class ActionCall final : public grpc::ServerUnaryReactor {
 public:
  ActionCall(const ServiceContext& context, CallContext caller, Run run)
      : context_(context), call_(std::move(caller)), run_(std::move(run)) {
    call_.cancel = stop_.get_token();
    call_.lock_times = &lock_times_;
  }

  void Start(absl::string_view method) {
    absl::Status status = CheckMayChange(context_, method);
    if (status.ok())
      status = context_.pool.Run([this] { Conclude(run_(call_)); });
    if (!status.ok()) Conclude(status);
  }

  void OnCancel() override { stop_.request_stop(); }
  void OnDone() override { delete this; }

 private:
  void Conclude(const absl::Status& status) {
    AuditAction({.call = call_,
                 .request_id = "",
                 .start = start_,
                 .lock_times = lock_times_},
                status);
    Finish(ToGrpcStatus(status));
  }

  const std::chrono::steady_clock::time_point start_ =
      std::chrono::steady_clock::now();
  const ServiceContext& context_;
  std::stop_source stop_;
  CallContext call_;
  LockTimes lock_times_;
  const Run run_;
};

}  // namespace

grpc::ServerUnaryReactor* StartAction(const ServiceContext& context,
                                      grpc::CallbackServerContext* rpc,
                                      absl::string_view method,
                                      const std::string& name, Run run) {
  auto* call = new ActionCall(
      context, MakeCallContext(context, *rpc, method, name), std::move(run));
  call->Start(method);
  return call;
}

}  // namespace tunnel::ctl
