#include "encap/outer_template.h"

#include "encap/checksum.h"
#include "encap/wire/gre.h"

namespace encap {

OuterTemplate::OuterTemplate(const EncapConfig& config, PayloadType payload)
    : ip_len_(config.remote.is_v6() ? ConstIpv6Header::kLen
                                    : ConstIpv4Header::kMinLen),
      protocol_(payload.protocol),
      is_v6_(config.remote.is_v6()),
      has_checksum_(config.checksum),
      finish_gre_(config.checksum || config.sequence) {
  const bool is_gre = IsGre(config.mode);
  const size_t gre_len =
      is_gre
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
  if (is_gre) BuildGre(config, payload.gre_protocol, header + ip_len_);
}

void OuterTemplate::BuildIpv4(const EncapConfig& config, uint8_t* header) {
  Ipv4Header ip(header);
  ip.set_version_and_header_len(Ipv4Header::kMinLen);
  ip.set_source(config.local);
  ip.set_destination(config.remote);
  ip.set_protocol(protocol_);
  ipv4_sum_ = Be16::FromRaw(PartialSum({header, Ipv4Header::kMinLen})).host();
}

void OuterTemplate::BuildIpv6(const EncapConfig& config, uint8_t* header) {
  Ipv6Header ip(header);
  ip.set_version_class_label(0, 0);
  ip.set_source(config.local);
  ip.set_destination(config.remote);
}

void OuterTemplate::BuildGre(const EncapConfig& config, uint16_t protocol,
                             uint8_t* header) {
  GreHeader gre(header);
  gre.set_flags(config.checksum, config.output_key.has_value(),
                config.sequence);
  gre.set_protocol(protocol);
  if (config.output_key) gre.set_key(*config.output_key);
  if (config.sequence) {
    sequence_offset_ = static_cast<uint8_t>(gre.sequence_offset());
  }
}

void OuterTemplate::FinishGre(PacketBuffer& packet,
                              uint32_t sequence) const noexcept {
  const std::span<uint8_t> gre = packet.bytes().subspan(ip_len_);
  if (sequence_offset_ != 0) Put32(gre.data() + sequence_offset_, sequence);
  // The image has zero in the checksum field and in Reserved1.
  if (has_checksum_) GreHeader(gre.data()).set_checksum(InternetChecksum(gre));
}

}  // namespace encap
