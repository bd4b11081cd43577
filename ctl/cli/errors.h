// What went wrong, in one form for daemon errors and for our own, with its exit
// code and the next step.

#ifndef CTL_CLI_ERRORS_H_
#define CTL_CLI_ERRORS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tunnel::ctl::cli {

// Exit codes of tunnelctl.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitNotFound = 3;
inline constexpr int kExitConflict = 4;
inline constexpr int kExitUnavailable = 69;
inline constexpr int kExitTryAgain = 75;
inline constexpr int kExitNoPermission = 77;
inline constexpr int kExitConfig = 78;  // bad config file
inline constexpr int kExitInterrupted = 130;

// gRPC status codes that the client itself makes or looks for.
inline constexpr int kCodeOk = 0;
inline constexpr int kCodeCancelled = 1;
inline constexpr int kCodeInvalidArgument = 3;
inline constexpr int kCodeDeadlineExceeded = 4;
inline constexpr int kCodeNotFound = 5;
inline constexpr int kCodePermissionDenied = 7;
inline constexpr int kCodeUnavailable = 14;

struct FieldViolation {
  std::string field;
  std::string description;
};

struct CallError {
  int code = kCodeOk;  // gRPC status code
  // ErrorInfo.reason of the daemon, or one of the client's own; "" when the
  // status carries none.
  std::string reason;
  std::string message;
  std::map<std::string, std::string> metadata;
  std::vector<FieldViolation> field_violations;
  // Overrides the next step of the reason.
  std::string next_step;

  bool ok() const { return code == kCodeOk; }
};

// One row a reason: the daemon's (contract of the API) and the client's own.
struct ReasonInfo {
  absl::string_view reason;
  absl::string_view code;  // name of the gRPC status code
  int exit_code;
  absl::string_view text;  // what has happened, one sentence
  // What to do now; "{key}" is replaced by that entry of the metadata, or by
  // KEY when there is none.
  absl::string_view next_step;
};
absl::Span<const ReasonInfo> Reasons();
// nullptr for an unknown reason.
const ReasonInfo* FindReason(absl::string_view reason);

// "INVALID_ARGUMENT"; "CODE_99" for a number that is no status code.
std::string CodeName(int code);

// By reason; by status code where the reason is absent or unknown.
int ExitCode(const CallError& error);

// Makes the error of a failed call. `details` is a serialized
// google.rpc.Status, empty or unreadable when the peer sent none.
CallError FromStatus(int code, absl::string_view message,
                     absl::string_view details);

CallError UsageError(std::string message, std::string next_step);

// The lines for stderr, newline at the end:
//   tunnelctl: MESSAGE
//     FIELD: DESCRIPTION      (one a violation)
//     NEXT STEP
std::string ErrorText(const CallError& error);
// One object: code, reason, message, metadata, field_violations, next_step.
std::string ErrorJson(const CallError& error, bool pretty);

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_ERRORS_H_
