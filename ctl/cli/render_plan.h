// Text of what a transaction does, or would do.

#ifndef CTL_CLI_RENDER_PLAN_H_
#define CTL_CLI_RENDER_PLAN_H_

#include <string>

#include "proto/tunnel/v1/tunnel_service.pb.h"

namespace tunnel::ctl::cli {

// One tunnel after the other, those that stay left out:
//   + gre0 gre 192.0.2.1 -> 192.0.2.2 key 42
//       addresses 10.9.0.1/30
//   ~ gre1 (paused 1.2 ms, 0 packets dropped)
//       key 42 -> 43
//   - gre2 gre 192.0.2.1 -> 192.0.2.9
// What it cost is not there when it was only validated. `color` colours the
// signs.
std::string PlanText(const tunnel::v1::ConfigChange& change, bool color);

// "1 created, 2 changed, 1 deleted", or "nothing to change".
std::string PlanSummary(const tunnel::v1::ConfigChange& change);

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_RENDER_PLAN_H_
