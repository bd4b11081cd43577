// Identities of calls, by which the daemon knows a repetition.

#ifndef CTL_CLI_REQUEST_ID_H_
#define CTL_CLI_REQUEST_ID_H_

#include <string>

namespace tunnel::ctl::cli {

// A new random UUID (RFC 4122, version 4), from the kernel.
std::string NewRequestId();

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_REQUEST_ID_H_
