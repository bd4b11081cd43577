// FakeDaemon: the services of the API in this process, on a unix socket in a
// directory of its own, with answers that a test chooses.

#ifndef CTL_CLI_FAKE_DAEMON_H_
#define CTL_CLI_FAKE_DAEMON_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "proto/tunnel/v1/tunnel_service.grpc.pb.h"

namespace tunnel::ctl::cli {

// A status as the daemon makes it: one ErrorInfo, and a BadRequest where there
// are violations ({field, description}).
grpc::Status ErrorStatus(
    grpc::StatusCode code, const std::string& message,
    const std::string& reason,
    const std::map<std::string, std::string>& metadata = {},
    const std::vector<std::pair<std::string, std::string>>& violations = {});

// Runs while it lives. The hooks may be set before the first call only; they
// run on threads of the server, several at once. A hook that is not set is
// UNIMPLEMENTED.
class FakeDaemon {
 public:
  FakeDaemon();
  ~FakeDaemon();

  // "unix:/tmp/.../socket".
  const std::string& target() const { return target_; }

  template <typename Request, typename Reply>
  using Hook =
      std::function<grpc::Status(grpc::ServerContext&, const Request&, Reply*)>;

  Hook<v1::CreateTunnelRequest, v1::TunnelChange> on_create;
  Hook<v1::GetTunnelRequest, v1::Tunnel> on_get;
  Hook<v1::ListTunnelsRequest, v1::ListTunnelsResponse> on_list;
  Hook<v1::UpdateTunnelRequest, v1::TunnelChange> on_update;
  Hook<v1::DeleteTunnelRequest, v1::TunnelChange> on_delete;
  Hook<v1::PauseTunnelRequest, v1::TunnelChange> on_pause;
  Hook<v1::ResumeTunnelRequest, v1::TunnelChange> on_resume;
  Hook<v1::DetachEndpointRequest, v1::TunnelChange> on_detach;
  Hook<v1::AttachEndpointRequest, v1::TunnelChange> on_attach;
  Hook<v1::ApplyConfigRequest, v1::ConfigChange> on_apply;
  Hook<v1::ConfirmApplyRequest, v1::ConfigChange> on_confirm;
  Hook<v1::RevertApplyRequest, v1::ConfigChange> on_revert;
  Hook<v1::GetConfigLockRequest, v1::ConfigLockState> on_lock;
  Hook<v1::InterruptConfigLockRequest, v1::InterruptConfigLockResponse>
      on_interrupt;
  Hook<v1::ResizeHandoffRequest, v1::ResizeHandoffResponse> on_resize;
  Hook<v1::GetStatsRequest, v1::GetStatsResponse> on_stats;
  Hook<v1::GetMetricsRequest, v1::GetMetricsResponse> on_metrics;
  std::function<grpc::Status(grpc::ServerContext&,
                             const v1::WatchTunnelsRequest&,
                             grpc::ServerWriter<v1::WatchTunnelsResponse>&)>
      on_watch;

 private:
  class Tunnels;
  class Config;
  class Telemetry;

  std::string directory_;
  std::string target_;
  std::unique_ptr<Tunnels> tunnels_;
  std::unique_ptr<Config> config_;
  std::unique_ptr<Telemetry> telemetry_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_FAKE_DAEMON_H_
