// Looks at the write-ahead log that a crash has left, before SQLite does:
// SQLite takes what is valid and drops what stands behind it without a word.

#ifndef CTL_STORE_LOG_CHECK_H_
#define CTL_STORE_LOG_CHECK_H_

#include <cstddef>
#include <string>

namespace tunnel::ctl {

struct LogCheck {
  // There is a log that is not one, so that all of it will be dropped.
  bool unreadable = false;
  // Commits that stand behind a damaged frame, and will be dropped.
  size_t lost_commits = 0;
  // The last frame was not written to its end: a commit that nobody was told
  // of, or damage that can not be told from one.
  bool unfinished = false;
};

// Of the log of the database `path`. All false and 0 when there is none.
LogCheck CheckLog(const std::string& path);

}  // namespace tunnel::ctl

#endif  // CTL_STORE_LOG_CHECK_H_
