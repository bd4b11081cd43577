#include "tunnel/sync/doorbell.h"

#include <poll.h>
#include <unistd.h>

#include <cstdint>

namespace tunnel {

void Doorbell::Write() noexcept {
  const uint64_t one = 1;
  (void)!::write(fd_, &one, sizeof one);
}

bool Doorbell::Sleep(std::chrono::milliseconds timeout) noexcept {
  pollfd wait{fd_, POLLIN, 0};
  const int n = ::poll(&wait, 1, static_cast<int>(timeout.count()));
  if (n == 0) return false;
  uint64_t rung;
  if (n > 0) (void)!::read(fd_, &rung, sizeof rung);
  return true;
}

}  // namespace tunnel
