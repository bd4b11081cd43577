#include "ctl/cli/unheard.h"

#include "absl/strings/str_cat.h"
#include "ctl/cli/interrupt.h"

namespace tunnel::ctl::cli {

bool EndedByUs(const CallError& error) {
  return (error.code == kCodeCancelled && error.reason.empty() &&
          Interrupt::Get().seen()) ||
         error.code == kCodeDeadlineExceeded;
}

const char* DescribeEnd(CallError* error) {
  const bool deadline = error->code == kCodeDeadlineExceeded;
  const char* const why = deadline ? "deadline exceeded" : "interrupted";
  error->reason = deadline ? "DEADLINE_EXCEEDED" : "INTERRUPTED";
  error->message = absl::StrCat(why, ", nothing changed");
  return why;
}

std::string UnknownOutcomeText(const CallError& error) {
  const auto id = error.metadata.find("request_id");
  if (id == error.metadata.end()) return "start tunneld, then call again";
  return absl::StrCat(
      "whether the change was made is not known; when the daemon is back, the "
      "same command with --request-id ",
      id->second, " makes it once");
}

}  // namespace tunnel::ctl::cli
