// Session: what one run of tunnelctl works with: its command line, how to
// write, and the connection to the daemon.

#ifndef CTL_CLI_SESSION_H_
#define CTL_CLI_SESSION_H_

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ctl/cli/client.h"
#include "ctl/cli/errors.h"
#include "ctl/cli/output.h"
#include "ctl/cli/parse.h"

namespace tunnel::ctl::cli {

class Session {
 public:
  // Borrows both. Reads TUNNELCTL_TARGET and NO_COLOR.
  Session(const Invocation& invocation, Output* out);

  const Invocation& invocation() const { return invocation_; }
  Verb verb() const { return invocation_.command->verb; }
  const std::string& target() const { return target_; }
  bool json() const { return json_; }
  bool pretty() const { return pretty_; }
  bool color() const { return color_; }
  Output& out() { return *out_; }

  // Connects to the target. client() may be called after success only.
  CallError Connect();
  Client& client() { return *client_; }
  // After a connection that broke: connects again, for some seconds if need
  // be. False when no daemon came back.
  bool Reconnect();

  // Ends at --wait after the start of the session (of top: from now), or after
  // its default: 60 s for changes, 10 s for reads.
  CallLimits limits() const;

  // Writes the error to stderr as text or JSON; gives its exit code. A call
  // that Ctrl-C has cancelled becomes INTERRUPTED; of top and streams nothing
  // is written then.
  int Fail(CallError error);
  // Writes data to stdout; gives the exit code of the program so far: 0, or 1
  // when stdout can not be written.
  int Print(absl::string_view text);
  // A remark for people on stderr; nothing with --json.
  void Hint(absl::string_view text);

 private:
  const Invocation& invocation_;
  Output* const out_;
  const absl::Time start_;
  std::string target_;
  bool json_ = false;
  bool pretty_ = false;
  bool color_ = false;
  bool sent_ = false;  // a request was, whose reply was lost
  std::unique_ptr<Client> client_;
};

// Where the daemon is: the flag, else the environment, else the default.
std::string TargetOf(const Invocation& invocation);

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_SESSION_H_
