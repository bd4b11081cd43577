#include "tunnel/stats/counters.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace tunnel {
namespace {

void TakeLater(absl::Time time, TunnelCounters& sum) {
  sum.last_receive =
      sum.last_receive ? std::max(*sum.last_receive, time) : time;
}

void AddCounts(const DropCounts& from, DropCounts& sum) {
  for (size_t i = 0; i < from.size(); ++i) sum[i] += from[i];
}

}  // namespace

void AddTo(const OwnedDropCounters& from, DropCounts& sum) {
  for (size_t i = 0; i < from.size(); ++i) sum[i] += from[i].value();
}

void AddTo(const TunnelWorkerCounters& from, TunnelCounters& sum) {
  sum.receive_packets += from.receive_packets.value();
  sum.receive_bytes += from.receive_bytes.value();
  sum.transmit_packets += from.transmit_packets.value();
  sum.transmit_bytes += from.transmit_bytes.value();
  AddTo(from.receive_drops, sum.receive_drops);
  AddTo(from.transmit_drops, sum.transmit_drops);
  const uint64_t last_ns = from.last_receive_ns.value();
  if (last_ns != 0) {
    TakeLater(absl::FromUnixNanos(static_cast<int64_t>(last_ns)), sum);
  }
}

void AddTo(const WorkerCountersOwned& from, WorkerCounters& sum) {
  sum.wakeups += from.wakeups.value();
  sum.receive_batches += from.receive_batches.value();
  sum.receive_packets += from.receive_packets.value();
  sum.transmit_batches += from.transmit_batches.value();
  sum.transmit_packets += from.transmit_packets.value();
  sum.socket_drops += from.socket_drops.value();
  for (size_t i = 0; i < sum.syscalls.size(); ++i)
    sum.syscalls[i] += from.syscalls[i].value();
  from.receive_batch.AddTo(sum.receive_batch);
  from.transmit_batch.AddTo(sum.transmit_batch);
}

void AddTo(const TunnelCounters& from, TunnelCounters& sum) {
  sum.receive_packets += from.receive_packets;
  sum.receive_bytes += from.receive_bytes;
  sum.transmit_packets += from.transmit_packets;
  sum.transmit_bytes += from.transmit_bytes;
  sum.transmit_passed += from.transmit_passed;
  AddCounts(from.receive_drops, sum.receive_drops);
  AddCounts(from.transmit_drops, sum.transmit_drops);
  if (from.last_receive) TakeLater(*from.last_receive, sum);
}

}  // namespace tunnel
