// Changes whose reply never came.

#ifndef CTL_CLI_UNHEARD_H_
#define CTL_CLI_UNHEARD_H_

#include <string>

#include "ctl/cli/errors.h"

namespace tunnel::ctl::cli {

// Whether the call was ended on this side, by Ctrl-C or by its deadline, so
// that the daemon may have completed the change unheard.
bool EndedByUs(const CallError& error);

// "interrupted" or "deadline exceeded"; gives the error that reason, and a
// message that nothing has changed.
const char* DescribeEnd(CallError* error);

// For stderr, when the daemon answers with the outcome of an earlier call.
inline constexpr char kReplayed[] =
    "tunnelctl: already done by an earlier call with this request id";

// What to do after DAEMON_UNREACHABLE: repeat it under the same request id.
std::string UnknownOutcomeText(const CallError& error);

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_UNHEARD_H_
