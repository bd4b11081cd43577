// The metrics of workers and of the rings that packets are handed over by.

#ifndef CTL_WORKER_METRICS_H_
#define CTL_WORKER_METRICS_H_

#include "ctl/metric_families.h"
#include "tunnel/tunnel_manager.h"

namespace tunnel::ctl {

void AddWorkers(const StatsSnapshot& stats, Families& out);

}  // namespace tunnel::ctl

#endif  // CTL_WORKER_METRICS_H_
