// Steering: what one worker receives is written by the worker that the inner
// flow belongs to, in order, and nothing of it comes late.

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tunnel/manager_fixture.h"

namespace tunnel {
namespace {

constexpr size_t kFlows = 16;

void SumHeader(uint8_t* header) {
  header[10] = header[11] = 0;
  uint32_t sum = 0;
  for (int i = 0; i < 20; i += 2) sum += (header[i] << 8) | header[i + 1];
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  header[10] = static_cast<uint8_t>(~sum >> 8);
  header[11] = static_cast<uint8_t>(~sum);
}

// GRE from 192.0.2.2 to 192.0.2.1; inside number `number` of flow `flow`.
std::vector<uint8_t> OuterPacket(size_t flow, uint32_t number) {
  std::vector<uint8_t> p = {0x45, 0, 0, 52, 0,   0, 0, 0, 64, 47, 0, 0,
                            192,  0, 2, 2,  192, 0, 2, 1, 0,  0,  8, 0};
  std::vector<uint8_t> inner = InnerPacket(0);
  inner[15] = static_cast<uint8_t>(flow + 1);  // its source
  std::memcpy(&inner[20], &number, sizeof number);
  SumHeader(inner.data());
  p.insert(p.end(), inner.begin(), inner.end());
  SumHeader(p.data());
  return p;
}

TEST(Steering, IsAutomaticForOneOuterFlow) {
  EndpointConfig config;
  EXPECT_FALSE(Steers(config));
  config.encap.transport = encap::OuterTransport::kUdp;
  EXPECT_FALSE(Steers(config)) << "source port from the inner flow";
  config.encap.udp_source_port = 4754;
  EXPECT_TRUE(Steers(config));
  config.steering = Steering::kOff;
  EXPECT_FALSE(Steers(config));
  config = EndpointConfig();
  config.steering = Steering::kOn;
  EXPECT_TRUE(Steers(config));
}

class ManagerSteeringTest : public ManagerFixture {
 protected:
  explicit ManagerSteeringTest(Dispatch dispatch = Dispatch::kHybrid)
      : ManagerFixture(nullptr, dispatch) {}
  void SetUp() override {
    EndpointConfig config = Gre("gre0");
    config.steering = Steering::kOn;
    ASSERT_TRUE(Create(config).ok());
  }

  // Takes what has been written; false when nothing came in `wait`.
  bool TakeOne(milliseconds wait) {
    const auto packet = tun_.Take("gre0", wait);
    if (!packet.has_value()) return false;
    uint32_t number = 0;
    const size_t flow = packet->bytes.at(15) - 1;
    std::memcpy(&number, &packet->bytes.at(20), sizeof number);
    written_[packet->order] = {flow, number};
    ++taken_;
    return true;
  }

  // Packets that were not the next of their flow, in the order of the writes.
  size_t Disorder() const {
    std::array<uint32_t, kFlows> next{};
    size_t disorder = 0;
    for (const auto& [order, packet] : written_) {
      const auto& [flow, number] = packet;
      disorder += number != next.at(flow);
      next[flow] = number + 1;
    }
    return disorder;
  }

  // One packet of each flow in turn, all to the first worker, and few enough on
  // their way that no queue is full.
  void Send(size_t packets) {
    for (size_t i = 0; i < packets; ++i, ++sent_) {
      const std::vector<uint8_t> packet =
          OuterPacket(sent_ % kFlows, static_cast<uint32_t>(sent_ / kFlows));
      ASSERT_TRUE(wire_.Inject(0, packet));
      while (sent_ + 1 - taken_ > 100) ASSERT_TRUE(TakeOne(seconds(20)));
    }
  }
  void TakeRest() {
    while (taken_ < sent_) ASSERT_TRUE(TakeOne(seconds(20)));
  }

  StatsSnapshot Stats() { return *manager_->Stats({"gre0"}); }
  static uint64_t Drops(const TunnelCounters& counters) {
    uint64_t sum = 0;
    for (const uint64_t n : counters.receive_drops) sum += n;
    return sum;
  }
  // Traffic while steering is switched.
  void SendWhileSwitching(int switches) {
    for (int i = 0; i < switches; ++i) {
      Send(100);
      std::thread change([&] {
        ASSERT_TRUE(Edit("gre0", [&](EndpointConfig& config) {
                      config.steering = i % 2 ? Steering::kOn : Steering::kOff;
                    }).ok());
      });
      Send(200);
      change.join();
    }
  }
  void ExpectAllInOrder() {
    TakeRest();
    EXPECT_EQ(Disorder(), 0u);
    EXPECT_TRUE(Eventually(
        [&] { return Stats().tunnels[0].counters.receive_packets == sent_; }));
    EXPECT_EQ(Drops(Stats().tunnels[0].counters), 0u);
  }

  std::map<uint64_t, std::pair<size_t, uint32_t>> written_;  // by order
  size_t sent_ = 0, taken_ = 0;
};

TEST_F(ManagerSteeringTest, FlowsAreSpreadInOrder) {
  std::set<size_t> queues;
  for (size_t flow = 0; flow < kFlows; ++flow) {
    ASSERT_TRUE(wire_.Inject(0, OuterPacket(flow, 0)));
    const auto packet = tun_.Take("gre0", seconds(20));
    ASSERT_TRUE(packet.has_value());
    queues.insert(packet->queue);
    written_[packet->order] = {flow, 0};
  }
  EXPECT_EQ(queues, (std::set<size_t>{0, 1}));
  sent_ = taken_ = kFlows;
  Send(2'000);
  ExpectAllInOrder();

  ASSERT_TRUE(
      Eventually([&] { return Stats().workers[1].handoff.depth == 0; }));
  const StatsSnapshot stats = Stats();
  const HandoffCounters& handed = stats.workers[1].handoff;
  EXPECT_EQ(stats.workers[0].handoff.packets, 0u) << "it receives them all";
  EXPECT_GT(handed.packets, 0u);
  EXPECT_LT(handed.packets, sent_);
  EXPECT_GT(handed.capacity, 0u);
  EXPECT_LE(handed.wakeups, handed.batches);
  EXPECT_LE(handed.high_watermark, handed.capacity);
  EXPECT_EQ(handed.drops, 0u);
  uint64_t batches = 0, visits = 0;
  for (const uint64_t n : handed.batch) batches += n;
  for (const uint64_t n : handed.depths) visits += n;
  EXPECT_EQ(batches, handed.batches);
  EXPECT_EQ(visits, handed.reads);
}

TEST_F(ManagerSteeringTest, OrderAndPacketsOutlastEverySwitch) {
  SendWhileSwitching(30);
  ExpectAllInOrder();
}

TEST_F(ManagerSteeringTest, OrderAndPacketsOutlastEveryResize) {
  const std::vector<size_t> sizes = {16384, 256, 4000, 512, 128, 2048};
  for (size_t i = 0; i < 100; ++i) {
    Send(20);
    std::thread change([&] {
      const auto resized =
          manager_->ResizeHandoff(call_, sizes[i % sizes.size()]);
      ASSERT_TRUE(resized.ok());
      EXPECT_EQ(resized->packets, std::bit_ceil(sizes[i % sizes.size()]));
    });
    Send(40);
    change.join();
    // Two workers, one ring to each.
    EXPECT_EQ(Stats().workers[1].handoff.capacity,
              std::bit_ceil(sizes[i % sizes.size()]));
  }
  ExpectAllInOrder();
  EXPECT_GT(Stats().workers[1].handoff.packets, 0u);
  const auto refused = manager_->ResizeHandoff(call_, 7);
  EXPECT_EQ(GetReason(refused.status()), Reason::kFieldInvalid);
}

// More at once than a lane holds: nobody but the tunnel itself loses, and each
// loss is counted.
TEST_F(ManagerSteeringTest, AFullLaneDropsAndCounts) {
  constexpr uint32_t kPackets = 4'000;
  for (uint32_t i = 0; i < kPackets; ++i)
    ASSERT_TRUE(wire_.Inject(0, OuterPacket(i % kFlows, i / kFlows)));
  const auto counted = [&] {
    const TunnelCounters counters = Stats().tunnels[0].counters;
    return counters.receive_packets + Drops(counters);
  };
  while (counted() < kPackets) TakeOne(milliseconds(1));
  const TunnelCounters counters = Stats().tunnels[0].counters;
  EXPECT_EQ(counted(), kPackets);
  uint64_t lost =
      counters
          .receive_drops[static_cast<size_t>(encap::DropReason::kQueueFull)];
  EXPECT_EQ(Stats().workers[1].handoff.drops, lost);
}

TEST_F(ManagerSteeringTest, AutomaticIsOffForAProtocolThatTheKernelSpreads) {
  ASSERT_TRUE(Edit("gre0", [](EndpointConfig& config) {
                config.steering = Steering::kAuto;
              }).ok());
  const uint64_t before = Stats().workers[1].handoff.packets;
  Send(200);
  ExpectAllInOrder();
  EXPECT_EQ(Stats().workers[1].handoff.packets, before);
}

// When detach, or delete, has returned, no worker has a packet of the tunnel.
TEST_F(ManagerSteeringTest, NothingComesLate) {
  for (int round = 0; round < 10; ++round) {
    for (uint32_t i = 0; i < 500; ++i) {
      ASSERT_TRUE(wire_.Inject(0, OuterPacket(i % kFlows, i)));
    }
    ASSERT_TRUE(manager_->Detach(call_, "gre0", {}).ok());
    while (tun_.Take("gre0", milliseconds(0))) {
    }
    EXPECT_EQ(Stats().workers[1].handoff.depth, 0u);
    const uint64_t written = Stats().tunnels[0].counters.receive_packets;
    EXPECT_TRUE(Eventually([&] {
      const TunnelCounters counters = Stats().tunnels[0].counters;
      return counters.receive_packets + Drops(counters) == 500u * (round + 1);
    }));
    EXPECT_EQ(Stats().tunnels[0].counters.receive_packets, written);
    EXPECT_FALSE(tun_.Take("gre0", milliseconds(0)).has_value());
    ASSERT_TRUE(manager_->Attach(call_, "gre0", {}).ok());
  }
  for (uint32_t i = 0; i < 500; ++i)
    ASSERT_TRUE(wire_.Inject(0, OuterPacket(i % kFlows, i)));
  ASSERT_TRUE(manager_->DeleteTunnel(call_, "gre0", {}).ok());
}

class DeferredTest : public ManagerSteeringTest {
 protected:
  DeferredTest() : ManagerSteeringTest(Dispatch::kDeferred) {}
};

TEST_F(DeferredTest, EachPacketGoesThroughOneRingInOrder) {
  SendWhileSwitching(20);
  ExpectAllInOrder();
  const StatsSnapshot stats = Stats();
  EXPECT_GT(stats.workers[0].handoff.packets, 0u) << "to itself";
  EXPECT_GT(stats.workers[1].handoff.packets, 0u);
  EXPECT_EQ(stats.workers[0].handoff.packets + stats.workers[1].handoff.packets,
            sent_);
  EXPECT_EQ(stats.workers[0].handoff.wakeups, 0u) << "it is awake";
}

TEST_F(DeferredTest, AWorkerMakesRoomInItsOwnRing) {
  ASSERT_TRUE(Edit("gre0", [](EndpointConfig& config) {
                config.steering = Steering::kOff;
              }).ok());
  const size_t packets = 2 * Stats().workers[0].handoff.capacity;
  for (uint32_t i = 0; i < packets; ++i, ++sent_) {
    while (!wire_.Inject(0, OuterPacket(i % kFlows, i / kFlows)))
      ASSERT_TRUE(TakeOne(seconds(20)));
  }
  ExpectAllInOrder();
}

class DirectTest : public ManagerSteeringTest {
 protected:
  DirectTest() : ManagerSteeringTest(Dispatch::kDirect) {}
};

TEST_F(DirectTest, NothingIsHandedOverWhateverTheTunnelSays) {
  Send(500);
  ExpectAllInOrder();
  for (const WorkerCounters& worker : Stats().workers) {
    EXPECT_EQ(worker.handoff.packets, 0u);
    EXPECT_EQ(worker.handoff.capacity, 0u);
  }
  EXPECT_EQ(GetReason(manager_->ResizeHandoff(call_, 64).status()),
            Reason::kInvalidState);
  ASSERT_TRUE(manager_->DeleteTunnel(call_, "gre0", {}).ok());
}

}  // namespace
}  // namespace tunnel
