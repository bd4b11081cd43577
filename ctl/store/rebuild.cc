#include "ctl/store/rebuild.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/base/unique_fd.h"

namespace tunnel::ctl {
namespace {

// SQLite's name for the log of a file.
std::string LogOf(const std::string& path) { return path + "-wal"; }
// Being written, and complete.
std::string Unfinished(const std::string& path) { return path + ".rebuilding"; }
std::string Finished(const std::string& path) { return path + ".rebuilt"; }

std::string Damaged(const std::string& path, int n) {
  return absl::StrCat(path, ".damaged-", n);
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

absl::Status SystemError(absl::string_view what, const std::string& path) {
  return MakeError(Reason::kStoreFailed,
                   absl::StrCat(path, ": can not ", what, ": ", strerror(errno),
                                "; the damaged file is still there"),
                   {{"path", path}, {"errno", absl::StrCat(errno)}});
}

absl::Status Rename(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
  return SystemError(absl::StrCat("rename to ", to), from);
}

absl::Status SyncDirectoryOf(const std::string& path) {
  const std::string directory = path.substr(0, path.rfind('/'));
  const UniqueFd fd(
      open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd && fsync(fd.get()) == 0) return absl::OkStatus();
  return SystemError("synchronise", directory);
}

absl::Status WriteAll(const std::string& path,
                      const std::vector<Record>& records) {
  StateFile::Contents contents;
  ASSIGN_OR_RETURN(const std::unique_ptr<StateFile> file,
                   StateFile::Open(path, contents));
  if (!contents.problems.empty()) {
    return MakeError(Reason::kStoreFailed, contents.problems[0]);
  }
  RETURN_IF_ERROR(file->Begin());
  for (const Record& record : records) RETURN_IF_ERROR(file->Put(record));
  RETURN_IF_ERROR(file->Commit());
  // One file without a log, so that one rename puts it in place.
  return file->MergeLog();
}

}  // namespace

absl::StatusOr<std::string> Rebuild(const std::string& path,
                                    const std::vector<Record>& records) {
  const std::string unfinished = Unfinished(path);
  unlink(unfinished.c_str());
  unlink(LogOf(unfinished).c_str());
  RETURN_IF_ERROR(WriteAll(unfinished, records));
  int n = 1;
  while (Exists(Damaged(path, n)) || Exists(LogOf(Damaged(path, n)))) ++n;
  RETURN_IF_ERROR(Rename(unfinished, Finished(path)));
  RETURN_IF_ERROR(SyncDirectoryOf(path));
  RETURN_IF_ERROR(FinishRebuild(path));
  return Damaged(path, n);
}

absl::Status FinishRebuild(const std::string& path) {
  if (!Exists(Finished(path))) return absl::OkStatus();
  // The log goes first: beside a new file it would be taken for that one's.
  int n = 1;
  while (Exists(Damaged(path, n))) ++n;
  if (Exists(LogOf(path))) {
    RETURN_IF_ERROR(Rename(LogOf(path), LogOf(Damaged(path, n))));
  }
  if (Exists(path)) RETURN_IF_ERROR(Rename(path, Damaged(path, n)));
  RETURN_IF_ERROR(SyncDirectoryOf(path));
  RETURN_IF_ERROR(Rename(Finished(path), path));
  return SyncDirectoryOf(path);
}

std::vector<std::string> DamagedFiles(const std::string& path) {
  std::vector<std::string> files;
  for (int n = 1; Exists(Damaged(path, n)); ++n) {
    files.push_back(Damaged(path, n));
  }
  return files;
}

}  // namespace tunnel::ctl
