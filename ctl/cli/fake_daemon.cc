#include "ctl/cli/fake_daemon.h"

#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <utility>

#include "proto/google/rpc/error_details.pb.h"
#include "proto/google/rpc/status.pb.h"

namespace tunnel::ctl::cli {
namespace {

template <typename Hook, typename Request, typename Reply>
grpc::Status Answer(const Hook& hook, grpc::ServerContext* context,
                    const Request* request, Reply* reply) {
  if (!hook) return grpc::Status(grpc::UNIMPLEMENTED, "no hook");
  return hook(*context, *request, reply);
}

}  // namespace

// An override of one unary method that asks its hook.
#define FAKE_METHOD(Method, Request, Reply, hook)                              \
  grpc::Status Method(grpc::ServerContext* context,                            \
                      const v1::Request* request, v1::Reply* reply) override { \
    return Answer(daemon_.hook, context, request, reply);                      \
  }

class FakeDaemon::Tunnels final : public v1::TunnelService::Service {
 public:
  explicit Tunnels(FakeDaemon& daemon) : daemon_(daemon) {}
  FAKE_METHOD(CreateTunnel, CreateTunnelRequest, TunnelChange, on_create)
  FAKE_METHOD(GetTunnel, GetTunnelRequest, Tunnel, on_get)
  FAKE_METHOD(ListTunnels, ListTunnelsRequest, ListTunnelsResponse, on_list)
  FAKE_METHOD(UpdateTunnel, UpdateTunnelRequest, TunnelChange, on_update)
  FAKE_METHOD(DeleteTunnel, DeleteTunnelRequest, TunnelChange, on_delete)
  FAKE_METHOD(PauseTunnel, PauseTunnelRequest, TunnelChange, on_pause)
  FAKE_METHOD(ResumeTunnel, ResumeTunnelRequest, TunnelChange, on_resume)
  FAKE_METHOD(DetachEndpoint, DetachEndpointRequest, TunnelChange, on_detach)
  FAKE_METHOD(AttachEndpoint, AttachEndpointRequest, TunnelChange, on_attach)
  grpc::Status WatchTunnels(
      grpc::ServerContext* context, const v1::WatchTunnelsRequest* request,
      grpc::ServerWriter<v1::WatchTunnelsResponse>* writer) override {
    if (!daemon_.on_watch) return grpc::Status(grpc::UNIMPLEMENTED, "no hook");
    return daemon_.on_watch(*context, *request, *writer);
  }

 private:
  FakeDaemon& daemon_;
};

class FakeDaemon::Config final : public v1::ConfigService::Service {
 public:
  explicit Config(FakeDaemon& daemon) : daemon_(daemon) {}
  FAKE_METHOD(ApplyConfig, ApplyConfigRequest, ConfigChange, on_apply)
  FAKE_METHOD(ConfirmApply, ConfirmApplyRequest, ConfigChange, on_confirm)
  FAKE_METHOD(RevertApply, RevertApplyRequest, ConfigChange, on_revert)
  FAKE_METHOD(GetConfigLock, GetConfigLockRequest, ConfigLockState, on_lock)
  FAKE_METHOD(InterruptConfigLock, InterruptConfigLockRequest,
              InterruptConfigLockResponse, on_interrupt)
  FAKE_METHOD(ResizeHandoff, ResizeHandoffRequest, ResizeHandoffResponse,
              on_resize)

 private:
  FakeDaemon& daemon_;
};

class FakeDaemon::Telemetry final : public v1::TelemetryService::Service {
 public:
  explicit Telemetry(FakeDaemon& daemon) : daemon_(daemon) {}
  FAKE_METHOD(GetStats, GetStatsRequest, GetStatsResponse, on_stats)
  FAKE_METHOD(GetMetrics, GetMetricsRequest, GetMetricsResponse, on_metrics)

 private:
  FakeDaemon& daemon_;
};

#undef FAKE_METHOD

grpc::Status ErrorStatus(
    grpc::StatusCode code, const std::string& message,
    const std::string& reason,
    const std::map<std::string, std::string>& metadata,
    const std::vector<std::pair<std::string, std::string>>& violations) {
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("tunneld");
  info.mutable_metadata()->insert(metadata.begin(), metadata.end());
  status.add_details()->PackFrom(info);
  if (!violations.empty()) {
    google::rpc::BadRequest bad;
    for (const auto& [field, description] : violations) {
      auto* violation = bad.add_field_violations();
      violation->set_field(field);
      violation->set_description(description);
    }
    status.add_details()->PackFrom(bad);
  }
  return grpc::Status(code, message, status.SerializeAsString());
}

FakeDaemon::FakeDaemon()
    : tunnels_(std::make_unique<Tunnels>(*this)),
      config_(std::make_unique<Config>(*this)),
      telemetry_(std::make_unique<Telemetry>(*this)) {
  char directory[] = "/tmp/tunnelctl_test.XXXXXX";
  directory_ = mkdtemp(directory);
  target_ = "unix:" + directory_ + "/socket";
  grpc::ServerBuilder builder;
  builder.AddListeningPort(target_, grpc::InsecureServerCredentials());
  builder.RegisterService(tunnels_.get());
  builder.RegisterService(config_.get());
  builder.RegisterService(telemetry_.get());
  server_ = builder.BuildAndStart();
}

FakeDaemon::~FakeDaemon() {
  server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
  server_->Wait();
  std::filesystem::remove_all(directory_);
}

}  // namespace tunnel::ctl::cli
