#include "tunnel/path/output.h"

#include <span>

#include "encap/address.h"
#include "encap/outer_parse.h"
#include "encap/wire/udp.h"
#include "tunnel/base/fault.h"

namespace tunnel {
namespace {

using encap::DropReason;

constexpr size_t kEthernetHeaderLen = 14;

// Destination port of a UDP packet whose UDP header begins at `offset`; 0 for
// any other packet.
uint16_t UdpPort(uint8_t protocol, std::span<const uint8_t> ip,
                 size_t offset) noexcept {
  if (protocol != encap::kProtoUdp ||
      ip.size() < offset + encap::ConstUdpHeader::kLen) {
    return 0;
  }
  return encap::ConstUdpHeader(ip.data() + offset).destination_port();
}

}  // namespace

Output::Output(size_t worker, const EndpointTable& table, Qsbr::Reader& reader,
               Transport& transport, WorkerCountersOwned& counters)
    : worker_(worker),
      table_(table),
      reader_(reader),
      transport_(transport),
      counters_(counters),
      storage_(new uint8_t[kBatch * kPacketBytes]()),
      packets_(kBatch),
      outgoing_(kBatch),
      inner_bytes_(kBatch) {
  PrepareBuffers(kBatch);
}

void Output::PrepareBuffers(size_t count) noexcept {
  for (size_t i = 0; i < count; ++i) {
    packets_[i] = encap::PacketBuffer(
        {storage_.get() + i * kPacketBytes, kPacketBytes},
        encap::kMaxEncapHeadroom, kPacketBytes - encap::kMaxEncapHeadroom);
  }
}

Output::Result Output::Run(QueueContext& queue) noexcept {
  const ReadSection section(reader_);
  // Before the first read: what is read is sent, or counted as dropped.
  const Variant* variant = queue.endpoint->output().Load();
  if (variant == nullptr) return Result::kPaused;
  const TunQueue::ReadResult read = queue.queue->ReadBatch(packets_);
  if (FaultActive(Fault::kSectionEndsEarly)) reader_.Leave();
  if (read.packets > 0) {
    if (variant->transmit_block == DropReason::kNone) {
      Transmit(*variant, read.packets);
    } else {
      Drop(*variant, read.packets);
    }
    PrepareBuffers(read.packets);
  }
  if (FaultActive(Fault::kSectionEndsEarly)) reader_.Enter();
  return read.gone ? Result::kGone : Result::kDone;
}

void Output::Transmit(const Variant& variant, size_t count) noexcept {
  TunnelWorkerCounters& tunnel = variant.endpoint->counters(worker_);
  encap::OutputState& state = variant.contexts->of(worker_).output;
  size_t ready = 0;
  for (size_t i = 0; i < count; ++i) {
    encap::PacketBuffer& packet = packets_[i];
    const size_t inner_bytes = packet.size();
    DropReason reason = DropReason::kRecursion;
    if (!IsNested(variant, packet))
      reason = variant.encapsulator.Encapsulate(packet, state);
    if (reason != DropReason::kNone) {
      tunnel.CountDropTx(reason);
      continue;
    }
    outgoing_[ready] = {&packet, &variant.route, DropReason::kNone};
    inner_bytes_[ready] = static_cast<uint32_t>(inner_bytes);
    ++ready;
  }
  if (ready == 0) return;
  transport_.SendBatch({outgoing_.data(), ready});
  counters_.transmit_batches.Add(1);
  counters_.transmit_batch.Record(ready);
  uint64_t sent = 0;
  uint64_t bytes = 0;
  for (size_t i = 0; i < ready; ++i) {
    if (outgoing_[i].result == DropReason::kNone) {
      ++sent;
      bytes += inner_bytes_[i];
    } else {
      tunnel.CountDropTx(outgoing_[i].result);
    }
  }
  counters_.transmit_packets.Add(sent);
  tunnel.transmit_packets.Add(sent);
  tunnel.transmit_bytes.Add(bytes);
}

void Output::Drop(const Variant& variant, size_t count) noexcept {
  variant.endpoint->counters(worker_).CountDropTx(variant.transmit_block,
                                                  count);
}

// A packet that a tunnel of this host has made already would be nested: refused
// at the first level, as the BSDs do, so that tunnels routed into each other
// can not loop (RFC 2473 4.1).
bool Output::IsNested(const Variant& variant,
                      const encap::PacketBuffer& packet) const noexcept {
  std::span<const uint8_t> ip = packet.bytes();
  if (variant.ethernet) {
    if (ip.size() < kEthernetHeaderLen) return false;
    ip = ip.subspan(kEthernetHeaderLen);
  }
  const uint8_t* p = ip.data();
  if (ip.size() >= 20 && (p[0] >> 4) == 4) {
    const size_t header_len = (p[0] & 15) * size_t{4};
    const uint16_t port = UdpPort(p[9], ip, header_len);
    return MayBeTunnel(p[9], port) &&
           table_.IsOwnOuter(
               p[9],
               {encap::IpAddress::V4(p + 12), encap::IpAddress::V4(p + 16)},
               port);
  }
  if (ip.size() >= 40 && (p[0] >> 4) == 6) {
    const uint16_t port = UdpPort(p[6], ip, 40);
    return MayBeTunnel(p[6], port) &&
           table_.IsOwnOuter(
               p[6],
               {encap::IpAddress::V6(p + 8), encap::IpAddress::V6(p + 24)},
               port);
  }
  return false;
}

bool Output::MayBeTunnel(uint8_t protocol, uint16_t udp_port) const noexcept {
  if (udp_port != 0) return table_.HasUdp();
  return protocol == encap::kProtoIpip || protocol == encap::kProtoIpv6 ||
         protocol == encap::kProtoGre;
}

}  // namespace tunnel
