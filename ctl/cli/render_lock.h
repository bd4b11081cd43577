// Text of the configuration lock.

#ifndef CTL_CLI_RENDER_LOCK_H_
#define CTL_CLI_RENDER_LOCK_H_

#include <string>

#include "proto/tunnel/v1/tunnel_service.pb.h"

namespace tunnel::ctl::cli {

// Holder and waiters; a configuration that awaits confirmation; then how long
// the lock was waited for and held, as a table and a bar for each bucket that
// is not empty.
std::string LockText(const tunnel::v1::ConfigLockState& lock);

// "0192... goes back in 28 s (gre0 gre1)".
std::string PendingText(const tunnel::v1::PendingApply& pending);

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_RENDER_LOCK_H_
