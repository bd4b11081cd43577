#include "encap/fragment_parse.h"

#include "encap/checksum.h"
#include "encap/cursor.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"

namespace encap {
namespace {

constexpr size_t kMaxTotalLen = 65535;
constexpr uint8_t kNoNextHeader = 59;

bool IsExtension(uint8_t next) noexcept {
  return next == kIpv6HopByHop || next == kIpv6Routing ||
         next == kIpv6DestinationOptions;
}

// `info.data`, `offset` and `more` fit together. `fixed` is what counts against
// the length field of the whole packet beside the data.
bool ExtentIsPossible(const FragmentInfo& info, size_t fixed) noexcept {
  return !info.data.empty() && (!info.more || info.data.size() % 8 == 0) &&
         fixed + info.offset + info.data.size() <= kMaxTotalLen;
}

FragmentKind ParseIpv4(std::span<const uint8_t> packet,
                       FragmentInfo& info) noexcept {
  if (packet.size() < ConstIpv4Header::kMinLen) return FragmentKind::kWhole;
  const ConstIpv4Header ip(packet.data());
  if (!ip.is_fragment()) return FragmentKind::kWhole;
  const size_t header_len = ip.header_len();
  const size_t total_len = ip.total_length();
  if (header_len < ConstIpv4Header::kMinLen || total_len < header_len ||
      total_len > packet.size()) {
    return FragmentKind::kMalformed;
  }
  info.header = packet.first(header_len);
  if (PartialSum(info.header) != 0xffff) return FragmentKind::kMalformed;
  info.source = ip.source();
  info.destination = ip.destination();
  info.id = ip.identification();
  info.protocol = ip.protocol();
  info.tos = ip.tos();
  info.more = ip.more_fragments();
  info.offset = ip.fragment_offset();
  info.data = packet.subspan(header_len, total_len - header_len);
  return ExtentIsPossible(info, header_len) ? FragmentKind::kFragment
                                            : FragmentKind::kMalformed;
}

// The headers behind the fragment header end in that of an upper layer. A
// second fragment header is none: each stands once at most (RFC 8200 4.1).
bool ChainIsComplete(std::span<const uint8_t> data, uint8_t next) noexcept {
  Cursor cursor(data);
  while (IsExtension(next)) {
    const uint8_t* header = cursor.Peek(Ipv6ExtensionHeader::kMinLen);
    if (header == nullptr) return false;
    const Ipv6ExtensionHeader extension(header);
    if (cursor.Take(extension.header_len()) == nullptr) return false;
    next = extension.next_header();
  }
  if (next == kIpv6Fragment) return false;
  return cursor.remaining() != 0 || next == kNoNextHeader;
}

// `cursor` stands at the fragment header that `info.next_header_at` announces.
FragmentKind ReadFragmentHeader(std::span<const uint8_t> packet, Cursor& cursor,
                                FragmentInfo& info) noexcept {
  const ConstIpv6Header ip(packet.data());
  const size_t header_len = cursor.offset();
  const uint8_t* header = cursor.Take(Ipv6FragmentHeader::kLen);
  if (header == nullptr) return FragmentKind::kMalformed;
  const Ipv6FragmentHeader fragment(header);
  if (fragment.fragment_offset() == 0 && !fragment.more_fragments()) {
    return FragmentKind::kWhole;
  }
  const size_t total_len = ConstIpv6Header::kLen + ip.payload_length();
  if (header_len > ConstIpv6Header::kLen + kMaxFragmentExtensionBytes ||
      !cursor.Limit(total_len)) {
    return FragmentKind::kMalformed;
  }
  info.source = ip.source();
  info.destination = ip.destination();
  info.id = fragment.identification();
  info.protocol = 0;
  info.tos = ip.traffic_class();
  info.more = fragment.more_fragments();
  info.offset = fragment.fragment_offset();
  info.header = packet.first(header_len);
  info.next_header = fragment.next_header();
  info.data = packet.subspan(cursor.offset(), cursor.remaining());
  if (!ExtentIsPossible(info, header_len - ConstIpv6Header::kLen) ||
      (info.offset == 0 && !ChainIsComplete(info.data, info.next_header))) {
    return FragmentKind::kMalformed;
  }
  return FragmentKind::kFragment;
}

FragmentKind ParseIpv6(std::span<const uint8_t> packet,
                       FragmentInfo& info) noexcept {
  Cursor cursor(packet);
  const uint8_t* ip = cursor.Take(ConstIpv6Header::kLen);
  if (ip == nullptr) return FragmentKind::kWhole;
  uint8_t next = ip[ConstIpv6Header::kNextHeader];
  info.next_header_at = ConstIpv6Header::kNextHeader;
  while (next != kIpv6Fragment) {
    if (!IsExtension(next)) return FragmentKind::kWhole;
    const size_t at = cursor.offset();
    const uint8_t* header = cursor.Peek(Ipv6ExtensionHeader::kMinLen);
    if (header == nullptr) return FragmentKind::kWhole;
    const Ipv6ExtensionHeader extension(header);
    if (cursor.Take(extension.header_len()) == nullptr) {
      return FragmentKind::kWhole;
    }
    next = extension.next_header();
    info.next_header_at = static_cast<uint16_t>(at);
  }
  return ReadFragmentHeader(packet, cursor, info);
}

}  // namespace

FragmentKind ParseFragment(std::span<const uint8_t> packet,
                           FragmentInfo& info) noexcept {
  if (packet.empty()) return FragmentKind::kWhole;
  switch (packet[0] >> 4) {
    case 4:
      return ParseIpv4(packet, info);
    case 6:
      return ParseIpv6(packet, info);
    default:
      return FragmentKind::kWhole;
  }
}

}  // namespace encap
