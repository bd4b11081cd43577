#include "ctl/service_context.h"

#include <chrono>
#include <memory>
#include <stop_token>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ctl/audit.h"
#include "ctl/convert_reply.h"
#include "ctl/rpc_cancel.h"
#include "ctl/status_map.h"
#include "ctl/wire_time.h"

namespace tunnel::ctl {
namespace {

constexpr size_t kMaxNameInLog = 32;  // bytes

ChangeOptions ReadOptions(const v1::ChangeOptions& options, Faults& faults) {
  ChangeOptions out;
  out.validate_only = options.validate_only();
  out.if_match = options.if_match();
  if (options.has_lock_timeout()) {
    out.lock_timeout = DurationFromProto("options.lock_timeout",
                                         options.lock_timeout(), faults);
  }
  return out;
}

// Lives until gRPC is done with the call; Run() is the last to touch it before.
class ChangeCall final : public grpc::ServerUnaryReactor {
 public:
  ChangeCall(CallContext call, ChangeOptions options, ChangeRequest request,
             v1::TunnelChange* response)
      : start_(std::chrono::steady_clock::now()),
        call_(std::move(call)),
        options_(std::move(options)),
        is_delete_(request.is_delete),
        run_(std::move(request.run)),
        response_(response) {
    call_.cancel = stop_.get_token();
  }

  void Run() { Conclude(run_(call_, options_)); }

  void Conclude(const absl::StatusOr<ChangeResult>& result) {
    AuditChange(call_, is_delete_, start_, result);
    if (result.ok()) *response_ = ChangeToProto(*result);
    Finish(ToGrpcStatus(result.status()));
  }

  void OnCancel() override { stop_.request_stop(); }
  void OnDone() override { delete this; }

 private:
  const std::chrono::steady_clock::time_point start_;
  std::stop_source stop_;
  CallContext call_;
  const ChangeOptions options_;
  const bool is_delete_;
  const std::function<absl::StatusOr<ChangeResult>(const CallContext&,
                                                   const ChangeOptions&)>
      run_;
  v1::TunnelChange* const response_;
};

}  // namespace

CallContext MakeCallContext(const ServiceContext& context,
                            const grpc::CallbackServerContext& rpc,
                            absl::string_view method, absl::string_view name) {
  const PeerDirectory::Peer peer = context.peers.Find(rpc.peer());
  CallContext call;
  call.deadline = SteadyDeadline(rpc.raw_deadline());
  call.uid = peer.uid;
  call.pid = peer.pid;
  call.operation =
      absl::StrCat(method, name.empty() ? "" : " ",
                   absl::CHexEscape(name.substr(0, kMaxNameInLog)));
  return call;
}

absl::Status CheckMayChange(const ServiceContext& context,
                            absl::string_view method) {
  if (context.access == Access::kFull) return absl::OkStatus();
  return MakeError(Reason::kReadOnlyClient,
                   absl::StrCat(method, ": this client may only read"),
                   {{"method", std::string(method)}});
}

grpc::ServerUnaryReactor* FinishNow(grpc::CallbackServerContext* rpc,
                                    const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = rpc->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

grpc::ServerUnaryReactor* StartChange(const ServiceContext& context,
                                      grpc::CallbackServerContext* rpc,
                                      ChangeRequest request,
                                      v1::TunnelChange* response) {
  const absl::Status may = CheckMayChange(context, request.method);
  Faults faults = request.faults;
  ChangeOptions options = ReadOptions(request.options, faults);
  CallContext caller =
      MakeCallContext(context, *rpc, request.method, request.name);
  auto* call = new ChangeCall(std::move(caller), std::move(options),
                              std::move(request), response);
  absl::Status status = may.ok() ? faults.ToStatus() : may;
  if (status.ok()) status = context.pool.Run([call] { call->Run(); });
  if (!status.ok()) call->Conclude(status);
  return call;
}

}  // namespace tunnel::ctl
