#include "ctl/cli/client.h"

#include <grpcpp/create_channel_posix.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ctl/cli/interrupt.h"
#include "proto/tunnel/v1/tunnel_service.grpc.pb.h"

namespace tunnel::ctl::cli {
namespace {

// A ClientContext that Ctrl-C can cancel while this object lives.
class Context {
 public:
  explicit Context(const CallLimits& limits)
      : Context(limits, [this] { context_.TryCancel(); }) {}
  // `interrupt` is called instead of a cancellation.
  Context(const CallLimits& limits, std::function<void()> interrupt)
      : interruptible_(limits.interruptible) {
    if (limits.deadline != absl::InfiniteFuture()) {
      context_.set_deadline(absl::ToChronoTime(limits.deadline));
    }
    if (interruptible_) Interrupt::Get().Arm(std::move(interrupt));
  }
  ~Context() { Disarm(); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  grpc::ClientContext* get() { return &context_; }
  void Disarm() {
    if (interruptible_) Interrupt::Get().Disarm();
  }

 private:
  const bool interruptible_;
  grpc::ClientContext context_;
};

CallError ToError(const grpc::Status& status, const std::string& target) {
  if (status.ok()) return CallError();
  CallError error = FromStatus(static_cast<int>(status.error_code()),
                               status.error_message(), status.error_details());
  // Of the transport, not of the daemon: that has a reason for each error.
  if (error.code == kCodeUnavailable && error.reason.empty()) {
    error.reason = "DAEMON_UNREACHABLE";
    error.message = absl::StrCat("lost the daemon at ", target, ": ",
                                 status.error_message());
    error.metadata["target"] = target;
  }
  return error;
}

// Asks the daemon to end a capture, on a thread of its own: Ctrl-C is watched
// for meanwhile.
class CaptureEnder {
 public:
  explicit CaptureEnder(v1::TelemetryService::Stub& stub) : stub_(stub) {}

  void SetCapture(uint64_t capture) { capture_ = capture; }
  // Cancels `context` where there is no capture yet, or nobody that ends it.
  // Once.
  void End(grpc::ClientContext* context) {
    if (capture_ == 0) return context->TryCancel();
    thread_ = std::thread([this, context] {
      grpc::ClientContext own;
      own.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::seconds(kPatienceSeconds));
      v1::EndCaptureRequest request;
      request.set_capture(capture_);
      v1::EndCaptureResponse response;
      if (!stub_.EndCapture(&own, request, &response).ok())
        context->TryCancel();
    });
  }

  // When End() can not be called any more.
  void Join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  static constexpr int kPatienceSeconds = 2;

  v1::TelemetryService::Stub& stub_;
  std::atomic<uint64_t> capture_{0};  // 0: not known yet
  std::thread thread_;
};

// One unary call.
template <typename Stub, typename Method, typename Request, typename Reply>
CallError Call(Stub& stub, Method method, const Request& request,
               const CallLimits& limits, const std::string& target,
               Reply* reply) {
  Context context(limits);
  return ToError((stub.*method)(context.get(), request, reply), target);
}

}  // namespace

struct Client::Stubs {
  explicit Stubs(std::shared_ptr<grpc::Channel> channel)
      : tunnels(channel), config(channel), telemetry(channel) {}
  v1::TunnelService::Stub tunnels;
  v1::ConfigService::Stub config;
  v1::TelemetryService::Stub telemetry;
};

// The channel lives on the connection that is there: no name resolution, no
// proxy, and no second try.
Client::Client(int fd, std::string target)
    : target_(std::move(target)), stubs_([fd] {
        grpc::ChannelArguments arguments;
        arguments.SetMaxReceiveMessageSize(-1);
        return std::make_unique<Stubs>(
            grpc::CreateCustomInsecureChannelFromFd("tunneld", fd, arguments));
      }()) {}

Client::~Client() = default;

CallError Client::Create(const v1::CreateTunnelRequest& request,
                         const CallLimits& limits, v1::TunnelChange* reply) {
  return Call(stubs_->tunnels, &v1::TunnelService::Stub::CreateTunnel, request,
              limits, target_, reply);
}

CallError Client::Get(const v1::GetTunnelRequest& request,
                      const CallLimits& limits, v1::Tunnel* reply) {
  return Call(stubs_->tunnels, &v1::TunnelService::Stub::GetTunnel, request,
              limits, target_, reply);
}

CallError Client::List(const v1::ListTunnelsRequest& request,
                       const CallLimits& limits,
                       v1::ListTunnelsResponse* reply) {
  return Call(stubs_->tunnels, &v1::TunnelService::Stub::ListTunnels, request,
              limits, target_, reply);
}

CallError Client::Update(const v1::UpdateTunnelRequest& request,
                         const CallLimits& limits, v1::TunnelChange* reply) {
  return Call(stubs_->tunnels, &v1::TunnelService::Stub::UpdateTunnel, request,
              limits, target_, reply);
}

CallError Client::Delete(const v1::DeleteTunnelRequest& request,
                         const CallLimits& limits, v1::TunnelChange* reply) {
  return Call(stubs_->tunnels, &v1::TunnelService::Stub::DeleteTunnel, request,
              limits, target_, reply);
}

CallError Client::Pause(const v1::PauseTunnelRequest& request,
                        const CallLimits& limits, v1::TunnelChange* reply) {
  return Call(stubs_->tunnels, &v1::TunnelService::Stub::PauseTunnel, request,
              limits, target_, reply);
}

CallError Client::Resume(const v1::ResumeTunnelRequest& request,
                         const CallLimits& limits, v1::TunnelChange* reply) {
  return Call(stubs_->tunnels, &v1::TunnelService::Stub::ResumeTunnel, request,
              limits, target_, reply);
}

CallError Client::Detach(const v1::DetachEndpointRequest& request,
                         const CallLimits& limits, v1::TunnelChange* reply) {
  return Call(stubs_->tunnels, &v1::TunnelService::Stub::DetachEndpoint,
              request, limits, target_, reply);
}

CallError Client::Attach(const v1::AttachEndpointRequest& request,
                         const CallLimits& limits, v1::TunnelChange* reply) {
  return Call(stubs_->tunnels, &v1::TunnelService::Stub::AttachEndpoint,
              request, limits, target_, reply);
}

CallError Client::Apply(const v1::ApplyConfigRequest& request,
                        const CallLimits& limits, v1::ConfigChange* reply) {
  return Call(stubs_->config, &v1::ConfigService::Stub::ApplyConfig, request,
              limits, target_, reply);
}

CallError Client::Confirm(const v1::ConfirmApplyRequest& request,
                          const CallLimits& limits, v1::ConfigChange* reply) {
  return Call(stubs_->config, &v1::ConfigService::Stub::ConfirmApply, request,
              limits, target_, reply);
}

CallError Client::Revert(const v1::RevertApplyRequest& request,
                         const CallLimits& limits, v1::ConfigChange* reply) {
  return Call(stubs_->config, &v1::ConfigService::Stub::RevertApply, request,
              limits, target_, reply);
}

CallError Client::GetLock(const v1::GetConfigLockRequest& request,
                          const CallLimits& limits,
                          v1::ConfigLockState* reply) {
  return Call(stubs_->config, &v1::ConfigService::Stub::GetConfigLock, request,
              limits, target_, reply);
}

CallError Client::InterruptLock(const v1::InterruptConfigLockRequest& request,
                                const CallLimits& limits,
                                v1::InterruptConfigLockResponse* reply) {
  return Call(stubs_->config, &v1::ConfigService::Stub::InterruptConfigLock,
              request, limits, target_, reply);
}

CallError Client::ResizeHandoff(const v1::ResizeHandoffRequest& request,
                                const CallLimits& limits,
                                v1::ResizeHandoffResponse* reply) {
  return Call(stubs_->config, &v1::ConfigService::Stub::ResizeHandoff, request,
              limits, target_, reply);
}

CallError Client::GetStats(const v1::GetStatsRequest& request,
                           const CallLimits& limits,
                           v1::GetStatsResponse* reply) {
  return Call(stubs_->telemetry, &v1::TelemetryService::Stub::GetStats, request,
              limits, target_, reply);
}

CallError Client::GetMetrics(const v1::GetMetricsRequest& request,
                             const CallLimits& limits,
                             v1::GetMetricsResponse* reply) {
  return Call(stubs_->telemetry, &v1::TelemetryService::Stub::GetMetrics,
              request, limits, target_, reply);
}

CallError Client::Watch(
    const v1::WatchTunnelsRequest& request, const CallLimits& limits,
    const std::function<bool(const v1::WatchTunnelsResponse&)>& handle) {
  Context context(limits);
  auto reader = stubs_->tunnels.WatchTunnels(context.get(), request);
  v1::WatchTunnelsResponse event;
  bool enough = false;
  while (!enough && reader->Read(&event)) enough = !handle(event);
  if (enough) context.get()->TryCancel();
  const CallError error = ToError(reader->Finish(), target_);
  return enough ? CallError() : error;
}

CallError Client::Capture(
    const v1::CaptureRequest& request, const CallLimits& limits,
    const std::function<bool(const v1::CaptureResponse&)>& handle) {
  CaptureEnder ender(stubs_->telemetry);
  Context context(limits, [&] { ender.End(context.get()); });
  auto reader = stubs_->telemetry.Capture(context.get(), request);
  v1::CaptureResponse message;
  bool enough = false;
  while (!enough && reader->Read(&message)) {
    ender.SetCapture(message.capture());
    enough = !handle(message);
  }
  if (enough) context.get()->TryCancel();
  const CallError error = ToError(reader->Finish(), target_);
  context.Disarm();
  ender.Join();  // it uses the context
  return enough ? CallError() : error;
}

}  // namespace tunnel::ctl::cli
