// Cursor: the one bounds-checked way forward through received bytes.

#ifndef ENCAP_CURSOR_H_
#define ENCAP_CURSOR_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace encap {

class Cursor {
 public:
  explicit Cursor(std::span<const uint8_t> bytes) noexcept : bytes_(bytes) {}

  size_t offset() const noexcept { return offset_; }
  size_t remaining() const noexcept { return bytes_.size() - offset_; }

  // The next `n` bytes, without a step; nullptr when there are fewer.
  const uint8_t* Peek(size_t n) const noexcept {
    return n <= remaining() ? bytes_.data() + offset_ : nullptr;
  }
  // The next `n` bytes, and a step behind them; nullptr, and no step, when
  // there are fewer.
  const uint8_t* Take(size_t n) noexcept {
    const uint8_t* at = Peek(n);
    if (at != nullptr) offset_ += n;
    return at;
  }
  // Forgets all bytes from `end` on, an offset from the first byte; false, and
  // no change, when `end` is behind the last byte or before offset().
  bool Limit(size_t end) noexcept {
    if (end > bytes_.size() || end < offset_) return false;
    bytes_ = bytes_.first(end);
    return true;
  }

 private:
  std::span<const uint8_t> bytes_;
  size_t offset_ = 0;
};

}  // namespace encap

#endif  // ENCAP_CURSOR_H_
