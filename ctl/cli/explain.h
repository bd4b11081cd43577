// What a reason means: drop reasons of packets, error reasons of calls.

#ifndef CTL_CLI_EXPLAIN_H_
#define CTL_CLI_EXPLAIN_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace tunnel::ctl::cli {

struct Explanation {
  std::string reason;
  std::string kind;  // "drop" or "error"
  std::string text;  // what has happened
  std::string next_step;
  std::string code;    // errors: name of the gRPC status code
  int exit_code = -1;  // errors: of tunnelctl
};

// Every drop reason, then every error reason.
std::vector<Explanation> AllExplanations();

// In any case of letters, with '-' for '_'. False for an unknown reason;
// `nearest` is then the nearest known one, or "".
bool Explain(absl::string_view reason, Explanation* explanation,
             std::string* nearest);

std::string ExplanationText(const Explanation& explanation);
std::string ExplanationJson(const std::vector<Explanation>& explanations,
                            bool pretty);

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_EXPLAIN_H_
