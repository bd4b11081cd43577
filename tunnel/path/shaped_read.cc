#include "tunnel/path/shaped_read.h"

namespace tunnel {

namespace {

// Bytes in front of the payload of a super-packet; its whole size when they can
// not be told. (hint.header_len is what the kernel has in one piece, which may
// be more.)
size_t HeaderBytes(const encap::PacketBuffer& packet) noexcept {
  constexpr size_t kUdpHeader = 8, kTcpHeader = 20, kTcpOffsetByte = 12;
  const encap::SegmentHint& hint = packet.hint();
  const size_t transport = hint.checksum_start;
  if (!hint.needs_checksum) return packet.size();
  if (hint.gso_type == encap::GsoType::kUdp) return transport + kUdpHeader;
  if (transport + kTcpHeader > packet.size()) return packet.size();
  return transport + (packet.data()[transport + kTcpOffsetByte] >> 4) * 4u;
}

}  // namespace

uint64_t ShapedBytes(const encap::PacketBuffer& packet) noexcept {
  const encap::SegmentHint& hint = packet.hint();
  const uint64_t bytes = packet.size();
  if (hint.gso_type == encap::GsoType::kNone || hint.gso_size == 0)
    return bytes;
  const uint64_t header = HeaderBytes(packet);
  if (header >= bytes) return bytes;
  const uint64_t payload = bytes - header;
  const uint64_t segments = (payload + hint.gso_size - 1) / hint.gso_size;
  return payload + segments * header;
}

ShapedReadResult ReadShaped(TunQueue& queue,
                            std::span<encap::PacketBuffer> packets,
                            const ShapeLimits& limits, Shaper& shaper,
                            uint64_t now_ns) noexcept {
  ShapedReadResult result;
  while (result.packets < packets.size()) {
    if (!shaper.Ready(limits, now_ns)) {
      result.wait_ns = shaper.WaitNs(limits);
      break;
    }
    const TunQueue::ReadResult read =
        queue.ReadBatch(packets.subspan(result.packets, 1));
    result.gone = read.gone;
    result.calls += read.calls;
    if (read.packets == 0) break;
    shaper.Charge(ShapedBytes(packets[result.packets]));
    ++result.packets;
  }
  return result;
}

}  // namespace tunnel
