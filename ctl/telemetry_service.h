// tunnel.v1.TelemetryService: counters, metrics, captures.

#ifndef CTL_TELEMETRY_SERVICE_H_
#define CTL_TELEMETRY_SERVICE_H_

#include "ctl/service_context.h"
#include "proto/tunnel/v1/tunnel_service.grpc.pb.h"

namespace tunnel::ctl {

class TelemetryServiceImpl final
    : public v1::TelemetryService::CallbackService {
 public:
  explicit TelemetryServiceImpl(const ServiceContext& context)
      : context_(context) {}

  grpc::ServerUnaryReactor* GetStats(grpc::CallbackServerContext* rpc,
                                     const v1::GetStatsRequest* request,
                                     v1::GetStatsResponse* response) override;
  grpc::ServerUnaryReactor* GetMetrics(
      grpc::CallbackServerContext* rpc, const v1::GetMetricsRequest* request,
      v1::GetMetricsResponse* response) override;
  grpc::ServerWriteReactor<v1::CaptureResponse>* Capture(
      grpc::CallbackServerContext* rpc,
      const v1::CaptureRequest* request) override;
  grpc::ServerUnaryReactor* EndCapture(
      grpc::CallbackServerContext* rpc, const v1::EndCaptureRequest* request,
      v1::EndCaptureResponse* response) override;

 private:
  const ServiceContext context_;
};

}  // namespace tunnel::ctl

#endif  // CTL_TELEMETRY_SERVICE_H_
