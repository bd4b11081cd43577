// UniqueFd: owns one file descriptor. Not thread-safe.

#ifndef TUNNEL_BASE_UNIQUE_FD_H_
#define TUNNEL_BASE_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace tunnel {

class UniqueFd {
 public:
  UniqueFd() = default;
  // Takes over `fd`; a negative one means none.
  explicit UniqueFd(int fd) noexcept : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  int get() const noexcept { return fd_; }
  bool valid() const noexcept { return fd_ >= 0; }
  explicit operator bool() const noexcept { return valid(); }

  // Gives the descriptor up without closing it.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

  // Closes what is owned and takes over `fd`. An error of close(2) is ignored:
  // the descriptor is gone in any case.
  void reset(int fd = -1) noexcept {
    const int old = std::exchange(fd_, fd);
    if (old >= 0) ::close(old);
  }

 private:
  int fd_ = -1;
};

}  // namespace tunnel

#endif  // TUNNEL_BASE_UNIQUE_FD_H_
