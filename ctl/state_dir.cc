#include "ctl/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tunnel::ctl {
namespace {

absl::Status SystemError(absl::string_view what) {
  return absl::FailedPreconditionError(
      absl::StrCat("--state_dir: ", what, ": ", strerror(errno)));
}

}  // namespace

absl::StatusOr<UniqueFd> LockStateDir(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return SystemError(absl::StrCat("can not make ", path));
  }
  const std::string name = path + "/lock";
  UniqueFd fd(
      open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return SystemError(absl::StrCat("can not open ", name));
  if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno != EWOULDBLOCK) return SystemError(absl::StrCat("lock ", name));
  return absl::FailedPreconditionError(absl::StrCat(
      "--state_dir: another tunneld uses ", path, " (", name, " is locked)"));
}

}  // namespace tunnel::ctl
