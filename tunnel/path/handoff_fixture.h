// What the tests of hand-offs share: two workers, and numbered packets.

#ifndef TUNNEL_PATH_HANDOFF_FIXTURE_H_
#define TUNNEL_PATH_HANDOFF_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "encap/packet.h"
#include "tunnel/path/handoff.h"
#include "tunnel/tun/memory_tun.h"

namespace tunnel {

class HandoffFixture : public testing::Test {
 protected:
  explicit HandoffFixture(Dispatch dispatch = Dispatch::kHybrid)
      : lanes_(*HandoffLanes::Create(2, dispatch)) {}

  // A flow, as Handoff::FlowOf() gives it, that belongs to `worker`.
  static uint32_t FlowAt(size_t worker, uint32_t flow = 0) {
    return static_cast<uint32_t>(worker << 31) + flow;
  }
  std::unique_ptr<Endpoint> NewEndpoint() {
    return std::make_unique<Endpoint>(
        "gre0", *devices_.Open({.name = "gre0", .queues = 2}), 2);
  }
  // Valid until the next call.
  encap::PacketBuffer Packet(uint32_t number, size_t bytes = 28) {
    encap::PacketBuffer packet(storage_, 0, bytes);
    std::memset(packet.data(), 0, bytes);
    packet.data()[0] = 0x45;
    std::memcpy(packet.data() + 20, &number, sizeof number);
    return packet;
  }
  static uint32_t Number(HandoffSlot& slot) {
    uint32_t number = 0;
    std::memcpy(&number, slot.packet.data() + 20, sizeof number);
    return number;
  }

  MemoryTunFactory devices_;
  std::vector<uint8_t> storage_ = std::vector<uint8_t>(70'000);
  const std::unique_ptr<HandoffLanes> lanes_;
  Handoff sender_{*lanes_, 0};
  Handoff receiver_{*lanes_, 1};
};

}  // namespace tunnel

#endif  // TUNNEL_PATH_HANDOFF_FIXTURE_H_
