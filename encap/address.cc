#include "encap/address.h"

#include <algorithm>
#include <charconv>

#include "encap/bytes.h"

namespace encap {
namespace {

// A decimal number of 1 to 3 digits, without a leading zero, at most `max`.
std::optional<unsigned> ParseDecimal(std::string_view text, unsigned max) {
  if (text.empty() || text.size() > 3) return std::nullopt;
  if (text.size() > 1 && text[0] == '0') return std::nullopt;
  unsigned value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  if (value > max) return std::nullopt;
  return value;
}

bool ParseV4(std::string_view text, uint8_t* out) {
  for (int i = 0; i < 4; ++i) {
    const size_t end = i < 3 ? text.find('.') : text.size();
    if (end == std::string_view::npos) return false;
    const std::optional<unsigned> octet =
        ParseDecimal(text.substr(0, end), 255);
    if (!octet) return false;
    out[i] = static_cast<uint8_t>(*octet);
    text.remove_prefix(i < 3 ? end + 1 : end);
  }
  return true;
}

// One group of 1 to 4 hexadecimal digits.
bool ParseGroup(std::string_view text, uint8_t* out) {
  if (text.empty() || text.size() > 4) return false;
  uint16_t value = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value, 16);
  if (result.ec != std::errc() || result.ptr != end) return false;
  Put16(out, value);
  return true;
}

// Groups with single colons between them, the last one may be a dotted quad.
// The number of bytes, at most `room`; nullopt when malformed. "" is 0 bytes.
std::optional<size_t> ParseGroups(std::string_view text, bool quad_allowed,
                                  uint8_t* out, size_t room) {
  size_t used = 0;
  if (text.empty()) return used;
  while (true) {
    const size_t colon = text.find(':');
    const std::string_view group = text.substr(0, colon);
    const bool last = colon == std::string_view::npos;
    if (last && quad_allowed && group.find('.') != std::string_view::npos) {
      if (used + 4 > room || !ParseV4(group, out + used)) return std::nullopt;
      return used + 4;
    }
    if (used + 2 > room || !ParseGroup(group, out + used)) return std::nullopt;
    used += 2;
    if (last) return used;
    text.remove_prefix(colon + 1);
  }
}

bool ParseV6(std::string_view text, uint8_t* out) {
  std::fill_n(out, 16, uint8_t{0});
  const size_t gap = text.find("::");
  if (gap == std::string_view::npos) {
    return ParseGroups(text, true, out, 16) == size_t{16};
  }
  // "::" stands for at least one group.
  const auto head = ParseGroups(text.substr(0, gap), false, out, 14);
  if (!head) return false;
  std::array<uint8_t, 16> rest{};
  const auto tail =
      ParseGroups(text.substr(gap + 2), true, rest.data(), 14 - *head);
  if (!tail) return false;
  std::copy_n(rest.begin(), *tail, out + 16 - *tail);
  return true;
}

// The longest run of at least two zero groups (RFC 5952 4.2); the first one of
// equal length. {first group, groups}.
std::pair<int, int> LongestZeroRun(const uint16_t (&groups)[8]) {
  std::pair<int, int> best{8, 0};
  for (int i = 0; i < 8;) {
    int end = i;
    while (end < 8 && groups[end] == 0) ++end;
    if (end - i >= 2 && end - i > best.second) best = {i, end - i};
    i = end + 1;
  }
  return best;
}

std::string FormatV4(const uint8_t* b) {
  return std::to_string(b[0]) + '.' + std::to_string(b[1]) + '.' +
         std::to_string(b[2]) + '.' + std::to_string(b[3]);
}

std::string FormatV6(const uint8_t* b) {
  static constexpr uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0,    0,
                                                0, 0, 0, 0, 0xff, 0xff};
  if (std::memcmp(b, kMappedPrefix, sizeof(kMappedPrefix)) == 0) {
    return "::ffff:" + FormatV4(b + 12);  // RFC 5952 5
  }
  uint16_t groups[8];
  for (int i = 0; i < 8; ++i) groups[i] = Get16(b + 2 * i);
  const auto [gap, gap_len] = LongestZeroRun(groups);
  std::string out;
  for (int i = 0; i < 8; ++i) {
    if (i == gap) {
      out += "::";
      i += gap_len - 1;
      continue;
    }
    if (!out.empty() && out.back() != ':') out += ':';
    char digits[4];
    const auto end = std::to_chars(digits, digits + 4, groups[i], 16).ptr;
    out.append(digits, end);
  }
  return out;
}

}  // namespace

std::optional<IpAddress> IpAddress::Parse(std::string_view text) {
  uint8_t bytes[16];
  if (text.find(':') != std::string_view::npos) {
    if (!ParseV6(text, bytes)) return std::nullopt;
    return V6(bytes);
  }
  if (!ParseV4(text, bytes)) return std::nullopt;
  return V4(bytes);
}

std::string IpAddress::ToString() const {
  if (is_v4()) return FormatV4(bytes_.data());
  if (is_v6()) return FormatV6(bytes_.data());
  return "";
}

bool IpAddress::IsUnspecified() const noexcept {
  // Unused bytes are zero.
  return std::all_of(bytes_.begin(), bytes_.end(),
                     [](uint8_t b) { return b == 0; });
}

bool IpAddress::IsLoopback() const noexcept {
  if (is_v4()) return bytes_[0] == 127;
  if (!is_v6() || bytes_[15] != 1) return false;
  return std::all_of(bytes_.begin(), bytes_.end() - 1,
                     [](uint8_t b) { return b == 0; });
}

bool IpAddress::IsMulticast() const noexcept {
  if (is_v4()) return (bytes_[0] & 0xf0) == 0xe0;
  return is_v6() && bytes_[0] == 0xff;
}

bool IpAddress::IsBroadcast() const noexcept {
  return is_v4() && LoadRaw<uint32_t>(bytes_.data()) == 0xffffffff;
}

bool IpAddress::IsLinkLocal() const noexcept {
  if (is_v4()) return bytes_[0] == 169 && bytes_[1] == 254;
  return is_v6() && bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

bool IpAddress::IsMartianSource() const noexcept {
  if (is_v4()) return IsMartianV4(bytes_[0]);
  return IsUnspecified() || IsLoopback() || IsMulticast();
}

std::optional<IpPrefix> IpPrefix::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  const std::optional<IpAddress> address =
      IpAddress::Parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  const auto full = static_cast<uint8_t>(8 * address->bytes().size());
  if (slash == std::string_view::npos) return IpPrefix{*address, full};
  const std::optional<unsigned> length =
      ParseDecimal(text.substr(slash + 1), full);
  if (!length) return std::nullopt;
  return IpPrefix{*address, static_cast<uint8_t>(*length)};
}

bool IpPrefix::Contains(const IpAddress& other) const {
  if (address.family() != other.family()) return false;
  const auto a = address.bytes();
  const auto b = other.bytes();
  const size_t whole = length / 8;
  if (whole > a.size() || !std::equal(a.begin(), a.begin() + whole, b.begin()))
    return false;
  const int rest = length % 8;
  return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

std::string IpPrefix::ToString() const {
  if (address.family() == IpFamily::kNone) return "";
  return address.ToString() + '/' + std::to_string(length);
}

}  // namespace encap
