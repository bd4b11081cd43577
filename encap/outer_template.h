// OuterTemplate: the outer header of one tunnel, built once.
//
// All that never changes (addresses, protocol, GRE flags and key) stands in an
// image and is summed in advance; a packet costs one copy and a few fields.
// Immutable after construction.

#ifndef ENCAP_OUTER_TEMPLATE_H_
#define ENCAP_OUTER_TEMPLATE_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "encap/encap_config.h"
#include "encap/packet.h"

namespace encap {

// What differs from packet to packet.
struct OuterFields {
  uint8_t tos = 0;  // TOS or traffic class: DSCP and ECN
  uint8_t ttl = 0;  // TTL or hop limit
  bool dont_fragment = false;
  uint8_t protocol = 0;       // IP protocol of the payload, or GRE
  uint16_t gre_protocol = 0;  // EtherType, host order
  uint16_t ipv4_id = 0;
  uint32_t sequence = 0;
  uint32_t flow_label = 0;  // low 20 bits, IPv6
};

class OuterTemplate {
 public:
  // `config` must be valid.
  explicit OuterTemplate(const EncapConfig& config);

  size_t header_len() const noexcept { return header_len_; }
  bool is_v6() const noexcept { return is_v6_; }

  // Puts the header in front of `packet` and fills in `fields`, lengths and
  // checksums. header_len() bytes of headroom must be there, and the packet
  // with its header be at most 65,535 bytes. The GRE checksum sums the bytes as
  // they are: finish a partial one first.
  void Write(PacketBuffer& packet, const OuterFields& fields) const noexcept;

 private:
  // A copy of fixed size is a few wide moves. The header lies at the end of the
  // image, so that the copy spills into the headroom and not over the payload.
  static constexpr size_t kImageLen = 64;

  void BuildIpv4(const EncapConfig& config, uint8_t* header);
  void BuildIpv6(const EncapConfig& config, uint8_t* header);
  void BuildGre(const EncapConfig& config, uint8_t* header);
  void WriteGre(PacketBuffer& packet, const OuterFields& fields) const noexcept;

  std::array<uint8_t, kImageLen> image_{};
  // Sum of the IPv4 header with all fields of OuterFields and the total length
  // at zero.
  uint16_t ipv4_sum_ = 0;
  uint8_t header_len_ = 0;
  uint8_t ip_len_ = 0;
  bool is_v6_ = false;
  bool is_gre_ = false;
  bool has_checksum_ = false;
  uint8_t sequence_offset_ = 0;  // from the GRE header; 0: none
};

}  // namespace encap

#endif  // ENCAP_OUTER_TEMPLATE_H_
