#include "encap/outer_template.h"

#include <cstring>

#include "encap/bytes.h"
#include "encap/checksum.h"
#include "encap/wire/gre.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"

namespace encap {
namespace {

// Two adjacent bytes of a header as a word of the checksum.
uint16_t Word(uint8_t first, uint8_t second) noexcept {
  return Be16(static_cast<uint16_t>(first << 8 | second)).raw();
}

}  // namespace

OuterTemplate::OuterTemplate(const EncapConfig& config)
    : is_v6_(config.remote.is_v6()),
      is_gre_(IsGre(config.mode)),
      has_checksum_(config.checksum) {
  ip_len_ = is_v6_ ? ConstIpv6Header::kLen : ConstIpv4Header::kMinLen;
  const size_t gre_len =
      is_gre_
          ? ConstGreHeader::HeaderLen(
                config.checksum, config.output_key.has_value(), config.sequence)
          : 0;
  header_len_ = static_cast<uint8_t>(ip_len_ + gre_len);
  uint8_t* header = image_.data() + kImageLen - header_len_;
  if (is_v6_) {
    BuildIpv6(config, header);
  } else {
    BuildIpv4(config, header);
  }
  if (is_gre_) BuildGre(config, header + ip_len_);
}

void OuterTemplate::BuildIpv4(const EncapConfig& config, uint8_t* header) {
  Ipv4Header ip(header);
  ip.set_version_and_header_len(Ipv4Header::kMinLen);
  ip.set_source(config.local);
  ip.set_destination(config.remote);
  ipv4_sum_ = PartialSum({header, Ipv4Header::kMinLen});
}

void OuterTemplate::BuildIpv6(const EncapConfig& config, uint8_t* header) {
  Ipv6Header ip(header);
  ip.set_version_class_label(0, 0);
  ip.set_source(config.local);
  ip.set_destination(config.remote);
}

void OuterTemplate::BuildGre(const EncapConfig& config, uint8_t* header) {
  GreHeader gre(header);
  gre.set_flags(config.checksum, config.output_key.has_value(),
                config.sequence);
  if (config.output_key) gre.set_key(*config.output_key);
  if (config.sequence) {
    sequence_offset_ = static_cast<uint8_t>(gre.sequence_offset());
  }
}

void OuterTemplate::Write(PacketBuffer& packet,
                          const OuterFields& fields) const noexcept {
  const bool room_for_image =
      packet.headroom() >= kImageLen;  // else the header alone
  uint8_t* header = packet.Push(header_len_);
  if (room_for_image) {
    std::memcpy(header + header_len_ - kImageLen, image_.data(), kImageLen);
  } else {
    std::memcpy(header, image_.data() + kImageLen - header_len_, header_len_);
  }
  if (is_v6_) {
    Ipv6Header ip(header);
    ip.set_version_class_label(fields.tos, fields.flow_label);
    ip.set_payload_length(
        static_cast<uint16_t>(packet.size() - Ipv6Header::kLen));
    ip.set_next_header(fields.protocol);
    ip.set_hop_limit(fields.ttl);
  } else {
    const Be16 total(static_cast<uint16_t>(packet.size()));
    const Be16 id(fields.ipv4_id);
    const Be16 flags(fields.dont_fragment ? Ipv4Header::kDontFragment : 0);
    header[Ipv4Header::kTos] = fields.tos;
    StoreBe16(header + Ipv4Header::kTotalLength, total);
    StoreBe16(header + Ipv4Header::kIdentification, id);
    StoreBe16(header + Ipv4Header::kFlagsOffset, flags);
    header[Ipv4Header::kTtl] = fields.ttl;
    header[Ipv4Header::kProtocol] = fields.protocol;
    const uint64_t sum = uint64_t{ipv4_sum_} + Word(0, fields.tos) +
                         total.raw() + id.raw() + flags.raw() +
                         Word(fields.ttl, fields.protocol);
    StoreBe16(header + Ipv4Header::kChecksum, ChecksumFromSum(FoldSum(sum)));
  }
  if (is_gre_) WriteGre(packet, fields);
}

void OuterTemplate::WriteGre(PacketBuffer& packet,
                             const OuterFields& fields) const noexcept {
  uint8_t* header = packet.data() + ip_len_;
  GreHeader gre(header);
  gre.set_protocol(fields.gre_protocol);
  if (sequence_offset_ != 0) Put32(header + sequence_offset_, fields.sequence);
  // The image has zero in the checksum field and in Reserved1.
  if (has_checksum_) {
    gre.set_checksum(InternetChecksum(packet.bytes().subspan(ip_len_)));
  }
}

}  // namespace encap
