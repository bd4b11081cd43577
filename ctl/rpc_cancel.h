// The end of a call as the manager understands it: a steady-clock deadline and
// a stop token.

#ifndef CTL_RPC_CANCEL_H_
#define CTL_RPC_CANCEL_H_

#include <grpc/support/time.h>

#include <chrono>

namespace tunnel::ctl {

// A client that sets no deadline gets this one.
inline constexpr std::chrono::seconds kDefaultDeadline{30};

// `deadline` of a ServerContext (raw_deadline()) on the steady clock, counted
// from now; a call without one gets kDefaultDeadline.
std::chrono::steady_clock::time_point SteadyDeadline(gpr_timespec deadline);

}  // namespace tunnel::ctl

#endif  // CTL_RPC_CANCEL_H_
