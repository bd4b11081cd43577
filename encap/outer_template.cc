#include "encap/outer_template.h"

#include <limits>

#include "encap/checksum.h"
#include "encap/wire/gre.h"
#include "encap/wire/udp.h"

namespace encap {

OuterTemplate::OuterTemplate(const EncapConfig& config, PayloadType payload)
    : udp_len_(config.transport == OuterTransport::kUdp ? ConstUdpHeader::kLen
                                                        : 0),
      protocol_(udp_len_ != 0 ? kProtoUdp : payload.protocol),
      is_v6_(config.remote.is_v6()),
      has_limit_(is_v6_ && config.encap_limit.has_value()),
      has_checksum_(config.checksum),
      has_udp_checksum_(is_v6_ || !config.udp_zero_checksum),
      finish_upper_(udp_len_ != 0 || config.checksum || config.sequence) {
  const size_t ip_len =
      is_v6_ ? ConstIpv6Header::kLen : ConstIpv4Header::kMinLen;
  ip_len_ =
      static_cast<uint8_t>(ip_len + (has_limit_ ? kEncapLimitHeaderLen : 0));
  const bool is_gre = IsGre(config.mode);
  const size_t gre_len =
      is_gre
          ? ConstGreHeader::HeaderLen(
                config.checksum, config.output_key.has_value(), config.sequence)
          : 0;
  header_len_ = static_cast<uint8_t>(ip_len_ + udp_len_ + gre_len);
  copy_headroom_ = header_len_ <= kCopyLen
                       ? uint32_t{kCopyLen}
                       : std::numeric_limits<uint32_t>::max();
  uint8_t* header = image_.data() + kImageLen - header_len_;
  if (is_v6_) {
    BuildIpv6(config, header);
  } else {
    BuildIpv4(config, header);
  }
  if (udp_len_ != 0) BuildUdp(config, header + ip_len_);
  if (is_gre) {
    BuildGre(config, payload.gre_protocol, header + ip_len_ + udp_len_);
  }
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
  if (!has_limit_) return;
  WriteEncapLimitHeader(header + Ipv6Header::kLen, protocol_, 0);
  protocol_ = kIpv6DestinationOptions;
}

void OuterTemplate::BuildUdp(const EncapConfig& config, uint8_t* header) {
  UdpHeader(header).set_destination_port(UdpPort(config));
  const uint8_t* local = config.local.bytes().data();
  const uint8_t* remote = config.remote.bytes().data();
  udp_sum_ = is_v6_ ? PseudoHeaderSumV6(local, remote, kProtoUdp, 0)
                    : PseudoHeaderSumV4(local, remote, kProtoUdp, 0);
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

void OuterTemplate::FinishUpper(PacketBuffer& packet, uint32_t sequence,
                                uint16_t source_port) const noexcept {
  const std::span<uint8_t> upper = packet.bytes().subspan(ip_len_);
  FinishGre(upper.subspan(udp_len_), sequence);
  if (udp_len_ != 0) FinishUdp(upper, source_port);
}

void OuterTemplate::FinishUdp(std::span<uint8_t> udp,
                              uint16_t source_port) const noexcept {
  UdpHeader header(udp.data());
  const auto length = static_cast<uint16_t>(udp.size());
  header.set_source_port(source_port);
  header.set_length(length);
  if (!has_udp_checksum_) return;  // the image has zero
  // What a GRE checksum covers, with that checksum, sums to nothing.
  const uint16_t bytes =
      PartialSum(has_checksum_ ? udp.first(ConstUdpHeader::kLen) : udp);
  const uint16_t sum = FoldSum(uint64_t{bytes} + udp_sum_ + Be16(length).raw());
  // A checksum of zero would say that there is none (RFC 768).
  header.set_checksum(sum == 0xffff ? Be16(0xffff) : ChecksumFromSum(sum));
}

void OuterTemplate::FinishGre(std::span<uint8_t> gre,
                              uint32_t sequence) const noexcept {
  if (sequence_offset_ != 0) Put32(gre.data() + sequence_offset_, sequence);
  // The image has zero in the checksum field and in Reserved1.
  if (has_checksum_) GreHeader(gre.data()).set_checksum(InternetChecksum(gre));
}

}  // namespace encap
