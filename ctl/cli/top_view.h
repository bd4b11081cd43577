// TopView: what happened between two readings of the counters, a second.

#ifndef CTL_CLI_TOP_VIEW_H_
#define CTL_CLI_TOP_VIEW_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "proto/tunnel/v1/tunnel_service.pb.h"

namespace tunnel::ctl::cli {

// Rates are a second. A ratio is absent where nothing happened that it could
// tell of.
struct TunnelRates {
  struct Direction {
    double packets = 0, bits = 0, drops = 0;
  };
  std::string name;
  Direction receive, transmit;
};

struct WorkerRates {
  uint32_t worker = 0, cpu = 0;
  double busy = 0;  // share of one CPU, 0 to 1
  double receive_packets = 0, transmit_packets = 0, socket_drops = 0;
  std::optional<double> receive_batch, transmit_batch;  // packets
  double syscalls = 0;
  std::optional<double> packets_per_syscall;  // of both directions
};

// The rings that lead to one worker, or to the reader of a capture.
struct HandoffRates {
  uint32_t worker = 0;
  uint64_t capture = 0;  // its number; 0: of a worker
  std::string tunnel;    // of the capture
  double packets = 0, drops = 0;
  uint64_t depth = 0, capacity = 0, high_watermark = 0;  // packets, as read
  std::optional<double> mean_depth;  // that a visit of the worker found
  std::optional<double> batch;       // packets that were pushed at once
  std::optional<double> packets_per_wakeup;
  // Publications and looks of both sides for each packet.
  std::optional<double> syncs_per_packet;
};

struct TopView {
  double seconds = 0;                // between the readings
  std::vector<TunnelRates> tunnels;  // those with the most bits first
  double unmatched_drops = 0;
  std::vector<WorkerRates> workers;
  std::vector<HandoffRates> handoffs;
};

// What is not in `before`, or has begun anew since, has rates of 0. All are 0
// when the readings are not of one run of the daemon, in this order.
TopView TopBetween(const tunnel::v1::GetStatsResponse& before,
                   const tunnel::v1::GetStatsResponse& after);

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_TOP_VIEW_H_
