// tunnel.v1.ConfigService: the whole configuration in one step, the
// configuration lock, seen and interrupted, and the size of hand-off rings.

#ifndef CTL_CONFIG_SERVICE_H_
#define CTL_CONFIG_SERVICE_H_

#include "ctl/service_context.h"
#include "proto/tunnel/v1/tunnel_service.grpc.pb.h"

namespace tunnel::ctl {

class ConfigServiceImpl final : public v1::ConfigService::CallbackService {
 public:
  explicit ConfigServiceImpl(const ServiceContext& context)
      : context_(context) {}

  grpc::ServerUnaryReactor* ApplyConfig(grpc::CallbackServerContext* rpc,
                                        const v1::ApplyConfigRequest* request,
                                        v1::ConfigChange* response) override;
  grpc::ServerUnaryReactor* ConfirmApply(grpc::CallbackServerContext* rpc,
                                         const v1::ConfirmApplyRequest* request,
                                         v1::ConfigChange* response) override;
  grpc::ServerUnaryReactor* RevertApply(grpc::CallbackServerContext* rpc,
                                        const v1::RevertApplyRequest* request,
                                        v1::ConfigChange* response) override;
  grpc::ServerUnaryReactor* GetConfigLock(
      grpc::CallbackServerContext* rpc, const v1::GetConfigLockRequest* request,
      v1::ConfigLockState* response) override;
  grpc::ServerUnaryReactor* InterruptConfigLock(
      grpc::CallbackServerContext* rpc,
      const v1::InterruptConfigLockRequest* request,
      v1::InterruptConfigLockResponse* response) override;
  grpc::ServerUnaryReactor* ResizeHandoff(
      grpc::CallbackServerContext* rpc, const v1::ResizeHandoffRequest* request,
      v1::ResizeHandoffResponse* response) override;

 private:
  const ServiceContext context_;
};

}  // namespace tunnel::ctl

#endif  // CTL_CONFIG_SERVICE_H_
