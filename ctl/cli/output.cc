#include "ctl/cli/output.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace tunnel::ctl::cli {
namespace {

// errno of the write that failed, 0 when all is written. Waits where the file
// descriptor does not block.
int WriteAll(int fd, absl::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd wait = {fd, POLLOUT, 0};
      poll(&wait, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

bool Output::Write(absl::string_view text) {
  if (failed_) return false;
  const int error = WriteAll(fd_, text);
  if (error == 0) return true;
  failed_ = true;
  if (error != EPIPE) error_ = error;
  return false;
}

bool Output::ReaderGone() const {
  pollfd state = {fd_, 0, 0};
  return poll(&state, 1, 0) > 0 && (state.revents & POLLERR) != 0;
}

void WriteStderr(absl::string_view text) { WriteAll(STDERR_FILENO, text); }

}  // namespace tunnel::ctl::cli
