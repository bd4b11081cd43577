#include "ctl/call_counter.h"

#include <grpcpp/support/server_interceptor.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tunnel::ctl {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::Interceptor;
using grpc::experimental::InterceptorBatchMethods;
using grpc::experimental::ServerInterceptorFactoryInterface;
using grpc::experimental::ServerRpcInfo;

// One a call; gRPC destroys it with the call.
class CallCounter final : public Interceptor {
 public:
  CallCounter(CallMetrics& metrics, std::string method)
      : metrics_(metrics), method_(std::move(method)) {}

  void Intercept(InterceptorBatchMethods* batch) override {
    if (batch->QueryInterceptionHookPoint(
            InterceptionHookPoints::PRE_SEND_STATUS)) {
      metrics_.CountHandled(method_, batch->GetSendStatus().error_code());
    }
    batch->Proceed();
  }

 private:
  CallMetrics& metrics_;
  const std::string method_;
};

class CallCounterFactory final : public ServerInterceptorFactoryInterface {
 public:
  explicit CallCounterFactory(CallMetrics& metrics) : metrics_(metrics) {}

  Interceptor* CreateServerInterceptor(ServerRpcInfo* info) override {
    // "/tunnel.v1.TunnelService/CreateTunnel"; none for an unknown method.
    if (info->method() == nullptr) return nullptr;
    std::string method = info->method();
    method.erase(0, method.rfind('/') + 1);
    return new CallCounter(metrics_, std::move(method));
  }

 private:
  CallMetrics& metrics_;
};

}  // namespace

void CountCalls(grpc::ServerBuilder& builder, CallMetrics& metrics) {
  std::vector<std::unique_ptr<ServerInterceptorFactoryInterface>> factories;
  factories.push_back(std::make_unique<CallCounterFactory>(metrics));
  builder.experimental().SetInterceptorCreators(std::move(factories));
}

}  // namespace tunnel::ctl
