#include "ctl/server.h"

#include <grpc/grpc.h>
#include <grpc/support/time.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_posix.h>

#include <mutex>
#include <optional>
#include <utility>

#include "ctl/call_counter.h"
#include "ctl/call_metrics.h"
#include "ctl/capture_hub.h"
#include "ctl/change_pool.h"
#include "ctl/config_service.h"
#include "ctl/metrics_server.h"
#include "ctl/peer_directory.h"
#include "ctl/service_context.h"
#include "ctl/telemetry_service.h"
#include "ctl/tunnel_service.h"
#include "tunnel/base/status_macros.h"

namespace tunnel::ctl {
namespace {

// A tunnel with all its labels and addresses is below 32 KiB, and an ordinary
// one below 1: enough for a configuration of 4,096 of them.
constexpr int kMaxReceiveBytes = 8 * 1024 * 1024;
// What all connections of one server may hold in unread and unsent messages.
constexpr size_t kMaxBufferBytes = 256 * 1024 * 1024;
constexpr int kMaxMetadataBytes = 8 * 1024;
constexpr int kMaxStreams = 100;  // a connection
// Reflection is the one service of gRPC itself that holds a thread a stream.
constexpr int kMaxSyncThreads = 16;

constexpr const char* kServices[] = {"tunnel.v1.TunnelService",
                                     "tunnel.v1.ConfigService",
                                     "tunnel.v1.TelemetryService"};

void EnablePlugins() {
  static std::once_flag once;
  std::call_once(once, [] {
    // Kept for the life of the process: when the last user of gRPC goes, it
    // joins a poller that may sleep for 10 s, and the daemon would be late.
    grpc_init();
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

void SetLimits(const Server::Options& options, grpc::ServerBuilder& builder) {
  const auto ms = [](std::chrono::milliseconds d) {
    return static_cast<int>(d.count());
  };
  builder.SetMaxReceiveMessageSize(kMaxReceiveBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreams);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, ms(options.keepalive));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                             ms(options.keepalive_timeout));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Clients may ask after us as often as we ask after them.
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
      ms(options.keepalive_timeout));
  grpc::ResourceQuota quota("tunneld");
  quota.SetMaxThreads(kMaxSyncThreads);
  quota.Resize(kMaxBufferBytes);
  builder.SetResourceQuota(quota);
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
}

// The services for callers with one kind of access, and the server they are on.
class Side {
 public:
  Side(const Server::Options& options, const ServiceContext& context)
      : tunnels_(context), config_(context), telemetry_(context) {
    grpc::ServerBuilder builder;
    SetLimits(options, builder);
    CountCalls(builder, context.metrics);
    builder.RegisterService(&tunnels_);
    builder.RegisterService(&config_);
    builder.RegisterService(&telemetry_);
    server_ = builder.BuildAndStart();
    SetServing(true);
  }

  bool started() const { return server_ != nullptr; }
  grpc::Server& server() { return *server_; }

  void SetServing(bool serving) {
    if (server_ == nullptr) return;
    grpc::HealthCheckServiceInterface* health =
        server_->GetHealthCheckService();
    health->SetServingStatus(serving);
    for (const char* service : kServices) {
      health->SetServingStatus(service, serving);
    }
  }

 private:
  TunnelServiceImpl tunnels_;
  ConfigServiceImpl config_;
  TelemetryServiceImpl telemetry_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

class ServerImpl {
 public:
  ServerImpl(const Server::Options& options, TunnelManager& manager)
      : manager_(manager),
        watches_(options.watch),
        pool_(options.max_changes),
        admin_(options, {manager, pool_, watches_, captures_, peers_, metrics_,
                         Access::kFull}),
        reader_(options, {manager, pool_, watches_, captures_, peers_, metrics_,
                          Access::kReadOnly}) {
    // Without a position to go on from it has no way to fail.
    auto changes = manager.Watch({}, "", 0, [this] { watches_.WakeAll(); });
    if (changes.ok()) changes_ = *std::move(changes);
  }

  absl::Status Listen(const Server::Options& options, ListenSocket listener) {
    if (!admin_.started() || !reader_.started()) {
      return absl::FailedPreconditionError("the gRPC server does not start");
    }
    if (options.metrics_listen) {
      ASSIGN_OR_RETURN(
          metrics_server_,
          MetricsServer::Start(*options.metrics_listen, manager_, metrics_));
    }
    listener_.emplace(std::move(listener));
    ASSIGN_OR_RETURN(
        acceptor_,
        Acceptor::Start(*listener_, options.acceptor, peers_,
                        [this](int fd, Access access) { Hand(fd, access); }));
    return absl::OkStatus();
  }

  void StopAdmission() {
    admin_.SetServing(false);
    reader_.SetServing(false);
  }

  void Shutdown(std::chrono::milliseconds drain) {
    if (std::exchange(down_, true)) return;
    StopAdmission();
    watches_.Shutdown();
    captures_.Shutdown();
    metrics_server_.reset();
    acceptor_.reset();
    listener_.reset();
    // On the monotonic clock: a jump of the wall clock ends no call early.
    const gpr_timespec deadline =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                     gpr_time_from_millis(drain.count(), GPR_TIMESPAN));
    if (admin_.started()) admin_.server().Shutdown(deadline);
    if (reader_.started()) reader_.server().Shutdown(deadline);
    changes_.reset();
  }

 private:
  void Hand(int fd, Access access) {
    Side& side = access == Access::kFull ? admin_ : reader_;
    grpc::AddInsecureChannelFromFd(&side.server(), fd);
  }

  bool down_ = false;
  const TunnelManager& manager_;
  CallMetrics metrics_;
  PeerDirectory peers_;
  WatchHub watches_;
  CaptureHub captures_;
  std::unique_ptr<TunnelManager::Watcher> changes_;  // wakes watches_
  ChangePool pool_;
  Side admin_;
  Side reader_;
  std::optional<ListenSocket> listener_;
  std::unique_ptr<Acceptor> acceptor_;
  std::unique_ptr<MetricsServer> metrics_server_;
};

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const Options& options,
                                                      TunnelManager& manager) {
  ASSIGN_OR_RETURN(ListenSocket listener, ListenSocket::Open(options.listen));
  return Start(options, std::move(listener), manager);
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const Options& options,
                                                      ListenSocket listener,
                                                      TunnelManager& manager) {
  EnablePlugins();
  auto impl = std::make_unique<ServerImpl>(options, manager);
  const absl::Status status = impl->Listen(options, std::move(listener));
  if (!status.ok()) {
    impl->Shutdown(std::chrono::milliseconds(0));
    return status;
  }
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<ServerImpl> impl) : impl_(std::move(impl)) {}

Server::~Server() { Shutdown(std::chrono::milliseconds(0)); }

void Server::StopAdmission() { impl_->StopAdmission(); }

void Server::Shutdown(std::chrono::milliseconds drain) {
  impl_->Shutdown(drain);
}

}  // namespace tunnel::ctl
