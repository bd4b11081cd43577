// SizePolicy: what becomes of a packet that may be larger than the path to the
// remote carries (RFC 2003 3.1 and 5.1, RFC 2473 7, RFC 4213 3.2, RFC 4459 3).
//
// Built once from an EncapConfig, then immutable; any number of threads may
// call Judge() at once. No heap, lock or clock.

#ifndef ENCAP_SIZE_POLICY_H_
#define ENCAP_SIZE_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "encap/encap_config.h"
#include "encap/inner_packet.h"
#include "encap/packet.h"

namespace encap {

// An inner IPv6 packet of at most this many bytes is never refused for its size
// (RFC 8200 5).
inline constexpr uint32_t kMinIpv6Mtu = 1280;

enum class SizeAction : uint8_t {
  kSend,           // fits; or malformed, which Encapsulate() will say
  kFragmentInner,  // cut the inner IPv4 packet, encapsulate each fragment
  kFragmentOuter,  // encapsulate, then cut the outer packet
  kRefuse,         // drop as too_big, and tell the inner sender
};

struct SizeVerdict {
  SizeAction action = SizeAction::kSend;
  // Bytes, IP header included.
  //   kFragmentInner  largest fragment of the inner packet
  //   kFragmentOuter  largest fragment of the outer packet: the path MTU
  //   kRefuse         MTU to tell the inner sender; 0 for a frame without IP,
  //                   whose sender can not be told
  uint32_t mtu = 0;
  friend constexpr bool operator==(SizeVerdict, SizeVerdict) = default;
};

class SizePolicy {
 public:
  // Everything is sent.
  SizePolicy() = default;
  // `config` must be valid.
  explicit SizePolicy(const EncapConfig& config) noexcept;

  // `packet` is what Encapsulate() would be given; `path_mtu` the largest outer
  // packet that the path carries, bytes; 0: unknown, everything is sent. Of a
  // super-packet the size of a segment counts; where the verdict is to
  // fragment, it holds for each segment: cut it into segments first.
  SizeVerdict Judge(const PacketBuffer& packet,
                    uint32_t path_mtu) const noexcept {
    if (packet.size() + most_added_ <= path_mtu || path_mtu == 0) return {};
    return JudgeLarge(packet, path_mtu);
  }

 private:
  SizeVerdict JudgeLarge(const PacketBuffer& packet,
                         uint32_t path_mtu) const noexcept;
  SizeVerdict JudgeTooBig(const InnerPacket& inner, uint32_t ip_len,
                          uint32_t inner_mtu, uint32_t path_mtu) const noexcept;
  // Bytes in front of this packet (a frame for gretap).
  uint32_t AddedTo(std::span<const uint8_t> payload,
                   const InnerPacket& inner) const noexcept;

  FragmentPolicy fragment_ = FragmentPolicy::kNone;
  bool ethernet_ = false;
  bool outer_v6_ = false;
  bool has_limit_ = false;   // sends a Tunnel Encapsulation Limit always
  uint16_t added_ = 0;       // bytes in front of a packet, without an option
                             // that the inner packet asks for
  uint16_t most_added_ = 0;  // with it
};

}  // namespace encap

#endif  // ENCAP_SIZE_POLICY_H_
