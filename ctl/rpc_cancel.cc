#include "ctl/rpc_cancel.h"

namespace tunnel::ctl {

std::chrono::steady_clock::time_point SteadyDeadline(gpr_timespec deadline) {
  const auto now = std::chrono::steady_clock::now();
  const gpr_timespec never = gpr_inf_future(deadline.clock_type);
  if (gpr_time_cmp(deadline, never) == 0) return now + kDefaultDeadline;
  const gpr_timespec left =
      gpr_time_sub(deadline, gpr_now(deadline.clock_type));
  // Further away than the steady clock can count: as good as none.
  if (left.tv_sec > std::chrono::hours(24 * 366) / std::chrono::seconds(1)) {
    return now + kDefaultDeadline;
  }
  return now + std::chrono::seconds(left.tv_sec) +
         std::chrono::nanoseconds(left.tv_nsec);
}

}  // namespace tunnel::ctl
