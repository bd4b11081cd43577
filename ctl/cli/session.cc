#include "ctl/cli/session.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "ctl/cli/connect.h"
#include "ctl/cli/interrupt.h"

namespace tunnel::ctl::cli {
namespace {

constexpr absl::Duration kWriteWait = absl::Seconds(60);
constexpr absl::Duration kReadWait = absl::Seconds(10);
constexpr absl::Duration kConnectWait = absl::Seconds(5);
// How long a daemon that was lost may take to come back.
constexpr absl::Duration kReconnectWait = absl::Seconds(3);
constexpr absl::Duration kReconnectInterval = absl::Milliseconds(50);

bool IsSet(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

bool WantsColor(const Invocation& invocation) {
  const Setting* color = invocation.Find("color");
  if (color == nullptr || color->text == "auto") {
    return isatty(STDOUT_FILENO) == 1 && !IsSet("NO_COLOR");
  }
  return color->text == "always";
}

}  // namespace

std::string TargetOf(const Invocation& invocation) {
  const Setting* target = invocation.Find("target");
  if (target != nullptr) return target->text;
  if (IsSet("TUNNELCTL_TARGET")) return std::getenv("TUNNELCTL_TARGET");
  return std::string(kDefaultTarget);
}

Session::Session(const Invocation& invocation, Output* out)
    : invocation_(invocation),
      out_(out),
      start_(absl::Now()),
      target_(TargetOf(invocation)),
      json_(invocation.Has("json")),
      pretty_(invocation.Has("pretty")),
      color_(WantsColor(invocation)) {
  const Setting* output = invocation.Find("output");
  if (output != nullptr && output->text == "json") json_ = true;
}

CallError Session::Connect() {
  Interrupt& interrupt = Interrupt::Get();
  interrupt.Arm([this] {
    CallError error;
    error.code = kCodeCancelled;
    _exit(Fail(std::move(error)));
  });
  int fd = -1;
  const absl::Duration left =
      std::min(limits().deadline - absl::Now(), kConnectWait);
  const CallError error = cli::Connect(target_, left, &fd);
  interrupt.Disarm();
  if (error.ok()) client_ = std::make_unique<Client>(fd, target_);
  return error;
}

bool Session::Reconnect() {
  sent_ = true;
  const absl::Time end =
      std::min(absl::Now() + kReconnectWait, limits().deadline);
  while (true) {
    const CallError error = Connect();
    if (error.ok()) return true;
    if (error.reason != "DAEMON_UNREACHABLE" ||
        absl::Now() + kReconnectInterval >= end) {
      return false;
    }
    absl::SleepFor(kReconnectInterval);
  }
}

CallLimits Session::limits() const {
  CallLimits limits;
  if (IsStream(verb())) return limits;
  const Setting* wait = invocation_.Find("wait");
  const absl::Time start = verb() == Verb::kTop ? absl::Now() : start_;
  if (wait != nullptr) {
    limits.deadline = start + wait->duration;
  } else {
    limits.deadline = start + (IsMutation(verb()) ? kWriteWait : kReadWait);
  }
  return limits;
}

int Session::Fail(CallError error) {
  if (error.code == kCodeCancelled && error.reason.empty() &&
      Interrupt::Get().seen()) {
    error.reason = "INTERRUPTED";
    error.message = "interrupted";
    if (IsMutation(verb())) {
      error.message = sent_ ? "interrupted; whether the change was made is not "
                              "known"
                            : "interrupted, nothing changed";
    }
  }
  // Ctrl-C is how these end, not what went wrong with them.
  const bool normal_end = error.reason == "INTERRUPTED" &&
                          (IsStream(verb()) || verb() == Verb::kTop);
  if (!normal_end) {
    WriteStderr(json_ ? ErrorJson(error, pretty_) : ErrorText(error));
  }
  return ExitCode(error);
}

int Session::Print(absl::string_view text) {
  out_->Write(text);
  if (out_->error() == 0) return kExitOk;
  WriteStderr(absl::StrCat("tunnelctl: can not write the output: ",
                           std::strerror(out_->error()), "\n"));
  return kExitFailure;
}

void Session::Hint(absl::string_view text) {
  if (!json_) WriteStderr(absl::StrCat(text, "\n"));
}

}  // namespace tunnel::ctl::cli
