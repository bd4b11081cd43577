#include "ctl/change_call.h"

#include <chrono>
#include <stop_token>
#include <utility>

#include "ctl/audit.h"
#include "ctl/convert_reply.h"
#include "ctl/status_map.h"

namespace tunnel::ctl {
namespace {

// Lives until gRPC is done with the call; Conclude() is the last to touch it
// before.
template <typename Result, typename Response>
class ChangeCall final : public grpc::ServerUnaryReactor {
 public:
  ChangeCall(const ServiceContext& context, CallContext caller,
             Mutation<Result> mutation, Response* response)
      : start_(std::chrono::steady_clock::now()),
        context_(context),
        call_(std::move(caller)),
        mutation_(std::move(mutation)),
        response_(response) {
    call_.cancel = stop_.get_token();
    call_.lock_times = &lock_times_;
    options_ =
        ReadChangeOptions(mutation_.method, mutation_.request,
                          mutation_.options, mutation_.rules, mutation_.faults);
  }

  void Start() {
    absl::Status status = CheckMayChange(context_, mutation_.method);
    // What has a check is answered after it, with all faults at once.
    if (status.ok() && !mutation_.check) status = mutation_.faults.ToStatus();
    if (status.ok()) status = context_.pool.Run([this] { Run(); });
    if (!status.ok()) Conclude(status);
  }

  void OnCancel() override { stop_.request_stop(); }
  void OnDone() override { delete this; }

 private:
  void Run() {
    if (mutation_.check) mutation_.check(mutation_.faults);
    const absl::Status faults = mutation_.faults.ToStatus();
    if (faults.ok()) {
      Conclude(mutation_.run(call_, options_));
    } else {
      Conclude(faults);
    }
  }

  void Conclude(const absl::StatusOr<Result>& result) {
    AuditChange({.call = call_,
                 .request_id = mutation_.options.request_id(),
                 .start = start_,
                 .lock_times = lock_times_},
                result);
    if (result.ok()) {
      context_.metrics.CountPhases(*result);
      *response_ = ChangeToProto(*result);
    }
    Finish(ToGrpcStatus(result.status()));
  }

  const std::chrono::steady_clock::time_point start_;
  const ServiceContext& context_;
  std::stop_source stop_;
  CallContext call_;
  LockTimes lock_times_;
  Mutation<Result> mutation_;
  ChangeOptions options_;
  Response* const response_;
};

template <typename Result, typename Response>
grpc::ServerUnaryReactor* Start(const ServiceContext& context,
                                grpc::CallbackServerContext* rpc,
                                Mutation<Result> mutation, Response* response) {
  CallContext caller =
      MakeCallContext(context, *rpc, mutation.method, mutation.name);
  auto* call = new ChangeCall<Result, Response>(context, std::move(caller),
                                                std::move(mutation), response);
  call->Start();
  return call;
}

}  // namespace

grpc::ServerUnaryReactor* StartChange(const ServiceContext& context,
                                      grpc::CallbackServerContext* rpc,
                                      Mutation<ChangeResult> mutation,
                                      v1::TunnelChange* response) {
  return Start(context, rpc, std::move(mutation), response);
}

grpc::ServerUnaryReactor* StartChange(const ServiceContext& context,
                                      grpc::CallbackServerContext* rpc,
                                      Mutation<ApplyResult> mutation,
                                      v1::ConfigChange* response) {
  return Start(context, rpc, std::move(mutation), response);
}

}  // namespace tunnel::ctl
