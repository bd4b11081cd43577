// StateDir: the directory that one daemon owns at a time.

#ifndef CTL_STATE_DIR_H_
#define CTL_STATE_DIR_H_

#include <string>

#include "absl/status/statusor.h"
#include "tunnel/base/unique_fd.h"

namespace tunnel::ctl {

// Makes `path` (0700) if it does not exist and locks it through the file "lock"
// in it. The result keeps the lock as long as it lives. Errors:
// FailedPrecondition with one sentence for the operator, that another tunneld
// uses it among them.
absl::StatusOr<UniqueFd> LockStateDir(const std::string& path);

}  // namespace tunnel::ctl

#endif  // CTL_STATE_DIR_H_
