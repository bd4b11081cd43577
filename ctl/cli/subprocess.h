// Subprocess: tunnelctl as users run it, for tests.

#ifndef CTL_CLI_SUBPROCESS_H_
#define CTL_CLI_SUBPROCESS_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/time/time.h"

namespace tunnel::ctl::cli {

struct ProcessResult {
  // Exit code; 128 + the signal that killed it; -1 when it was still running
  // after the patience of Wait() and had to be killed.
  int exit_code = -1;
  std::string out;
  std::string err;
};

// One thread. stdin is /dev/null; the environment is that of the test without
// TUNNELCTL_TARGET and NO_COLOR, plus `environment` ("NAME=value").
class Subprocess {
 public:
  explicit Subprocess(const std::vector<std::string>& args,
                      const std::vector<std::string>& environment = {});
  ~Subprocess();  // kills it if it still runs
  Subprocess(const Subprocess&) = delete;
  Subprocess& operator=(const Subprocess&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal);
  // Reads stdout until it holds `text`. False when it ends, or after 10 s.
  bool ReadUntil(const std::string& text);
  // Closes the reading end of its stdout.
  void CloseStdout();
  // Reads to the end and reaps it, for at most `patience`.
  ProcessResult Wait(absl::Duration patience = absl::Seconds(20));

 private:
  // Waits for output, appends it. False when both ends are closed.
  bool Pump(absl::Time end);

  pid_t pid_ = -1;
  int out_ = -1;
  int err_ = -1;
  ProcessResult result_;
};

// Runs it to its end.
ProcessResult RunProcess(const std::vector<std::string>& args,
                         const std::vector<std::string>& environment = {});

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_SUBPROCESS_H_
