// Packets, the underlay and the manager together.

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tunnel/base/error.h"
#include "tunnel/manager_fixture.h"

namespace tunnel {
namespace {

using ManagerTrafficTest = ManagerFixture;

TEST_F(ManagerTrafficTest, PacketsThatWaitDuringAPauseAreSentAfterIt) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  ASSERT_TRUE(tun_.Inject("gre0", 0, InnerPacket(1)));
  ASSERT_TRUE(Eventually([&] { return wire_.sent() == 1; }));
  ASSERT_TRUE(manager_->Pause(call_, "gre0", {}).ok());
  for (uint8_t i = 0; i < 20; ++i)
    ASSERT_TRUE(tun_.Inject("gre0", i % 2, InnerPacket(i)));
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(wire_.sent(), 1u);
  EXPECT_EQ(manager_->Get("gre0")->oper_state, OperState::kPaused);
  ASSERT_TRUE(manager_->Resume(call_, "gre0", {}).ok());
  EXPECT_TRUE(Eventually([&] { return wire_.sent() == 21; }));
}

TEST_F(ManagerTrafficTest, APauseWithALimitEndsByItself) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  ASSERT_TRUE(manager_->Pause(call_, "gre0", {}, milliseconds(30)).ok());
  EXPECT_TRUE(Eventually([&] { return !manager_->Get("gre0")->paused; }));
  EXPECT_EQ(manager_->Get("gre0")->oper_state, OperState::kUp);
}

TEST_F(ManagerTrafficTest, ADetachedTunnelReceivesNothingAndKeepsItsPair) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  ASSERT_TRUE(tun_.Inject("gre0", 0, InnerPacket(1)));
  std::vector<uint8_t> outer;
  ASSERT_TRUE(Eventually([&] { return wire_.sent() == 1; }));
  std::vector<uint8_t> reply = {0x45, 0, 0, 52, 0,   0, 0, 0, 64, 47, 0, 0,
                                192,  0, 2, 2,  192, 0, 2, 1, 0,  0,  8, 0};
  const std::vector<uint8_t> inner = InnerPacket(3);
  reply.insert(reply.end(), inner.begin(), inner.end());
  uint32_t sum = 0;
  for (int i = 0; i < 20; i += 2) sum += (reply[i] << 8) | reply[i + 1];
  sum = (sum & 0xffff) + (sum >> 16);
  reply[10] = static_cast<uint8_t>(~sum >> 8);
  reply[11] = static_cast<uint8_t>(~sum);

  ASSERT_TRUE(wire_.Inject(0, reply));
  const auto delivered = tun_.Take("gre0", seconds(10));
  ASSERT_TRUE(delivered.has_value());
  EXPECT_EQ(delivered->bytes, inner);

  ASSERT_TRUE(manager_->Detach(call_, "gre0", {}).ok());
  ASSERT_TRUE(wire_.Inject(0, reply));
  const size_t down = static_cast<size_t>(encap::DropReason::kDown);
  EXPECT_TRUE(Eventually([&] {
    return manager_->Stats({"gre0"})->tunnels[0].counters.receive_drops[down] ==
           1;
  }));
  EXPECT_FALSE(tun_.Take("gre0", milliseconds(20)).has_value());
  EXPECT_EQ(GetReason(Create(Gre("gre1")).status()),
            Reason::kEndpointPairInUse);

  ASSERT_TRUE(manager_->Attach(call_, "gre0", {}).ok());
  ASSERT_TRUE(wire_.Inject(1, reply));
  EXPECT_TRUE(tun_.Take("gre0", seconds(10)).has_value());
  // A worker counts a packet after it has handed it on.
  EXPECT_TRUE(Eventually([&] {
    const TunnelCounters counters =
        manager_->Stats({"gre0"})->tunnels[0].counters;
    return counters.receive_packets == 2 && counters.transmit_packets == 1;
  }));

  tun_.SetRefuse("gre0", true);
  ASSERT_TRUE(wire_.Inject(0, reply));
  const auto refused = static_cast<size_t>(encap::DropReason::kInnerWriteError);
  EXPECT_TRUE(Eventually([&] {
    return manager_->Stats({"gre0"})
               ->tunnels[0]
               .counters.receive_drops[refused] == 1;
  }));
}

TEST_F(ManagerTrafficTest, WithoutItsLocalAddressATunnelSendsNothing) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  links_.RemoveLocalAddress(Address("192.0.2.1"));
  ASSERT_TRUE(Eventually(
      [&] { return manager_->Get("gre0")->oper_state == OperState::kDown; }));
  EXPECT_NE(manager_->Get("gre0")->oper_reason.find("192.0.2.1"),
            std::string::npos);
  ASSERT_TRUE(tun_.Inject("gre0", 0, InnerPacket(1)));
  const size_t no_route = static_cast<size_t>(encap::DropReason::kNoRoute);
  EXPECT_TRUE(Eventually([&] {
    return manager_->Stats({})->tunnels[0].counters.transmit_drops[no_route] ==
           1;
  }));
  EXPECT_EQ(wire_.sent(), 0u);
  links_.AddLocalAddress(Address("192.0.2.1"));
  ASSERT_TRUE(Eventually(
      [&] { return manager_->Get("gre0")->oper_state == OperState::kUp; }));
  ASSERT_TRUE(tun_.Inject("gre0", 0, InnerPacket(2)));
  EXPECT_TRUE(Eventually([&] { return wire_.sent() == 1; }));
}

TEST_F(ManagerTrafficTest, ARouteIntoTheTunnelItselfStopsIt) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  const uint32_t ifindex = manager_->Get("gre0")->ifindex;
  links_.SetRoute(Address("192.0.2.2"), RouteInfo{ifindex, "gre0", 1476});
  EXPECT_TRUE(Eventually(
      [&] { return manager_->Get("gre0")->oper_state == OperState::kLoop; }));
  links_.SetRoute(Address("192.0.2.2"), RouteInfo{1, "eth0", 1400});
  EXPECT_TRUE(Eventually(
      [&] { return manager_->Get("gre0")->oper_state == OperState::kUp; }));
  EXPECT_EQ(manager_->Get("gre0")->effective_mtu, 1376u);
  EXPECT_EQ(links_.GetInterface(ifindex)->mtu, 1376u);
}

TEST_F(ManagerTrafficTest, ARemovedDeviceFailsThatTunnelAlone) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  ASSERT_TRUE(Create(Gre("gre1", "192.0.2.3")).ok());
  const uint32_t ifindex = manager_->Get("gre0")->ifindex;
  tun_.Vanish("gre0");
  LinkEvent event;
  event.kind = LinkEvent::Kind::kLink;
  event.ifindex = ifindex;
  event.removed = true;
  links_.Emit(event);
  ASSERT_TRUE(Eventually(
      [&] { return manager_->Get("gre0")->oper_state == OperState::kFailed; }));
  EXPECT_EQ(manager_->Get("gre1")->oper_state, OperState::kUp);
  EXPECT_EQ(
      GetReason(
          Edit("gre0", [](EndpointConfig& c) { c.encap.ttl = 3; }).status()),
      Reason::kInvalidState);
  ASSERT_TRUE(manager_->DeleteTunnel(call_, "gre0", {}).ok());
  EXPECT_TRUE(Create(Gre("gre0")).ok());
}

// The monitor waits behind another change and an operator ends its wait: what
// it came for must happen all the same.
TEST_F(ManagerTrafficTest, AnInterruptedMonitorTriesAgain) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  std::atomic<bool> held{false}, hold{true};
  std::thread holder([&] {
    EXPECT_TRUE(manager_
                    ->UpdateTunnel(call_, "gre0",
                                   [&](const EndpointConfig& current) {
                                     held = true;
                                     while (hold)
                                       std::this_thread::sleep_for(
                                           milliseconds(1));
                                     return current;
                                   },
                                   {})
                    .ok());
  });
  ASSERT_TRUE(Eventually([&] { return held.load(); }));
  links_.RemoveLocalAddress(Address("192.0.2.1"));
  for (int i = 0; i < 3; ++i) {
    uint64_t id = 0;
    ASSERT_TRUE(Eventually([&] {
      const ConfigLockInfo info = manager_->LockInfo();
      if (info.waiters.size() == 1) id = info.waiters[0].id;
      return id != 0;
    }));
    EXPECT_TRUE(manager_->InterruptLock(id).ok());
    ASSERT_TRUE(Eventually([&] {
      const ConfigLockInfo info = manager_->LockInfo();
      return info.waiters.size() == 1 && info.waiters[0].id != id;
    }));
  }
  hold = false;
  holder.join();
  EXPECT_TRUE(Eventually(
      [&] { return manager_->Get("gre0")->oper_state == OperState::kDown; }));
}

TEST_F(ManagerTrafficTest, RefusesMoreTunnelsThanTheLimit) {
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(Create(Gre("gre" + std::to_string(i), "192.0.2.2", i)).ok());
  }
  EXPECT_EQ(GetReason(Create(Gre("gre8", "192.0.2.2", 8)).status()),
            Reason::kTunnelLimit);
}

TEST_F(ManagerTrafficTest, FixedFieldsAreAllNamedInOneAnswer) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  const absl::Status status = Edit("gre0", [](EndpointConfig& c) {
                                c.encap.mode = encap::Mode::kGretap;
                                c.name = "gre1";
                              }).status();
  const ErrorDetail detail = *GetErrorDetail(status);
  EXPECT_EQ(detail.reason, Reason::kFieldInvalid);
  EXPECT_EQ(detail.violations.size(), 2u);
}

// Sixteen packets, eight for each queue; the number of workers that carried
// them.
size_t WorkersInUse(TunnelManager& manager, MemoryTunFactory& tun,
                    MemoryTransportFactory& wire) {
  const auto before = manager.Stats({})->workers;
  const uint64_t sent = wire.sent() + 16;
  for (uint8_t i = 0; i < 16; ++i)
    EXPECT_TRUE(tun.Inject("gre0", i % 2, InnerPacket(i)));
  EXPECT_TRUE(Eventually([&] { return wire.sent() == sent; }));
  size_t used = 0;
  EXPECT_TRUE(Eventually([&] {
    uint64_t counted = 0;
    used = 0;
    const auto after = manager.Stats({})->workers;
    for (size_t i = 0; i < after.size(); ++i) {
      const uint64_t n = after[i].transmit_packets - before[i].transmit_packets;
      counted += n;
      if (n > 0) ++used;
    }
    return counted == 16;
  }));
  return used;
}

TEST_F(ManagerTrafficTest, QueuesGoToAsManyWorkersAsAskedFor) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  const uint32_t ifindex = manager_->Get("gre0")->ifindex;
  EXPECT_EQ(WorkersInUse(*manager_, tun_, wire_), 2u);
  for (const auto& [queues, workers] :
       {std::pair{1u, 1u}, {2u, 2u}, {1u, 1u}, {200u, 2u}, {0u, 2u}}) {
    const auto change =
        Edit("gre0", [n = queues](EndpointConfig& c) { c.queues = n; });
    ASSERT_TRUE(change.ok()) << change.status();
    // Output waits in the device; nothing that comes in is lost.
    EXPECT_TRUE(change->timing.pause.has_value());
    EXPECT_TRUE(change->timing.establish.has_value());
    EXPECT_FALSE(change->timing.detach.has_value());
    EXPECT_EQ(change->timing.packets_dropped, 0u);
    EXPECT_EQ(WorkersInUse(*manager_, tun_, wire_), workers) << queues;
  }
  EXPECT_EQ(manager_->Get("gre0")->ifindex, ifindex);
}

TEST_F(ManagerTrafficTest, WhatTheKernelDropsInAResizeIsReported) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  links_.SetResizeDrops(7);
  const auto set = [&](uint32_t length, uint8_t ttl) {
    const auto change = Edit("gre0", [&](EndpointConfig& c) {
      c.txqueuelen = length;
      c.encap.ttl = ttl;
    });
    EXPECT_TRUE(change.ok()) << change.status();
    return change->timing.packets_dropped;
  };
  EXPECT_EQ(set(1000, 64), 7u);
  EXPECT_EQ(set(1000, 63), 0u);
  EXPECT_EQ(set(100, 63), 7u);
}

TEST_F(ManagerTrafficTest, SequenceNumbersGoOnAcrossARewire) {
  EndpointConfig config = Gre("gre0");
  config.encap.sequence = true;
  ASSERT_TRUE(Create(config).ok());
  std::atomic<uint32_t> last{0};
  wire_.SetSink([&](size_t, std::span<const uint8_t> packet, const SendRoute&) {
    const size_t at =
        packet[20] & 0x20 ? 28 : 24;  // behind the key, if there is one
    last = packet[at] << 24 | packet[at + 1] << 16 | packet[at + 2] << 8 |
           packet[at + 3];
  });
  // Both queues: the numbers are one series.
  for (uint8_t i = 0; i < 10; ++i)
    ASSERT_TRUE(tun_.Inject("gre0", i % 2, InnerPacket(i)));
  ASSERT_TRUE(Eventually([&] { return wire_.sent() == 10; }));
  EXPECT_EQ(last, 9u);
  ASSERT_TRUE(
      Edit("gre0", [](EndpointConfig& c) { c.encap.output_key = 4; }).ok());
  ASSERT_TRUE(tun_.Inject("gre0", 1, InnerPacket(11)));
  ASSERT_TRUE(Eventually([&] { return wire_.sent() == 11; }));
  EXPECT_EQ(last, 10u);
}

TEST_F(ManagerTrafficTest, AfterShutdownChangesAreRefusedAndReadsAnswer) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  manager_->Shutdown();
  EXPECT_EQ(GetReason(Create(Gre("gre1", "192.0.2.3")).status()),
            Reason::kShuttingDown);
  EXPECT_TRUE(manager_->Get("gre0").ok());
}

}  // namespace
}  // namespace tunnel
