#include "ctl/telemetry_service.h"

#include <string>
#include <vector>

#include "ctl/convert_reply.h"

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

}  // namespace tunnel::ctl
