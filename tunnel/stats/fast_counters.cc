#include "tunnel/stats/fast_counters.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "encap/drop_reason.h"
#include "tunnel/base/clock.h"

namespace tunnel {
namespace {

uint64_t& Drops(DropCounts& counts, encap::DropReason reason) {
  return counts[static_cast<size_t>(reason)];
}

// A moment of SteadyCoarseNs() on the wall clock as it is now.
absl::Time OnWallClock(uint64_t steady_ns) {
  const auto ago = static_cast<int64_t>(SteadyCoarseNs() - steady_ns);
  const auto now = static_cast<int64_t>(RealtimeCoarseNs());
  return absl::FromUnixNanos(now - std::max<int64_t>(ago, 0));
}

}  // namespace

void AddTo(const FastCounters& from, TunnelCounters& sum) {
  using encap::DropReason;
  sum.receive_packets += from.receive_packets;
  sum.receive_bytes += from.receive_bytes;
  sum.transmit_packets += from.transmit_packets;
  sum.transmit_bytes += from.transmit_bytes;
  sum.transmit_passed += from.transmit_passed;
  Drops(sum.transmit_drops, DropReason::kSendError) += from.send_errors;
  Drops(sum.receive_drops, DropReason::kInnerWriteError) +=
      from.inner_write_errors;
  if (from.last_receive_ns == 0) return;
  const absl::Time last = OnWallClock(from.last_receive_ns);
  sum.last_receive =
      sum.last_receive ? std::max(*sum.last_receive, last) : last;
}

void AddTo(const FastCounters& from, FastCounters& sum) {
  sum.receive_packets += from.receive_packets;
  sum.receive_bytes += from.receive_bytes;
  sum.transmit_packets += from.transmit_packets;
  sum.transmit_bytes += from.transmit_bytes;
  sum.send_errors += from.send_errors;
  sum.inner_write_errors += from.inner_write_errors;
  sum.transmit_passed += from.transmit_passed;
  sum.last_receive_ns = std::max(sum.last_receive_ns, from.last_receive_ns);
}

}  // namespace tunnel
