// What one worker counts: for each tunnel, and for itself.
//
// Each object belongs to one worker, which alone writes it; it starts on a
// cache line of its own. Any thread may read at any time. All counters only
// rise, so a sum over workers never falls.

#ifndef TUNNEL_STATS_COUNTERS_H_
#define TUNNEL_STATS_COUNTERS_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "encap/drop_reason.h"
#include "tunnel/stats/depth_histogram.h"
#include "tunnel/stats/owned_counter.h"
#include "tunnel/stats/stats_snapshot.h"

namespace tunnel {

// Indexed by encap::DropReason.
using OwnedDropCounters = std::array<OwnedCounter, encap::kDropReasonCount>;

// One tunnel on one worker. Packets and bytes are inner ones.
struct alignas(64) TunnelWorkerCounters {
  OwnedCounter receive_packets, receive_bytes;
  OwnedCounter transmit_packets, transmit_bytes;
  OwnedCounter
      last_receive_ns;  // RealtimeCoarseNs() of the last batch; 0: none
  OwnedDropCounters receive_drops, transmit_drops;
  // Of what came by the device queue and by the underlay: as many as the kernel
  // has handed over, whatever became of them. For whoever waits until the
  // worker is done with some; a grace period behind they are out of its hands.
  OwnedCounter output_frames, input_frames;

  // `reason` is not kNone.
  void CountDropRx(encap::DropReason reason, uint64_t packets = 1) noexcept {
    receive_drops[static_cast<size_t>(reason)].Add(packets);
  }
  void CountDropTx(encap::DropReason reason, uint64_t packets = 1) noexcept {
    transmit_drops[static_cast<size_t>(reason)].Add(packets);
  }
};

// Indexed by Syscall.
using OwnedSyscallCounters = std::array<OwnedCounter, kSyscallNames.size()>;

// One worker, over all tunnels.
struct alignas(64) WorkerCountersOwned {
  OwnedCounter wakeups;
  OwnedCounter receive_batches, receive_packets;
  OwnedCounter transmit_batches, transmit_packets;
  OwnedCounter socket_drops;  // by the kernel, for want of socket buffer
  DepthHistogram receive_batch, transmit_batch;
  OwnedDropCounters unmatched_drops;  // packets that belong to no tunnel
  OwnedSyscallCounters syscalls;

  OwnedCounter& calls(Syscall kind) noexcept {
    return syscalls[static_cast<size_t>(kind)];
  }
  void CountUnmatched(encap::DropReason reason) noexcept {
    unmatched_drops[static_cast<size_t>(reason)].Add(1);
  }
};

// Adds each counter to `sum`; last_receive becomes the later one.
void AddTo(const TunnelWorkerCounters& from, TunnelCounters& sum);
// As above; leaves sum.worker and sum.cpu alone.
void AddTo(const WorkerCountersOwned& from, WorkerCounters& sum);
void AddTo(const OwnedDropCounters& from, DropCounts& sum);
// For what remains of a tunnel whose worker counters are retired.
void AddTo(const TunnelCounters& from, TunnelCounters& sum);

}  // namespace tunnel

#endif  // TUNNEL_STATS_COUNTERS_H_
