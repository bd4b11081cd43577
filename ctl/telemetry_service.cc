#include "ctl/telemetry_service.h"

#include <string>
#include <vector>

#include "ctl/capture_call.h"
#include "ctl/convert_reply.h"
#include "ctl/metrics.h"

namespace tunnel::ctl {

grpc::ServerUnaryReactor* TelemetryServiceImpl::GetStats(
    grpc::CallbackServerContext* rpc, const v1::GetStatsRequest* request,
    v1::GetStatsResponse* response) {
  const std::vector<std::string> names(request->names().begin(),
                                       request->names().end());
  const absl::StatusOr<StatsSnapshot> stats = context_.manager.Stats(names);
  if (stats.ok()) *response = StatsToProto(*stats);
  return FinishNow(rpc, stats.status());
}

grpc::ServerUnaryReactor* TelemetryServiceImpl::GetMetrics(
    grpc::CallbackServerContext* rpc, const v1::GetMetricsRequest*,
    v1::GetMetricsResponse* response) {
  response->set_text(MetricsText(context_.manager, context_.metrics));
  return FinishNow(rpc, absl::OkStatus());
}

grpc::ServerWriteReactor<v1::CaptureResponse>* TelemetryServiceImpl::Capture(
    grpc::CallbackServerContext* rpc, const v1::CaptureRequest* request) {
  return StartCapture(context_, *rpc, *request);
}

grpc::ServerUnaryReactor* TelemetryServiceImpl::EndCapture(
    grpc::CallbackServerContext* rpc, const v1::EndCaptureRequest* request,
    v1::EndCaptureResponse*) {
  const absl::Status status = CheckMayChange(context_, "EndCapture");
  if (status.ok()) context_.captures.Complete(request->capture());
  return FinishNow(rpc, status);
}

}  // namespace tunnel::ctl
