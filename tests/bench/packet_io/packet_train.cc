#include "tests/bench/packet_io/packet_train.h"

#include <algorithm>

#include "encap/checksum.h"
#include "encap/encap_config.h"
#include "encap/encapsulator.h"
#include "encap/packet.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/tcp.h"
#include "encap/wire/udp.h"

namespace bench {
namespace {

constexpr size_t kIpv4Len = 20;
constexpr size_t kGreLen = 4;
constexpr uint8_t kProtoTcp = 6;
constexpr std::array<uint8_t, 4> kInnerSource{10, 78, 0, 1};
constexpr std::array<uint8_t, 4> kInnerDestination{10, 78, 0, 2};
constexpr uint16_t kPort = 5302;

}  // namespace

PacketTrain::PacketTrain(const Link& link, Inner inner, size_t size)
    : inner_(inner), size_(size) {
  encap::EncapConfig config;
  config.mode = encap::Mode::kGre;
  config.local = link.local;
  config.remote = link.remote;
  const encap::Encapsulator encapsulator(config);
  encap::OutputState state;
  constexpr size_t kOuterLen = kIpv4Len + kGreLen;
  for (size_t i = 0; i < kPackets; ++i) {
    encap::PacketBuffer packet(frames_[i], kHeadroom + kEthernetLen + kOuterLen,
                               size - kOuterLen);
    WriteInner(packet.bytes(), i);
    if (encapsulator.Encapsulate(packet, state) != encap::DropReason::kNone) {
      std::fputs("a packet of the train cannot be encapsulated\n", stderr);
      std::exit(1);
    }
    uint8_t* ethernet = packet.Push(kEthernetLen);
    std::copy(link.remote_mac.begin(), link.remote_mac.end(), ethernet);
    std::copy(link.local_mac.begin(), link.local_mac.end(), ethernet + 6);
    encap::Put16(ethernet + 12, 0x0800);  // IPv4
  }
}

void PacketTrain::WriteInner(std::span<uint8_t> packet, size_t number) const {
  const bool tcp = inner_ == Inner::kTcp;
  encap::Ipv4Header ip(packet.data());
  ip.set_version_and_header_len(kIpv4Len);
  ip.set_total_length(static_cast<uint16_t>(packet.size()));
  ip.set_identification(static_cast<uint16_t>(number));
  ip.set_fragment(true, false, 0);
  ip.set_ttl(64);
  ip.set_protocol(tcp ? kProtoTcp : encap::kProtoUdp);
  ip.set_source(encap::IpAddress::V4(kInnerSource.data()));
  ip.set_destination(encap::IpAddress::V4(kInnerDestination.data()));
  ip.set_checksum(encap::InternetChecksum(packet.first(kIpv4Len)));
  const std::span<uint8_t> payload = packet.subspan(kIpv4Len);
  if (tcp) {
    WriteTcp(payload, number);
    return;
  }
  encap::UdpHeader udp(payload.data());
  udp.set_source_port(kPort);
  udp.set_destination_port(kPort);
  udp.set_length(static_cast<uint16_t>(payload.size()));
}

void PacketTrain::WriteTcp(std::span<uint8_t> segment, size_t number) const {
  encap::TcpHeader tcp(segment.data());
  tcp.set_source_port(kPort);
  tcp.set_destination_port(kPort);
  const size_t payload = segment.size() - encap::TcpHeader::kMinLen;
  tcp.set_sequence(static_cast<uint32_t>(number * payload));
  tcp.set_header_len(encap::TcpHeader::kMinLen);
  tcp.set_flags(encap::TcpHeader::kAck);
  tcp.set_window(0xffff);
  const uint16_t pseudo = encap::PseudoHeaderSumV4(
      kInnerSource.data(), kInnerDestination.data(), kProtoTcp,
      static_cast<uint16_t>(segment.size()));
  tcp.set_checksum(encap::ChecksumFromSum(
      encap::AddSums(pseudo, encap::PartialSum(segment))));
}

size_t PacketTrain::PacketsIn(size_t size) const {
  if (size == size_) return 1;
  const size_t headers =
      2 * kIpv4Len + kGreLen + encap::TcpHeader::kMinLen;  // of a merged packet
  const size_t payload = size_ - headers;
  if (inner_ != Inner::kTcp || payload == 0 || size < size_ ||
      (size - headers) % payload != 0) {
    return 0;
  }
  return (size - headers) / payload;
}

}  // namespace bench
