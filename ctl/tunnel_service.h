// tunnel.v1.TunnelService over the TunnelManager.

#ifndef CTL_TUNNEL_SERVICE_H_
#define CTL_TUNNEL_SERVICE_H_

#include "ctl/service_context.h"
#include "proto/tunnel/v1/tunnel_service.grpc.pb.h"

namespace tunnel::ctl {

// Reads run on the thread of gRPC, changes on the pool.
class TunnelServiceImpl final : public v1::TunnelService::CallbackService {
 public:
  explicit TunnelServiceImpl(const ServiceContext& context)
      : context_(context) {}

  grpc::ServerUnaryReactor* CreateTunnel(grpc::CallbackServerContext* rpc,
                                         const v1::CreateTunnelRequest* request,
                                         v1::TunnelChange* response) override;
  grpc::ServerUnaryReactor* GetTunnel(grpc::CallbackServerContext* rpc,
                                      const v1::GetTunnelRequest* request,
                                      v1::Tunnel* response) override;
  grpc::ServerUnaryReactor* ListTunnels(
      grpc::CallbackServerContext* rpc, const v1::ListTunnelsRequest* request,
      v1::ListTunnelsResponse* response) override;
  grpc::ServerUnaryReactor* UpdateTunnel(grpc::CallbackServerContext* rpc,
                                         const v1::UpdateTunnelRequest* request,
                                         v1::TunnelChange* response) override;
  grpc::ServerUnaryReactor* DeleteTunnel(grpc::CallbackServerContext* rpc,
                                         const v1::DeleteTunnelRequest* request,
                                         v1::TunnelChange* response) override;
  grpc::ServerUnaryReactor* PauseTunnel(grpc::CallbackServerContext* rpc,
                                        const v1::PauseTunnelRequest* request,
                                        v1::TunnelChange* response) override;
  grpc::ServerUnaryReactor* ResumeTunnel(grpc::CallbackServerContext* rpc,
                                         const v1::ResumeTunnelRequest* request,
                                         v1::TunnelChange* response) override;
  grpc::ServerUnaryReactor* DetachEndpoint(
      grpc::CallbackServerContext* rpc,
      const v1::DetachEndpointRequest* request,
      v1::TunnelChange* response) override;
  grpc::ServerUnaryReactor* AttachEndpoint(
      grpc::CallbackServerContext* rpc,
      const v1::AttachEndpointRequest* request,
      v1::TunnelChange* response) override;
  grpc::ServerWriteReactor<v1::WatchTunnelsResponse>* WatchTunnels(
      grpc::CallbackServerContext* rpc,
      const v1::WatchTunnelsRequest* request) override;

 private:
  const ServiceContext context_;
};

}  // namespace tunnel::ctl

#endif  // CTL_TUNNEL_SERVICE_H_
