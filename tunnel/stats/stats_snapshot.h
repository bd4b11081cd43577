// Counters as a reader sees them: sums over the workers, at one moment.

#ifndef TUNNEL_STATS_STATS_SNAPSHOT_H_
#define TUNNEL_STATS_STATS_SNAPSHOT_H_

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "encap/drop_reason.h"

namespace tunnel {

// Indexed by encap::DropReason; entry 0 stays 0.
using DropCounts = std::array<uint64_t, encap::kDropReasonCount>;

// Bucket i counts batches of 2^i to 2^(i+1)-1 packets.
using BatchHistogram = std::array<uint64_t, 8>;

struct TunnelCounters {
  uint64_t receive_packets = 0, receive_bytes = 0;    // inner
  uint64_t transmit_packets = 0, transmit_bytes = 0;  // inner
  // Left to the workers by the kernel's fast path, while it was in use.
  uint64_t transmit_passed = 0;
  DropCounts receive_drops{}, transmit_drops{};
  std::optional<absl::Time> last_receive;
};

// What a worker makes system calls for.
enum class Syscall : uint8_t {
  kPoll,     // waits for something to do
  kReceive,  // packets and ICMP errors from the underlay
  kSend,     // packets to the underlay
  kRead,     // packets from a device, and finding that there is none
  kWrite,    // packets to a device
  kWake,     // another worker, for packets in a ring; and being woken
  kOther,    // timers of shapers, queues that come and go, commands, losses
};
inline constexpr std::array<const char*, 7> kSyscallNames = {
    "poll", "receive", "send", "read", "write", "wake", "other"};
using SyscallCounts = std::array<uint64_t, kSyscallNames.size()>;

// One hand-over point: what workers have handed to one worker, or to the reader
// of a capture.
struct HandoffCounters {
  uint64_t packets = 0;
  uint64_t depth = 0;           // waiting now
  uint64_t capacity = 0;        // packets
  uint64_t high_watermark = 0;  // the deepest that one of the rings has been
  uint64_t batches = 0;         // pushes, each one publication
  uint64_t reads = 0;           // visits of the taker that found packets
  uint64_t depth_sum = 0;       // of all visits, what they found
  uint64_t wakeups = 0;         // system calls to wake the taker
  uint64_t drops = 0;           // for want of room (queue_full)
  BatchHistogram batch{};       // packets a push
  BatchHistogram depths{};      // packets that a visit found
};

struct WorkerCounters {
  int worker = 0;
  int cpu = 0;
  uint64_t wakeups = 0;
  uint64_t receive_batches = 0, receive_packets = 0;
  uint64_t transmit_batches = 0, transmit_packets = 0;
  BatchHistogram receive_batch{}, transmit_batch{};
  uint64_t socket_drops = 0;
  double busy_seconds = 0;  // CPU time of the thread
  // By Syscall. Opening a socket for a flow in UDP is not counted.
  SyscallCounts syscalls{};
  HandoffCounters handoff;
};

// A capture that runs.
struct CaptureCounters {
  uint64_t capture = 0;  // its number since the start
  std::string tunnel;
  HandoffCounters handoff;
};

struct StatsSnapshot {
  struct Tunnel {
    std::string name;
    TunnelCounters counters;
  };
  std::vector<Tunnel> tunnels;  // by name
  DropCounts unmatched_drops{};
  std::vector<WorkerCounters> workers;
  std::vector<CaptureCounters> captures;  // of these tunnels
  absl::Time read_time;
  std::chrono::nanoseconds steady_time{0};  // when; only differences count
};

}  // namespace tunnel

#endif  // TUNNEL_STATS_STATS_SNAPSHOT_H_
