// MetricsServer: the metrics over HTTP, at /metrics.

#ifndef CTL_METRICS_SERVER_H_
#define CTL_METRICS_SERVER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "ctl/call_metrics.h"
#include "ctl/metrics_address.h"
#include "tunnel/tunnel_manager.h"

namespace tunnel::ctl {

// Serves anybody who reaches the address: there is nothing secret, but the
// addresses and keys of the tunnels. Three threads; a reader that hangs takes
// one of two for at most half a minute.
class MetricsServer {
 public:
  // `manager` and `calls` outlive it. Errors: FailedPrecondition with one
  // sentence for the operator.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(
      const MetricsAddress& address, const TunnelManager& manager,
      const CallMetrics& calls);
  // Ends its connections and threads.
  ~MetricsServer();

  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

 private:
  class Impl;
  explicit MetricsServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tunnel::ctl

#endif  // CTL_METRICS_SERVER_H_
