// OuterTemplate: the outer header of one tunnel, built once.
//
// All that never changes (addresses, protocols, GRE flags and key) stands in an
// image and is summed in advance; a packet costs one copy and a few fields.
// One template announces one kind of payload. Immutable after construction.

#ifndef ENCAP_OUTER_TEMPLATE_H_
#define ENCAP_OUTER_TEMPLATE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "encap/bytes.h"
#include "encap/encap_config.h"
#include "encap/encap_limit.h"
#include "encap/packet.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"

namespace encap {

// What differs from packet to packet.
struct OuterFields {
  uint8_t tos = 0;  // TOS or traffic class: DSCP and ECN
  uint8_t ttl = 0;  // TTL or hop limit
  bool dont_fragment = false;
  uint16_t ipv4_id = 0;
  uint32_t sequence = 0;
  uint32_t flow_label = 0;       // low 20 bits, IPv6
  uint16_t udp_source_port = 0;  // in UDP
  uint8_t encap_limit = 0;       // of the option, where the template has it
};

// How the outer headers announce a payload.
struct PayloadType {
  uint8_t protocol = 0;       // IP protocol of the payload, or GRE; in UDP too
  uint16_t gre_protocol = 0;  // EtherType, host order
};

class OuterTemplate {
 public:
  // No template: header_len() is 0, and Write() must not be called.
  OuterTemplate() = default;
  // `config` must be valid. The Tunnel Encapsulation Limit option is part of
  // the header where config.encap_limit is set and the outer header is IPv6.
  OuterTemplate(const EncapConfig& config, PayloadType payload);

  size_t header_len() const noexcept { return header_len_; }
  bool is_v6() const noexcept { return is_v6_; }

  // Puts the header in front of `packet` and fills in `fields`, lengths and
  // checksums. header_len() bytes of headroom must be there, and the packet
  // with its header be at most 65,535 bytes. The GRE and UDP checksums sum the
  // bytes as they are: finish a partial one first.
  void Write(PacketBuffer& packet, const OuterFields& fields) const noexcept {
    if (is_v6_) {
      WriteAs<true>(packet, fields);
    } else {
      WriteAs<false>(packet, fields);
    }
  }
  // The same where the caller knows is_v6(), which `kV6` must be.
  template <bool kV6>
  [[gnu::always_inline]] void WriteAs(PacketBuffer& packet,
                                      const OuterFields& fields) const noexcept;

  // The IP header, perhaps with GRE flags, protocol and key, is all: nothing
  // behind it differs from packet to packet.
  bool is_plain() const noexcept { return !finish_upper_ && !has_limit_; }
  // WriteAs() for a template that is_plain() and a packet with at least
  // kPlainHeadroom bytes of headroom.
  static constexpr size_t kPlainHeadroom = 64;
  template <bool kV6>
  [[gnu::always_inline]] void WritePlainAs(
      PacketBuffer& packet, const OuterFields& fields) const noexcept;

 private:
  // IPv6 with an encapsulation limit, UDP, GRE with all its fields: 72 bytes.
  static constexpr size_t kImageLen = 72;
  // A copy of fixed size is a few wide moves. The header lies at the end of the
  // image, so that the copy spills into the headroom and not over the payload.
  static constexpr size_t kCopyLen = kPlainHeadroom;

  void BuildIpv4(const EncapConfig& config, uint8_t* header);
  void BuildIpv6(const EncapConfig& config, uint8_t* header);
  void BuildUdp(const EncapConfig& config, uint8_t* header);
  void BuildGre(const EncapConfig& config, uint16_t protocol, uint8_t* header);
  void WriteIpv4(uint8_t* header, uint32_t total,
                 const OuterFields& fields) const noexcept;
  void WriteIpv6(uint8_t* header, uint32_t total,
                 const OuterFields& fields) const noexcept;
  // What stands behind the IP header of `packet` and differs from packet to
  // packet: the UDP header, GRE sequence number and checksum of the
  // packet. By value: fields whose address is taken do not stay in registers.
  void FinishUpper(PacketBuffer& packet, uint32_t sequence,
                   uint16_t source_port) const noexcept;
  void FinishGre(std::span<uint8_t> gre, uint32_t sequence) const noexcept;
  void FinishUdp(std::span<uint8_t> udp, uint16_t source_port) const noexcept;

  std::array<uint8_t, kImageLen> image_{};
  // Sum of the IPv4 header in host order, with all fields of OuterFields and
  // the total length at zero.
  uint16_t ipv4_sum_ = 0;
  // Headroom from which the copy of fixed size will do.
  uint32_t copy_headroom_ = 0;
  uint8_t header_len_ = 0;
  uint8_t ip_len_ = 0;    // with the encapsulation limit
  uint8_t udp_len_ = 0;   // 0: not in UDP
  uint8_t protocol_ = 0;  // in the IP header
  bool is_v6_ = false;
  bool has_limit_ = false;
  bool has_checksum_ = false;
  bool has_udp_checksum_ = false;
  bool finish_upper_ = false;    // in UDP, has checksum or sequence number
  uint16_t udp_sum_ = 0;         // of the pseudo-header without the length
  uint8_t sequence_offset_ = 0;  // from the GRE header; 0: none
};

// Words are put together in registers and stored once, and the sum is made of
// numbers in host order: at most six of 16 bits, so two folds are enough.
inline void OuterTemplate::WriteIpv4(uint8_t* header, uint32_t total,
                                     const OuterFields& fields) const noexcept {
  const uint32_t version_tos = uint32_t{0x4500} | fields.tos;
  const uint32_t flags = fields.dont_fragment ? Ipv4Header::kDontFragment : 0;
  const uint32_t ttl = uint32_t{fields.ttl} << 8;
  uint32_t sum =
      ipv4_sum_ + uint32_t{fields.tos} + total + fields.ipv4_id + flags + ttl;
  sum = (sum & 0xffff) + (sum >> 16);
  sum += sum >> 16;
  Put32(header + Ipv4Header::kVersionIhl, version_tos << 16 | total);
  Put32(header + Ipv4Header::kIdentification,
        uint32_t{fields.ipv4_id} << 16 | flags);
  Put32(header + Ipv4Header::kTtl, (ttl | protocol_) << 16 | (~sum & 0xffff));
}

inline void OuterTemplate::WriteIpv6(uint8_t* header, uint32_t total,
                                     const OuterFields& fields) const noexcept {
  Ipv6Header ip(header);
  ip.set_version_class_label(fields.tos, fields.flow_label);
  const auto length = static_cast<uint32_t>(total - Ipv6Header::kLen);
  Put32(header + Ipv6Header::kPayloadLength,
        length << 16 | uint32_t{protocol_} << 8 | fields.ttl);
}

template <bool kV6>
inline void OuterTemplate::WritePlainAs(
    PacketBuffer& packet, const OuterFields& fields) const noexcept {
  uint8_t* payload = packet.data();
  uint8_t* header = packet.PushInside(header_len_);
  const auto total = static_cast<uint32_t>(packet.size());
  std::memcpy(payload - kCopyLen, image_.data() + kImageLen - kCopyLen,
              kCopyLen);
  if constexpr (kV6) {
    WriteIpv6(header, total, fields);
  } else {
    WriteIpv4(header, total, fields);
  }
}

template <bool kV6>
inline void OuterTemplate::WriteAs(PacketBuffer& packet,
                                   const OuterFields& fields) const noexcept {
  const size_t header_len = header_len_;
  uint8_t* payload = packet.data();
  const auto total = static_cast<uint32_t>(packet.size() + header_len);
  if (packet.headroom() >= copy_headroom_) {
    std::memcpy(payload - kCopyLen, image_.data() + kImageLen - kCopyLen,
                kCopyLen);
  } else {
    std::memcpy(payload - header_len, image_.data() + kImageLen - header_len,
                header_len);
  }
  uint8_t* header = packet.PushInside(header_len);
  if constexpr (kV6) {
    WriteIpv6(header, total, fields);
    if (has_limit_)
      header[Ipv6Header::kLen + kEncapLimitOffset] = fields.encap_limit;
  } else {
    WriteIpv4(header, total, fields);
  }
  if (finish_upper_)
    FinishUpper(packet, fields.sequence, fields.udp_source_port);
}

}  // namespace encap

#endif  // ENCAP_OUTER_TEMPLATE_H_
