// What the daemon may do once it has started: CAP_NET_ADMIN, CAP_NET_RAW, and
// CAP_BPF where it had it.

#ifndef CTL_PRIVILEGES_H_
#define CTL_PRIVILEGES_H_

#include "absl/status/status.h"

namespace tunnel::ctl {

// Gives up, for good, every other capability, and the gain of any by exec.
// Capabilities belong to a thread, and new threads inherit them: call it before
// the first thread is started. Errors: FailedPrecondition with the call that
// the kernel refused.
absl::Status KeepNetworkCapabilitiesOnly();

}  // namespace tunnel::ctl

#endif  // CTL_PRIVILEGES_H_
