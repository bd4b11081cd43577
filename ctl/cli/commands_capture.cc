#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "ctl/cli/commands.h"
#include "ctl/cli/interrupt.h"
#include "tunnel/base/unique_fd.h"

namespace tunnel::ctl::cli {
namespace {

v1::CaptureSide SideOf(const Setting* side) {
  if (side == nullptr || side->text == "outer") return v1::CAPTURE_OUTER;
  if (side->text == "inner") return v1::CAPTURE_INNER;
  return side->text == "drop" ? v1::CAPTURE_DROP : v1::CAPTURE_ALL;
}

v1::CaptureRequest RequestOf(const Invocation& invocation) {
  v1::CaptureRequest request;
  request.set_name(invocation.operands.front());
  request.set_side(SideOf(invocation.Find("side")));
  if (const Setting* count = invocation.Find("packets"))
    request.set_count(count->number);
  if (const Setting* length = invocation.Find("snap-length"))
    request.set_snap_length(length->number);
  return request;
}

std::string Counted(uint64_t packets, absl::string_view what) {
  return absl::StrCat(packets, packets == 1 ? " packet " : " packets ", what);
}

// Where the capture goes; false when the file can not be made.
bool OpenFile(const Setting* write, UniqueFd* file) {
  if (write == nullptr || write->text == "-") return true;
  // Contents of packets: for its owner alone.
  file->reset(open(write->text.c_str(),
                   O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  return static_cast<bool>(*file);
}

// Until the call ends; the exit code.
int Stream(Session& session, Output& out) {
  v1::CaptureResponse last;
  bool begun = false;
  const CallError error = session.client().Capture(
      RequestOf(session.invocation()), session.limits(),
      [&](const v1::CaptureResponse& message) {
        if (!begun) session.Hint("capturing; Ctrl-C ends it");
        begun = true;
        last.set_packets(message.packets());
        last.set_lost(message.lost());
        return out.Write(message.pcapng()) && !out.ReaderGone();
      });
  if (begun) {
    session.Hint(Counted(last.packets(), "captured"));
    session.Hint(Counted(last.lost(), "lost by the capture"));
  }
  if (out.error() != 0) {
    WriteStderr(absl::StrCat("tunnelctl: can not write the capture: ",
                             std::strerror(out.error()), "\n"));
    return kExitFailure;
  }
  if (error.ok()) return kExitOk;
  const int exit_code = session.Fail(error);
  return begun && Interrupt::Get().seen() ? kExitOk : exit_code;
}

}  // namespace

int RunCapture(Session& session) {
  const Setting* write = session.invocation().Find("write");
  const bool to_stdout = write == nullptr || write->text == "-";
  if (to_stdout && isatty(STDOUT_FILENO) != 0) {
    return session.Fail(
        UsageError("a capture is no text for a terminal",
                   "name a file with -w FILE, or send it into a pipe: "
                   "tunnelctl capture NAME | tshark -r -"));
  }
  const CallError error = session.Connect();
  if (!error.ok()) return session.Fail(error);
  UniqueFd file;
  if (!OpenFile(write, &file)) {
    return session.Fail(UsageError(absl::StrCat("can not write '", write->text,
                                                "': ", std::strerror(errno)),
                                   "name a file that you may write"));
  }
  Output out(to_stdout ? STDOUT_FILENO : file.get());
  return Stream(session, out);
}

}  // namespace tunnel::ctl::cli
