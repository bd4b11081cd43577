// The daemon's metrics in the words of Prometheus. Base units; names end in
// _total where a value only rises. docs/operations.md has the list.

#ifndef CTL_METRICS_H_
#define CTL_METRICS_H_

#include <prometheus/metric_family.h>

#include <string>
#include <vector>

#include "ctl/call_metrics.h"
#include "tunnel/tunnel_manager.h"

namespace tunnel::ctl {

// All families, read now. Takes no lock that a change holds.
std::vector<prometheus::MetricFamily> CollectMetrics(
    const TunnelManager& manager, const CallMetrics& calls);

// The same in text format 0.0.4.
std::string MetricsText(const TunnelManager& manager, const CallMetrics& calls);

}  // namespace tunnel::ctl

#endif  // CTL_METRICS_H_
