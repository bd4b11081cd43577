#include "encap/encap_limit.h"

#include "encap/cursor.h"
#include "encap/wire/ipv6.h"

namespace encap {
namespace {

constexpr int kMaxHeaders = 8;
constexpr size_t kMaxHeaderBytes = 512;
constexpr uint8_t kPad1 = 0;
constexpr uint8_t kPadN = 1;

// Offset of the limit from the first byte of a destination options header, of
// which `header` has all or the beginning; 0 when it is not there.
size_t FindOption(std::span<const uint8_t> header) noexcept {
  Cursor cursor(header);
  cursor.Take(Ipv6ExtensionHeader::kOptions);
  while (const uint8_t* type = cursor.Take(1)) {
    if (*type == kPad1) continue;
    const uint8_t* length = cursor.Take(1);
    if (length == nullptr) return 0;
    const size_t value = cursor.offset();
    if (cursor.Take(*length) == nullptr) return 0;
    if (*type == kEncapLimitOption && *length == 1) return value;
  }
  return 0;
}

}  // namespace

void WriteEncapLimitHeader(uint8_t* header, uint8_t next_header,
                           uint8_t limit) noexcept {
  header[0] = next_header;
  header[1] = 0;  // 8 bytes
  header[2] = kEncapLimitOption;
  header[3] = 1;
  header[kEncapLimitOffset] = limit;
  header[5] = kPadN;
  header[6] = 1;
  header[7] = 0;
}

std::optional<EncapLimit> FindEncapLimit(
    std::span<const uint8_t> packet) noexcept {
  if (packet.size() < ConstIpv6Header::kLen || packet[0] >> 4 != 6) {
    return std::nullopt;
  }
  uint8_t next = ConstIpv6Header(packet.data()).next_header();
  size_t offset = ConstIpv6Header::kLen;
  for (int i = 0; i < kMaxHeaders && MayCarryEncapLimit(next); ++i) {
    if (packet.size() - offset < Ipv6ExtensionHeader::kMinLen) break;
    const Ipv6ExtensionHeader header(packet.data() + offset);
    const size_t len = header.header_len();
    const bool whole = len <= packet.size() - offset;
    if (next == kIpv6DestinationOptions) {
      const std::span<const uint8_t> rest = packet.subspan(offset);
      const size_t found = FindOption(whole ? rest.first(len) : rest);
      if (found != 0) {
        return EncapLimit{rest[found], static_cast<uint16_t>(offset + found)};
      }
    }
    if (!whole) break;
    next = header.next_header();
    offset += len;
    if (offset - ConstIpv6Header::kLen > kMaxHeaderBytes) break;
  }
  return std::nullopt;
}

}  // namespace encap
