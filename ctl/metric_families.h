// Metric families in the making, for those who collect them.

#ifndef CTL_METRIC_FAMILIES_H_
#define CTL_METRIC_FAMILIES_H_

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/metric_type.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace tunnel::ctl {

using MetricLabels = std::vector<prometheus::ClientMetric::Label>;

class Families {
 public:
  prometheus::MetricFamily& Add(std::string name, prometheus::MetricType type,
                                std::string help) {
    return families_.emplace_back(
        prometheus::MetricFamily{std::move(name), std::move(help), type, {}});
  }
  std::vector<prometheus::MetricFamily> Take() && {
    return std::move(families_);
  }

 private:
  std::vector<prometheus::MetricFamily> families_;
};

// To a family of counters or gauges.
inline void AddValue(prometheus::MetricFamily& family, MetricLabels labels,
                     double value) {
  prometheus::ClientMetric& metric = family.metric.emplace_back();
  metric.label = std::move(labels);
  if (family.type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
}

// `counts[i]` samples up to `bounds[i]`; the last count has no bound.
template <typename Bounds, typename Counts>
void AddHistogram(prometheus::MetricFamily& family, MetricLabels labels,
                  const Bounds& bounds, const Counts& counts, double sum) {
  prometheus::ClientMetric& metric = family.metric.emplace_back();
  metric.label = std::move(labels);
  uint64_t cumulative = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    cumulative += counts[i];
    const double bound = i < bounds.size()
                             ? static_cast<double>(bounds[i])
                             : std::numeric_limits<double>::infinity();
    metric.histogram.bucket.push_back({cumulative, bound});
  }
  metric.histogram.sample_count = cumulative;
  metric.histogram.sample_sum = sum;
}

}  // namespace tunnel::ctl

#endif  // CTL_METRIC_FAMILIES_H_
