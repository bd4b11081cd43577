// What became of a change whose reply never came: Ctrl-C or the deadline ended
// the call, but past the commit line the daemon completes it all the same.

#ifndef CTL_CLI_OUTCOME_H_
#define CTL_CLI_OUTCOME_H_

#include <string>

#include "absl/time/time.h"
#include "ctl/cli/client.h"
#include "ctl/cli/grammar.h"

namespace tunnel::ctl::cli {

enum class Outcome { kMade, kNotMade, kUnknown };

// Waits, a second at most, until this process has left the configuration lock,
// then reads the tunnel and judges by it: by its existence, by the steps that
// it is held in, or by the time of its last change against `start`, when the
// call began. The daemon must have the clock of this host. kMade fills
// `tunnel`, but for a delete.
Outcome FindOutcome(Client& client, Verb verb, const std::string& name,
                    absl::Time start, v1::Tunnel* tunnel);

// The same for a transaction: judges by whether the daemon now has what it asks
// for. kMade fills `pending` of `change` if it awaits confirmation.
Outcome FindApplyOutcome(Client& client, v1::ApplyConfigRequest request,
                         v1::ConfigChange* change);

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_OUTCOME_H_
