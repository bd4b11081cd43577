// The connection to the daemon, made before gRPC so that the cause of a failure
// is known exactly.

#ifndef CTL_CLI_CONNECT_H_
#define CTL_CLI_CONNECT_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ctl/cli/errors.h"

namespace tunnel::ctl::cli {

inline constexpr absl::string_view kDefaultTarget =
    "unix:/run/tunneld/tunneld.sock";

// Connects to "unix:PATH", "unix:///PATH", "HOST:PORT" or "[V6]:PORT", and
// waits until the daemon has begun to speak, at most for `timeout`. The caller
// owns
// `*fd`, which does not block.
//
// Errors: USAGE for another form of target; SOCKET_PERMISSION when the socket
// may not be opened, or when the daemon closes it unanswered to a user who is
// not root; DAEMON_UNREACHABLE for all else, with the errno in words.
CallError Connect(const std::string& target, absl::Duration timeout, int* fd);

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_CONNECT_H_
