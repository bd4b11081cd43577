#include "encap/flow_hash.h"

#include "encap/bytes.h"
#include "encap/cursor.h"
#include "encap/inner_packet.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"

namespace encap {
namespace {

__extension__ using Uint128 = unsigned __int128;

// 128-bit product folded to 64: every bit of both words reaches every bit.
uint64_t Mix(uint64_t a, uint64_t b) noexcept {
  const Uint128 product =
      Uint128{a ^ 0x9e3779b97f4a7c15u} * (b ^ 0xd6e8feb86659fd93u);
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint32_t Finish(uint64_t state) noexcept {
  return static_cast<uint32_t>(Mix(state, state >> 32));
}

bool HasPorts(uint8_t protocol) noexcept {
  switch (protocol) {
    case 6:    // TCP
    case 17:   // UDP
    case 33:   // DCCP
    case 132:  // SCTP
    case 136:  // UDP-Lite
      return true;
    default:
      return false;
  }
}

// Protocol and both ports as one word; no ports where the bytes end.
uint64_t UpperLayer(uint8_t protocol, const uint8_t* ports) noexcept {
  const uint64_t word = uint64_t{protocol} << 32;
  return ports != nullptr && HasPorts(protocol)
             ? word | LoadRaw<uint32_t>(ports)
             : word;
}

uint32_t HashV4(std::span<const uint8_t> packet, uint64_t seed) noexcept {
  if (packet.size() < ConstIpv4Header::kMinLen) return 0;
  const uint8_t* p = packet.data();
  const ConstIpv4Header ip(p);
  const size_t header_len = ip.header_len();
  const bool ports = !ip.is_fragment() && packet.size() >= header_len + 4;
  const uint64_t upper =
      UpperLayer(ip.protocol(), ports ? p + header_len : nullptr);
  const auto addresses = LoadRaw<uint64_t>(p + ConstIpv4Header::kSource);
  return Finish(Mix(Mix(addresses, seed), upper));
}

// The upper layer of an IPv6 packet, behind its extension headers.
uint64_t UpperLayerV6(std::span<const uint8_t> packet) noexcept {
  constexpr int kMaxExtensions = 4;
  uint8_t next = ConstIpv6Header(packet.data()).next_header();
  Cursor cursor(packet);
  cursor.Take(ConstIpv6Header::kLen);
  for (int i = 0; i < kMaxExtensions; ++i) {
    const bool fragment = next == kIpv6Fragment;
    if (!fragment && next != kIpv6HopByHop && next != kIpv6Routing &&
        next != kIpv6DestinationOptions) {
      break;
    }
    const uint8_t* header = cursor.Peek(Ipv6ExtensionHeader::kMinLen);
    if (header == nullptr) return UpperLayer(next, nullptr);
    if (fragment) {
      const Ipv6FragmentHeader f(header);
      next = f.next_header();
      if (f.fragment_offset() != 0 || f.more_fragments()) {
        return UpperLayer(next, nullptr);
      }
      cursor.Take(Ipv6FragmentHeader::kLen);
      continue;
    }
    const Ipv6ExtensionHeader extension(header);
    if (cursor.Take(extension.header_len()) == nullptr) {
      return UpperLayer(next, nullptr);
    }
    next = extension.next_header();
  }
  return UpperLayer(next, cursor.Peek(4));
}

uint32_t HashV6(std::span<const uint8_t> packet, uint64_t seed) noexcept {
  if (packet.size() < ConstIpv6Header::kLen) return 0;
  const uint8_t* source = packet.data() + ConstIpv6Header::kSource;
  uint64_t state = Mix(LoadRaw<uint64_t>(source), seed);
  state = Mix(LoadRaw<uint64_t>(source + 8), state);
  state = Mix(LoadRaw<uint64_t>(source + 16), state);
  state = Mix(LoadRaw<uint64_t>(source + 24), state);
  return Finish(Mix(state, UpperLayerV6(packet)));
}

}  // namespace

uint32_t FlowHash(std::span<const uint8_t> packet, uint64_t seed) noexcept {
  if (packet.empty()) return 0;
  switch (packet[0] >> 4) {
    case 4:
      return HashV4(packet, seed);
    case 6:
      return HashV6(packet, seed);
    default:
      return 0;
  }
}

uint32_t FrameFlowHash(std::span<const uint8_t> frame, uint64_t seed) noexcept {
  InnerPacket inner;
  if (ReadInnerFrame(frame, inner) != DropReason::kNone) return 0;
  if (inner.family != IpFamily::kNone) {
    return FlowHash(frame.subspan(inner.ip_offset), seed);
  }
  const uint8_t* p = frame.data();
  const uint64_t tail =
      (uint64_t{LoadRaw<uint32_t>(p + 8)} << 16) | LoadRaw<uint16_t>(p + 12);
  return Finish(Mix(Mix(LoadRaw<uint64_t>(p), seed), tail));
}

}  // namespace encap
