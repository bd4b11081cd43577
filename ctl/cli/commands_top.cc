#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "ctl/cli/commands.h"
#include "ctl/cli/interrupt.h"
#include "ctl/cli/render_top.h"
#include "ctl/cli/top_view.h"

namespace tunnel::ctl::cli {
namespace {

constexpr absl::Duration kLeastInterval = absl::Milliseconds(10);

struct TopOptions {
  absl::Duration interval = absl::Seconds(1);
  uint32_t count = 0;  // 0: until Ctrl-C
};

CallError ReadOptions(const Invocation& invocation, TopOptions* options) {
  const Setting* interval = invocation.Find("interval");
  const Setting* count = invocation.Find("count");
  if (interval != nullptr) options->interval = interval->duration;
  if (options->interval < kLeastInterval) {
    return UsageError(
        absl::StrCat("--interval '", interval->text, "' is below 10ms"),
        "see 'tunnelctl help top'");
  }
  if (count != nullptr) options->count = count->number;
  if (!invocation.Has("once")) return CallError();
  if (count != nullptr) {
    return UsageError("--once and --count do not go together",
                      "--once is --count 1");
  }
  options->count = 1;
  return CallError();
}

// False when Ctrl-C came first.
bool Sleep(absl::Duration duration) {
  absl::Notification interrupted;
  Interrupt& interrupt = Interrupt::Get();
  interrupt.Arm([&] { interrupted.Notify(); });
  const bool early = interrupted.WaitForNotificationWithTimeout(duration);
  interrupt.Disarm();
  return !early;
}

// Lines of the terminal on stdout.
size_t ScreenLines() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0)
    return 24;
  return size.ws_row;
}

std::string Rendered(const Session& session, const TopView& view, bool first) {
  if (session.json()) return TopJson(view, session.pretty());
  if (isatty(STDOUT_FILENO) == 1) {
    // The cursor stays behind the last line.
    return absl::StrCat(first ? "\x1b[2J" : "",
                        OnScreen(TopText(view, ScreenLines() - 1)));
  }
  return absl::StrCat(first ? "" : "\n", TopText(view, 0));
}

}  // namespace

int RunTop(Session& session) {
  TopOptions options;
  CallError error = ReadOptions(session.invocation(), &options);
  if (error.ok()) error = session.Connect();
  if (!error.ok()) return session.Fail(error);
  v1::GetStatsRequest request;
  for (const std::string& name : session.invocation().operands) {
    request.add_names(name);
  }
  v1::GetStatsResponse before;
  error = session.client().GetStats(request, session.limits(), &before);
  for (uint64_t shown = 0;
       error.ok() && (options.count == 0 || shown < options.count); ++shown) {
    v1::GetStatsResponse after;
    if (Sleep(options.interval)) {
      error = session.client().GetStats(request, session.limits(), &after);
    } else {
      error.code = kCodeCancelled;
    }
    if (!error.ok()) break;
    const int printed =
        session.Print(Rendered(session, TopBetween(before, after), shown == 0));
    if (printed != kExitOk || session.out().ReaderGone()) return printed;
    before.Swap(&after);
  }
  return error.ok() ? kExitOk : session.Fail(error);
}

}  // namespace tunnel::ctl::cli
