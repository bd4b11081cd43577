// Output: data on stdout, where the reader may go away at any time.

#ifndef CTL_CLI_OUTPUT_H_
#define CTL_CLI_OUTPUT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace tunnel::ctl::cli {

// One thread. Each Write() reaches the file descriptor before it returns, so
// that readers of a stream see every line at once. SIGPIPE must be ignored.
class Output {
 public:
  // Borrows `fd`.
  explicit Output(int fd) : fd_(fd) {}

  // False when the text did not go out; all later calls then give false too.
  bool Write(absl::string_view text);

  // True when the reader is gone, known without a write (a closed pipe).
  bool ReaderGone() const;

  // errno of the failed write; 0 when none failed or when the reader has gone,
  // which is no error (`tunnelctl show | head -1`).
  int error() const { return error_; }

 private:
  const int fd_;
  bool failed_ = false;
  int error_ = 0;
};

// Writes to stderr; nobody is told when that fails.
void WriteStderr(absl::string_view text);

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_OUTPUT_H_
