#include "encap/mss_clamp.h"

#include <algorithm>

#include "encap/checksum.h"
#include "encap/cursor.h"
#include "encap/inner_packet.h"
#include "encap/offload/transport_view.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"
#include "encap/wire/tcp.h"

namespace encap {
namespace {

constexpr uint32_t kHeadersV4 = 40;
constexpr uint32_t kHeadersV6 = 60;
constexpr uint32_t kMinMssV4 = 536;
constexpr uint32_t kMinMssV6 = 1220;

// TCP options (RFC 9293 3.1, RFC 5925 2.2).
constexpr uint8_t kEndOfOptions = 0;
constexpr uint8_t kNoOperation = 1;
constexpr uint8_t kMaximumSegmentSize = 2;
constexpr uint8_t kMaximumSegmentSizeLen = 4;
constexpr uint8_t kAuthentication = 29;

// Offset of the TCP header of a whole packet or first fragment; 0 for anything
// else.
size_t FindTcp(std::span<const uint8_t> ip, IpFamily family) noexcept {
  if (family == IpFamily::kV4) {
    const ConstIpv4Header header(ip.data());
    const bool tcp =
        header.protocol() == kProtoTcp && header.fragment_offset() == 0;
    return tcp ? header.header_len() : 0;
  }
  constexpr int kMaxHeaders = 4;
  Cursor cursor(ip);
  cursor.Take(ConstIpv6Header::kLen);
  uint8_t next = ip[ConstIpv6Header::kNextHeader];
  for (int i = 0; next != kProtoTcp; ++i) {
    const bool fragment = next == kIpv6Fragment;
    const bool known = fragment || next == kIpv6HopByHop ||
                       next == kIpv6Routing || next == kIpv6DestinationOptions;
    const uint8_t* header = cursor.Peek(Ipv6ExtensionHeader::kMinLen);
    if (!known || header == nullptr || i == kMaxHeaders) return 0;
    if (fragment && Ipv6FragmentHeader(header).fragment_offset() != 0) return 0;
    const size_t len = fragment ? Ipv6FragmentHeader::kLen
                                : Ipv6ExtensionHeader(header).header_len();
    if (cursor.Take(len) == nullptr) return 0;
    next = header[0];
  }
  return cursor.offset();
}

// Offset of the value of the MSS option from the first byte of the TCP header
// `tcp`; 0 when it must be left alone.
size_t FindMss(std::span<const uint8_t> tcp) noexcept {
  size_t found = 0;
  Cursor cursor(tcp);
  cursor.Take(ConstTcpHeader::kMinLen);
  while (const uint8_t* kind = cursor.Take(1)) {
    if (*kind == kEndOfOptions) break;
    if (*kind == kNoOperation) continue;
    const uint8_t* length = cursor.Take(1);
    if (length == nullptr || *length < 2) return 0;
    const size_t value = cursor.offset();
    if (cursor.Take(*length - 2) == nullptr || *kind == kAuthentication) {
      return 0;
    }
    if (*kind == kMaximumSegmentSize) {
      if (*length != kMaximumSegmentSizeLen || found != 0) return 0;
      found = value;
    }
  }
  return found;
}

// A change of the 16 bits at an odd offset touches two words of the sum.
void MendChecksum(uint8_t* tcp, size_t value_at, uint16_t before,
                  uint16_t after) noexcept {
  const auto word = [&](uint16_t v) {
    return Be16(value_at % 2 == 0 ? v : bytes_internal::Swap(v));
  };
  TcpHeader header(tcp);
  header.set_checksum(
      UpdateChecksum(header.checksum(), word(before), word(after)));
}

uint16_t Limit(uint32_t mtu, uint32_t headers, uint32_t floor) noexcept {
  const uint32_t mss = std::max(mtu > headers ? mtu - headers : 0, floor);
  return static_cast<uint16_t>(std::min<uint32_t>(mss, 0xffff));
}

}  // namespace

MssLimits MssLimitsOf(const EncapConfig& config, uint32_t tunnel_mtu) noexcept {
  if (!config.mss_clamp) return {};
  if (*config.mss_clamp != 0) return {*config.mss_clamp, *config.mss_clamp};
  return {Limit(tunnel_mtu, kHeadersV4, kMinMssV4),
          Limit(tunnel_mtu, kHeadersV6, kMinMssV6)};
}

bool ClampMss(PacketBuffer& packet, bool ethernet,
              const MssLimits& limits) noexcept {
  const std::span<uint8_t> bytes = packet.bytes();
  InnerPacket inner;
  const DropReason reason =
      ethernet ? ReadInnerFrame(bytes, inner) : ReadInnerIp(bytes, inner);
  if (reason != DropReason::kNone || inner.family == IpFamily::kNone) {
    return false;
  }
  const std::span<uint8_t> ip = bytes.subspan(inner.ip_offset, inner.ip_len);
  const size_t offset = FindTcp(ip, inner.family);
  if (offset == 0 || ip.size() - offset < ConstTcpHeader::kMinLen) return false;
  std::span<uint8_t> tcp = ip.subspan(offset);
  const ConstTcpHeader header(tcp.data());
  if ((header.flags() & ConstTcpHeader::kSyn) == 0) return false;
  if (header.header_len() < ConstTcpHeader::kMinLen ||
      header.header_len() > tcp.size()) {
    return false;
  }
  const size_t at = FindMss(tcp.first(header.header_len()));
  const uint16_t limit = inner.family == IpFamily::kV4 ? limits.v4 : limits.v6;
  if (at == 0) return false;
  const uint16_t announced = Get16(tcp.data() + at);
  if (announced <= limit) return false;
  Put16(tcp.data() + at, limit);
  // A partial checksum does not cover the TCP header yet.
  if (!packet.hint().needs_checksum) {
    MendChecksum(tcp.data(), at, announced, limit);
  }
  return true;
}

}  // namespace encap
