#include "ctl/metrics.h"

#include <prometheus/text_serializer.h>

#include <array>
#include <cstdint>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ctl/metric_families.h"
#include "ctl/wire_time.h"
#include "ctl/worker_metrics.h"
#include "encap/drop_reason.h"
#include "encap/encap_config.h"

namespace tunnel::ctl {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

void AddLatency(MetricFamily& family, MetricLabels labels,
                const LatencyHistogram& histogram) {
  std::array<double, LatencyHistogram::kBoundsNs.size()> bounds;
  for (size_t i = 0; i < bounds.size(); ++i) {
    bounds[i] =
        ToSeconds(std::chrono::nanoseconds(LatencyHistogram::kBoundsNs[i]));
  }
  AddHistogram(family, std::move(labels), bounds, histogram.counts,
               ToSeconds(histogram.sum));
}

std::string KeyText(const std::optional<uint32_t>& key) {
  return key ? absl::StrCat(*key) : "";
}

void AddTunnelStates(const TunnelList& list, Families& out) {
  MetricFamily info{"tunnel_info",
                    "Identity of a tunnel; always 1. A key is empty when the "
                    "tunnel has none.",
                    MetricType::Gauge,
                    {}};
  MetricFamily up{"tunnel_up",
                  "1 when the tunnel transmits and receives, else 0.",
                  MetricType::Gauge,
                  {}};
  MetricFamily mtu{"tunnel_mtu_bytes",
                   "MTU in force on the interface of the tunnel.",
                   MetricType::Gauge,
                   {}};
  for (const TunnelView& tunnel : list.tunnels) {
    const EndpointConfig& config = tunnel.config;
    AddValue(info,
             {{"tunnel", config.name},
              {"mode", std::string(encap::ModeName(config.encap.mode))},
              {"local", LocalText(config)},
              {"remote", RemoteText(config)},
              {"input_key", KeyText(config.encap.input_key)},
              {"output_key", KeyText(config.encap.output_key)},
              {"underlay_device", config.underlay_device}},
             1);
    AddValue(up, {{"tunnel", config.name}},
             tunnel.oper_state == OperState::kUp ? 1 : 0);
    AddValue(mtu, {{"tunnel", config.name}}, tunnel.effective_mtu);
  }
  for (MetricFamily* family : {&info, &up, &mtu}) {
    out.Add(family->name, family->type, family->help).metric =
        std::move(family->metric);
  }
}

void AddDatapaths(const TunnelList& list, Families& out) {
  MetricFamily& family = out.Add(
      "tunnel_datapath_info", MetricType::Gauge,
      "What carries the packets of a tunnel, bpf or user, and why user; always "
      "1.");
  for (const TunnelView& tunnel : list.tunnels) {
    AddValue(family,
             {{"tunnel", tunnel.config.name},
              {"datapath", std::string(DatapathText(tunnel.datapath_in_use))},
              {"reason", tunnel.datapath_reason}},
             1);
  }
}

// A counter of each tunnel.
void AddTunnelCounter(const StatsSnapshot& stats, const char* name,
                      const char* help, uint64_t TunnelCounters::*field,
                      Families& out) {
  MetricFamily& family = out.Add(name, MetricType::Counter, help);
  for (const StatsSnapshot::Tunnel& tunnel : stats.tunnels) {
    AddValue(family, {{"tunnel", tunnel.name}},
             static_cast<double>(tunnel.counters.*field));
  }
}

void AddDrops(const std::string& tunnel, const char* direction,
              const DropCounts& drops, MetricFamily& family) {
  for (size_t i = 0; i < drops.size(); ++i) {
    if (drops[i] == 0) continue;
    AddValue(family,
             {{"tunnel", tunnel},
              {"direction", direction},
              {"reason", std::string(encap::kDropReasonInfo[i].name)}},
             static_cast<double>(drops[i]));
  }
}

void AddTraffic(const StatsSnapshot& stats, Families& out) {
  AddTunnelCounter(stats, "tunnel_receive_packets_total",
                   "Packets decapsulated and handed to the interface.",
                   &TunnelCounters::receive_packets, out);
  AddTunnelCounter(stats, "tunnel_receive_bytes_total",
                   "Bytes of the inner packets received.",
                   &TunnelCounters::receive_bytes, out);
  AddTunnelCounter(stats, "tunnel_transmit_packets_total",
                   "Packets encapsulated and handed to the underlay.",
                   &TunnelCounters::transmit_packets, out);
  AddTunnelCounter(stats, "tunnel_transmit_bytes_total",
                   "Bytes of the inner packets transmitted.",
                   &TunnelCounters::transmit_bytes, out);
  AddTunnelCounter(stats, "tunnel_transmit_passed_packets_total",
                   "Packets that the kernel's fast path has left to the "
                   "workers, which count them as transmitted or dropped.",
                   &TunnelCounters::transmit_passed, out);
  MetricFamily& drops = out.Add(
      "tunnel_dropped_packets_total", MetricType::Counter,
      "Packets dropped, by reason; the sum over the reasons is every drop. "
      "The label tunnel is empty for packets that belong to no tunnel.");
  for (const StatsSnapshot::Tunnel& tunnel : stats.tunnels) {
    AddDrops(tunnel.name, "receive", tunnel.counters.receive_drops, drops);
    AddDrops(tunnel.name, "transmit", tunnel.counters.transmit_drops, drops);
  }
  AddDrops("", "receive", stats.unmatched_drops, drops);
  MetricFamily& last = out.Add(
      "tunnel_last_receive_timestamp_seconds", MetricType::Gauge,
      "When the tunnel has last received a packet, seconds since 1970; absent "
      "until then.");
  for (const StatsSnapshot::Tunnel& tunnel : stats.tunnels) {
    if (!tunnel.counters.last_receive) continue;
    AddValue(last, {{"tunnel", tunnel.name}},
             absl::ToDoubleSeconds(*tunnel.counters.last_receive -
                                   absl::UnixEpoch()));
  }
}

void AddConfigLock(const ConfigLockInfo& lock, Families& out) {
  AddLatency(out.Add("tunnel_config_lock_wait_seconds", MetricType::Histogram,
                     "Wait for the configuration lock, of all that got it."),
             {}, lock.wait);
  AddLatency(out.Add("tunnel_config_lock_hold_seconds", MetricType::Histogram,
                     "How long the configuration lock was held."),
             {}, lock.hold);
  AddValue(out.Add("tunnel_config_lock_interrupted_total", MetricType::Counter,
                   "Waits and changes that an operator has ended."),
           {}, static_cast<double>(lock.interrupted_total));
}

// As gRPC's libraries for Go name them, which the dashboards know.
const char* CodeName(grpc::StatusCode code) {
  constexpr std::array<const char*, 17> kNames = {"OK",
                                                  "Canceled",
                                                  "Unknown",
                                                  "InvalidArgument",
                                                  "DeadlineExceeded",
                                                  "NotFound",
                                                  "AlreadyExists",
                                                  "PermissionDenied",
                                                  "ResourceExhausted",
                                                  "FailedPrecondition",
                                                  "Aborted",
                                                  "OutOfRange",
                                                  "Unimplemented",
                                                  "Internal",
                                                  "Unavailable",
                                                  "DataLoss",
                                                  "Unauthenticated"};
  const auto index = static_cast<size_t>(code);
  return index < kNames.size() ? kNames[index] : "Unknown";
}

void AddCalls(const CallMetrics::Snapshot& calls, Families& out) {
  MetricFamily& phases =
      out.Add("tunnel_rewire_phase_seconds", MetricType::Histogram,
              "Time of each step of the changes that were asked for.");
  for (size_t i = 0; i < CallMetrics::kPhases.size(); ++i) {
    AddLatency(phases, {{"phase", CallMetrics::kPhases[i]}}, calls.phases[i]);
  }
  MetricFamily& handled =
      out.Add("grpc_server_handled_total", MetricType::Counter,
              "Calls of the API that have ended, by method and code.");
  for (const auto& [key, count] : calls.handled) {
    AddValue(handled,
             {{"grpc_method", key.first}, {"grpc_code", CodeName(key.second)}},
             static_cast<double>(count));
  }
}

}  // namespace

std::vector<MetricFamily> CollectMetrics(const TunnelManager& manager,
                                         const CallMetrics& calls) {
  Families out;
  const TunnelList list = manager.List();
  AddTunnelStates(list, out);
  AddDatapaths(list, out);
  // Without names it has no way to fail.
  const absl::StatusOr<StatsSnapshot> stats = manager.Stats({});
  if (stats.ok()) {
    AddTraffic(*stats, out);
    AddWorkers(*stats, out);
  }
  AddConfigLock(manager.LockInfo(), out);
  AddCalls(calls.Read(), out);
  return std::move(out).Take();
}

std::string MetricsText(const TunnelManager& manager,
                        const CallMetrics& calls) {
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, CollectMetrics(manager, calls));
  return text.str();
}

}  // namespace tunnel::ctl
