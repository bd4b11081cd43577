// ShapedRead: the stage in front of the output of a tunnel with a rate.
//
// What there is no credit for is not read: it waits in the queue of the device,
// in order, and what the kernel drops because that is full, the device counts
// (tx_dropped).

#ifndef TUNNEL_PATH_SHAPED_READ_H_
#define TUNNEL_PATH_SHAPED_READ_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "encap/packet.h"
#include "tunnel/endpoint/shaper.h"
#include "tunnel/tun/tun_device.h"

namespace tunnel {

// Bytes that `packet` counts for: as tc counts it, an IP packet (Ethernet
// frame on TAP), and of a super-packet each of those that it stands for.
uint64_t ShapedBytes(const encap::PacketBuffer& packet) noexcept;

struct ShapedReadResult {
  size_t packets = 0;
  size_t calls = 0;      // system calls made
  bool gone = false;     // as TunQueue::ReadResult
  uint64_t wait_ns = 0;  // not 0: the credit is used up for so long
};
// Reads and charges packets one by one while there is credit, at most
// packets.size(). `now_ns` is of the steady clock, precise.
ShapedReadResult ReadShaped(TunQueue& queue,
                            std::span<encap::PacketBuffer> packets,
                            const ShapeLimits& limits, Shaper& shaper,
                            uint64_t now_ns) noexcept;

}  // namespace tunnel

#endif  // TUNNEL_PATH_SHAPED_READ_H_
