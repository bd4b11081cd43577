// TestDaemon: the real server and the real manager over devices and wires in
// memory, at a real unix socket.

#ifndef TESTS_COMPONENT_DAEMON_H_
#define TESTS_COMPONENT_DAEMON_H_

#include <grpcpp/channel.h>
#include <grpcpp/support/channel_arguments.h>
#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ctl/server.h"
#include "proto/google/rpc/error_details.pb.h"
#include "proto/tunnel/v1/tunnel_service.grpc.pb.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/netlink/memory_link_control.h"
#include "tunnel/platform.h"
#include "tunnel/tun/memory_tun.h"
#include "tunnel/tunnel_manager.h"
#include "tunnel/underlay/memory_transport.h"

namespace tunnel::ctl {

// Makes no device while it is shut: a change then holds the configuration lock
// in its prepare step. Thread-safe.
class GatedTunFactory : public TunFactory {
 public:
  explicit GatedTunFactory(TunFactory& inner) : inner_(inner) {}

  absl::StatusOr<std::unique_ptr<TunDevice>> Open(
      const Request& request) override;
  absl::StatusOr<std::unique_ptr<TunDevice>> Adopt(const Request& request,
                                                   uint32_t ifindex) override;

  void Shut();
  void OpenGate();
  // Returns when a change stands at the gate.
  void AwaitArrival();

 private:
  void Wait();

  TunFactory& inner_;
  std::mutex mu_;
  std::condition_variable changed_;
  bool shut_ = false;
  int waiting_ = 0;
};

struct DaemonOptions {
  TunnelManager::Options manager{.workers = 2};
  Server::Options server;
};

class TestDaemon {
 public:
  explicit TestDaemon(DaemonOptions options = {});
  ~TestDaemon();

  const std::string& socket_path() const { return socket_path_; }
  // A channel with a connection of its own.
  std::shared_ptr<grpc::Channel> Connect(
      grpc::ChannelArguments arguments = {}) const;
  // The services over one connection.
  v1::TunnelService::Stub& tunnels() { return *tunnels_; }
  v1::ConfigService::Stub& config() { return *config_; }
  v1::TelemetryService::Stub& telemetry() { return *telemetry_; }

  // As tunneld does on SIGTERM.
  void Stop();

  GatedTunFactory& gate() { return gate_; }
  MemoryTunFactory& tun() { return tun_; }
  MemoryLinkControl& links() { return links_; }
  MemoryTransportFactory& wire() { return wire_; }
  TunnelManager& manager() { return *manager_; }

 private:
  MemoryTunFactory tun_;
  GatedTunFactory gate_{tun_};
  MemoryTransportFactory wire_;
  MemoryLinkControl links_;
  Platform platform_{gate_, wire_, links_};
  std::string directory_;
  std::string socket_path_;
  std::unique_ptr<TunnelManager> manager_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<v1::TunnelService::Stub> tunnels_;
  std::unique_ptr<v1::ConfigService::Stub> config_;
  std::unique_ptr<v1::TelemetryService::Stub> telemetry_;
};

// A new directory below /tmp, short enough for a socket path.
std::string MakeTempDir();

// A connection to `path` as another user, made by a thread that has become that
// user; not connected on error, errno in `*error`. Needs root.
UniqueFd ConnectAs(const std::string& path, uid_t uid, gid_t gid,
                   const std::vector<gid_t>& groups, int* error = nullptr);

// A channel over a connected socket.
std::shared_ptr<grpc::Channel> ChannelFrom(UniqueFd fd);

// A GRE tunnel between 192.0.2.1 and 192.0.2.HOST.
v1::CreateTunnelRequest GreRequest(const std::string& name, int host = 2);

// The one ErrorInfo of `status`; a test failure when there is not exactly one
// with domain "tunneld".
google::rpc::ErrorInfo InfoOf(const grpc::Status& status);
// Its reason; "OK" for success.
std::string ReasonOf(const grpc::Status& status);
// Fields of the BadRequest.
std::vector<std::string> BadFieldsOf(const grpc::Status& status);

}  // namespace tunnel::ctl

#endif  // TESTS_COMPONENT_DAEMON_H_
