// A damaged state file: set aside under another name, never deleted, and
// replaced by one with what is sound. A crash at any point is made good by the
// next FinishRebuild().

#ifndef CTL_STORE_REBUILD_H_
#define CTL_STORE_REBUILD_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ctl/store/state_file.h"

namespace tunnel::ctl {

// Replaces the file `path`, which nobody has open, by one with `records`; the
// name that the old one has now (PATH.damaged-N, its log beside it as
// PATH.damaged-N-wal). Errors: STORE_FAILED, and the old file is still there.
absl::StatusOr<std::string> Rebuild(const std::string& path,
                                    const std::vector<Record>& records);

// Ends a Rebuild() that a crash has interrupted. Before `path` is opened.
absl::Status FinishRebuild(const std::string& path);

// Files that were set aside and still lie there, oldest first.
std::vector<std::string> DamagedFiles(const std::string& path);

}  // namespace tunnel::ctl

#endif  // CTL_STORE_REBUILD_H_
