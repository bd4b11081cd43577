#include "tunnel/path/inner_reply.h"

#include <algorithm>

#include "encap/address.h"
#include "encap/inner_packet.h"
#include "encap/packet.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"

namespace tunnel {
namespace {

constexpr size_t kMacLen = 6;

encap::IpAddress DestinationOf(std::span<const uint8_t> ip) noexcept {
  encap::IpAddress address;
  if (ip.size() >= encap::ConstIpv4Header::kMinLen && ip[0] >> 4 == 4) {
    address.AssignV4(ip.data() + encap::ConstIpv4Header::kDestination);
  } else if (ip.size() >= encap::ConstIpv6Header::kLen && ip[0] >> 4 == 6) {
    address.AssignV6(ip.data() + encap::ConstIpv6Header::kDestination);
  }
  return address;
}

}  // namespace

bool InnerReply::Send(const encap::InnerError& error,
                      std::span<const uint8_t> payload, bool ethernet,
                      encap::TokenBucket& bucket, uint64_t now_ns,
                      TunQueue& queue) noexcept {
  std::span<const uint8_t> link;
  if (ethernet) {
    encap::InnerPacket inner;
    if (encap::ReadInnerFrame(payload, inner) != encap::DropReason::kNone ||
        inner.family == encap::IpFamily::kNone ||
        inner.ip_offset > kMaxLinkHeader || (payload[kMacLen] & 1) != 0) {
      return false;
    }
    link = payload.first(inner.ip_offset);
    payload = payload.subspan(inner.ip_offset);
  }
  const encap::IpAddress source = DestinationOf(payload);
  if (source.IsUnspecified() || source.IsMulticast() ||
      !encap::MayAnswer(payload, error.kind) || !bucket.Take(now_ns)) {
    return false;
  }
  uint8_t* const frame = storage_.data() + kTunHeadroom;
  const size_t size = encap::ComposeIcmpError(
      error, payload, source,
      std::span(storage_).subspan(kTunHeadroom + link.size()));
  if (size == 0) return false;
  if (ethernet) {
    // Back to where it came from, on the same VLAN.
    std::copy_n(link.data() + kMacLen, kMacLen, frame);
    std::copy_n(link.data(), kMacLen, frame + kMacLen);
    std::copy(link.begin() + 2 * kMacLen, link.end(), frame + 2 * kMacLen);
  }
  encap::PacketBuffer packet(storage_, kTunHeadroom, link.size() + size);
  writes_.Add(1);
  return queue.Write(packet) == TunQueue::WriteResult::kOk;
}

}  // namespace tunnel
