#include "ctl/worker_metrics.h"

#include <array>
#include <cstdint>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace tunnel::ctl {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

// Of histograms in powers of two: bucket i has 2^i to 2^(i+1)-1 packets.
auto BatchBounds() {
  std::array<uint64_t, std::tuple_size_v<BatchHistogram> - 1> bounds;
  for (size_t i = 0; i < bounds.size(); ++i) bounds[i] = (2u << i) - 1;
  return bounds;
}

// Rings that lead to one worker, or to the reader of one capture.
struct Handoff {
  MetricLabels labels;
  const HandoffCounters& counters;
};

std::vector<Handoff> HandoffsOf(const StatsSnapshot& stats) {
  std::vector<Handoff> all;
  for (const WorkerCounters& worker : stats.workers) {
    if (worker.handoff.capacity == 0) continue;  // no rings
    all.push_back({{{"worker", absl::StrCat(worker.worker)}}, worker.handoff});
  }
  for (const CaptureCounters& capture : stats.captures) {
    all.push_back({{{"tunnel", capture.tunnel},
                    {"capture", absl::StrCat(capture.capture)}},
                   capture.handoff});
  }
  return all;
}

void AddBatches(const StatsSnapshot& stats,
                const std::vector<Handoff>& handoffs, Families& out) {
  MetricFamily& family =
      out.Add("tunnel_batch_packets", MetricType::Histogram,
              "Packets that a worker has moved, or handed over, at once.");
  const auto add = [&](MetricLabels labels, const char* direction,
                       const BatchHistogram& counts, uint64_t packets) {
    labels.push_back({"direction", direction});
    AddHistogram(family, std::move(labels), BatchBounds(), counts,
                 static_cast<double>(packets));
  };
  for (const WorkerCounters& worker : stats.workers) {
    const MetricLabels labels = {{"worker", absl::StrCat(worker.worker)}};
    add(labels, "receive", worker.receive_batch, worker.receive_packets);
    add(labels, "transmit", worker.transmit_batch, worker.transmit_packets);
  }
  for (const Handoff& handoff : handoffs) {
    add(handoff.labels, "handoff", handoff.counters.batch,
        handoff.counters.packets);
  }
}

struct HandoffMetric {
  const char* name;
  MetricType type;
  const char* help;
  uint64_t HandoffCounters::*field;
};

constexpr HandoffMetric kHandoffMetrics[] = {
    {"tunnel_queue_packets", MetricType::Gauge,
     "Packets that wait in the rings to a worker, or to the reader of a "
     "capture.",
     &HandoffCounters::depth},
    {"tunnel_queue_capacity_packets", MetricType::Gauge,
     "Packets that these rings hold.", &HandoffCounters::capacity},
    {"tunnel_queue_high_watermark_packets", MetricType::Gauge,
     "The most packets that one of these rings has held.",
     &HandoffCounters::high_watermark},
    {"tunnel_handoff_packets_total", MetricType::Counter,
     "Packets that workers have put into these rings.",
     &HandoffCounters::packets},
    {"tunnel_handoff_dropped_packets_total", MetricType::Counter,
     "Packets that such a ring had no room for: queue_full of their tunnels, "
     "or lost by the capture.",
     &HandoffCounters::drops},
    {"tunnel_handoff_pushes_total", MetricType::Counter,
     "Batches in which packets were put into these rings.",
     &HandoffCounters::batches},
    {"tunnel_handoff_visits_total", MetricType::Counter,
     "Times that the taker has taken packets out of one of these rings.",
     &HandoffCounters::reads},
    {"tunnel_handoff_wakeups_total", MetricType::Counter,
     "System calls that woke the taker for packets in these rings.",
     &HandoffCounters::wakeups},
};

void AddHandoffs(const std::vector<Handoff>& handoffs, Families& out) {
  for (const HandoffMetric& metric : kHandoffMetrics) {
    MetricFamily& family = out.Add(metric.name, metric.type, metric.help);
    for (const Handoff& handoff : handoffs) {
      AddValue(family, handoff.labels,
               static_cast<double>(handoff.counters.*metric.field));
    }
  }
  MetricFamily& depth =
      out.Add("tunnel_handoff_depth_packets", MetricType::Histogram,
              "Packets that the taker found when it took some.");
  for (const Handoff& handoff : handoffs) {
    AddHistogram(depth, handoff.labels, BatchBounds(), handoff.counters.depths,
                 static_cast<double>(handoff.counters.depth_sum));
  }
}

void AddSyscalls(const StatsSnapshot& stats, Families& out) {
  MetricFamily& family =
      out.Add("tunnel_worker_syscalls_total", MetricType::Counter,
              "System calls of the worker, by what they are for.");
  for (const WorkerCounters& worker : stats.workers) {
    for (size_t i = 0; i < worker.syscalls.size(); ++i) {
      AddValue(
          family,
          {{"worker", absl::StrCat(worker.worker)}, {"kind", kSyscallNames[i]}},
          static_cast<double>(worker.syscalls[i]));
    }
  }
}

}  // namespace

void AddWorkers(const StatsSnapshot& stats, Families& out) {
  const std::vector<Handoff> handoffs = HandoffsOf(stats);
  AddBatches(stats, handoffs, out);
  AddHandoffs(handoffs, out);
  AddSyscalls(stats, out);
  MetricFamily& busy = out.Add("tunnel_worker_busy_seconds_total",
                               MetricType::Counter, "CPU time of the worker.");
  for (const WorkerCounters& worker : stats.workers) {
    AddValue(busy, {{"worker", absl::StrCat(worker.worker)}},
             worker.busy_seconds);
  }
  const auto add = [&](const char* name, const char* help,
                       uint64_t WorkerCounters::*field) {
    MetricFamily& family = out.Add(name, MetricType::Counter, help);
    for (const WorkerCounters& worker : stats.workers) {
      AddValue(family, {{"worker", absl::StrCat(worker.worker)}},
               static_cast<double>(worker.*field));
    }
  };
  add("tunnel_worker_wakeups_total",
      "Returns of the worker from its poll with work to do.",
      &WorkerCounters::wakeups);
  add("tunnel_worker_socket_dropped_packets_total",
      "Packets that the kernel dropped before the worker could read them, for "
      "any tunnel or none.",
      &WorkerCounters::socket_drops);
}

}  // namespace tunnel::ctl
