// Text and JSON of what calls reply: changes and counters.

#ifndef CTL_CLI_RENDER_REPLY_H_
#define CTL_CLI_RENDER_REPLY_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "ctl/cli/grammar.h"
#include "proto/tunnel/v1/tunnel_service.pb.h"

namespace tunnel::ctl::cli {

// One line: what `verb` has changed, what it cost.
//   gre0: key 42 -> 43 (paused 1.2 ms, 0 packets dropped)
std::string ChangeText(Verb verb, const tunnel::v1::TunnelChange& change);

// A value of FieldChange: without quotes, "none" for nothing.
std::string ValueText(absl::string_view json);

// " (paused 1.2 ms, 0 packets dropped)"; "" when there is nothing to tell.
// `what` has taken the time: "paused", or "in" where the verb says it already.
std::string CostText(absl::string_view what,
                     const tunnel::v1::TunnelChange& change);

// A table of counters, then the drops of each tunnel by reason. `details` adds
// what reached no tunnel, and the workers.
std::string StatsText(const tunnel::v1::GetStatsResponse& stats, bool details);

// An array with an object for each tunnel: its counters as numbers, drops by
// direction, and `drops`, their sum by reason. `details`: one object with that
// array as `tunnels`, unmatched_drops and workers.
std::string StatsJson(const tunnel::v1::GetStatsResponse& stats, bool details,
                      bool pretty);

// An array of tunnels (proto3 JSON).
std::string TunnelsJson(const std::vector<tunnel::v1::Tunnel>& tunnels,
                        bool pretty);
// One message on one line, or indented.
std::string MessageJson(const google::protobuf::Message& message, bool pretty);

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_RENDER_REPLY_H_
