// Be16, Be32: numbers in network byte order as types, and unaligned access.
//
// A Be16 can not be mixed up with a number of the host: it is made from one and
// read as one only by name. raw() is the number as it lies in memory, which is
// what the internet checksum sums (RFC 1071 2 (B)).

#ifndef ENCAP_BYTES_H_
#define ENCAP_BYTES_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace encap {

namespace bytes_internal {
constexpr uint16_t Swap(uint16_t v) noexcept { return __builtin_bswap16(v); }
constexpr uint32_t Swap(uint32_t v) noexcept { return __builtin_bswap32(v); }
}  // namespace bytes_internal

// Host to network order, and back.
template <typename T>
constexpr T BigEndian(T value) noexcept {
  if constexpr (std::endian::native == std::endian::big) return value;
  return bytes_internal::Swap(value);
}

template <typename T>
class BigEndianNumber {
 public:
  constexpr BigEndianNumber() = default;
  explicit constexpr BigEndianNumber(T host) noexcept : raw_(BigEndian(host)) {}
  static constexpr BigEndianNumber FromRaw(T raw) noexcept {
    BigEndianNumber number;
    number.raw_ = raw;
    return number;
  }
  constexpr T host() const noexcept { return BigEndian(raw_); }
  constexpr T raw() const noexcept { return raw_; }
  friend constexpr bool operator==(BigEndianNumber, BigEndianNumber) = default;

 private:
  T raw_ = 0;
};

using Be16 = BigEndianNumber<uint16_t>;
using Be32 = BigEndianNumber<uint32_t>;

// A number as it lies in memory, at any alignment.
template <typename T>
inline T LoadRaw(const uint8_t* from) noexcept {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

inline Be16 LoadBe16(const uint8_t* from) noexcept {
  return Be16::FromRaw(LoadRaw<uint16_t>(from));
}
inline Be32 LoadBe32(const uint8_t* from) noexcept {
  return Be32::FromRaw(LoadRaw<uint32_t>(from));
}
inline void StoreBe16(uint8_t* to, Be16 value) noexcept {
  const uint16_t raw = value.raw();
  std::memcpy(to, &raw, sizeof(raw));
}
inline void StoreBe32(uint8_t* to, Be32 value) noexcept {
  const uint32_t raw = value.raw();
  std::memcpy(to, &raw, sizeof(raw));
}

// Host order in and out.
inline uint16_t Get16(const uint8_t* from) noexcept {
  return LoadBe16(from).host();
}
inline uint32_t Get32(const uint8_t* from) noexcept {
  return LoadBe32(from).host();
}
inline void Put16(uint8_t* to, uint16_t host) noexcept {
  StoreBe16(to, Be16(host));
}
inline void Put32(uint8_t* to, uint32_t host) noexcept {
  StoreBe32(to, Be32(host));
}

}  // namespace encap

#endif  // ENCAP_BYTES_H_
