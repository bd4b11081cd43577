// What the kernel's fast path has counted of a tunnel, in the words of the
// statistics.

#ifndef TUNNEL_STATS_FAST_COUNTERS_H_
#define TUNNEL_STATS_FAST_COUNTERS_H_

#include "tunnel/bpf/fast_path.h"
#include "tunnel/stats/stats_snapshot.h"

namespace tunnel {

// Adds packets, bytes, what was passed, and drops (send_error,
// inner_write_error) to `sum`; last_receive becomes the later one.
void AddTo(const FastCounters& from, TunnelCounters& sum);

// Adds each counter; last_receive_ns becomes the later one.
void AddTo(const FastCounters& from, FastCounters& sum);

}  // namespace tunnel

#endif  // TUNNEL_STATS_FAST_COUNTERS_H_
