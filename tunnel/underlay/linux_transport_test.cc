#include "tunnel/underlay/linux_transport.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>

#include "encap/bytes.h"
#include "encap/checksum.h"
#include "gtest/gtest.h"
#include "tunnel/underlay/linux_transport_for_test.h"
#include "tunnel/underlay/raw_sender.h"
namespace tunnel {
namespace {

using encap::DropReason;

void Append(Bytes& bytes, const Bytes& more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

TEST_F(LinuxTransportTest, PacketsToThisHostComeBackOverLoopback) {
  Open(1);
  for (const std::string address : {"127.0.0.1", "::1"}) {
    for (const uint8_t protocol : {47, 4, 41}) {
      const Bytes sent = Outer(address, address, protocol, GreWithKey(1));
      ASSERT_EQ(SendTo(address, sent), DropReason::kNone);
      const auto received = Receive(1);
      ASSERT_EQ(received.size(), 1U) << address << " " << int{protocol};
      ExpectSamePacket(received[0].bytes, sent);
      EXPECT_EQ(received[0].ifindex, IfIndex("lo"));
    }
  }
}

TEST_F(LinuxTransportTest, PacketsCrossAVethPair) {
  MakeWire();
  Open(1);
  for (const auto& [local, remote] :
       {std::pair("10.0.0.1", "10.0.0.2"), std::pair("fd00::1", "fd00::2")}) {
    const Bytes sent = Outer(local, remote, 47, GreWithKey(1));
    ASSERT_EQ(SendTo(remote, sent), DropReason::kNone);
    const auto received = Receive(1);
    ASSERT_EQ(received.size(), 1U) << remote;
    ExpectSamePacket(received[0].bytes, sent);
    EXPECT_EQ(received[0].ifindex, IfIndex("vb"));
  }
}

TEST_F(LinuxTransportTest, FilterTakesTunnelPacketsOnly) {
  Open(1);
  const Bytes payload = GreWithKey(1);
  for (const uint8_t protocol : {1, 6, 17, 50, 89, 103}) {
    SendTo("127.0.0.1", Outer("127.0.0.1", "127.0.0.1", protocol, payload));
    SendTo("::1", Outer("::1", "::1", protocol, payload));
  }
  EXPECT_EQ(Receive(0).size(), 0U);
  // Extension headers: destination options before GRE; before UDP; two of them.
  const Bytes gre_option = {47, 0, 1, 4, 0, 0, 0, 0};
  const Bytes udp_option = {17, 0, 1, 4, 0, 0, 0, 0};
  const Bytes next_option = {60, 0, 1, 4, 0, 0, 0, 0};
  Bytes one = gre_option, other = udp_option, two = next_option;
  Append(one, payload);
  Append(other, payload);
  Append(two, one);
  ASSERT_EQ(SendTo("::1", Outer("::1", "::1", 60, one)), DropReason::kNone);
  ASSERT_EQ(SendTo("::1", Outer("::1", "::1", 60, other)), DropReason::kNone);
  ASSERT_EQ(SendTo("::1", Outer("::1", "::1", 60, two)), DropReason::kNone);
  const auto received = Receive(2);
  ASSERT_EQ(received.size(), 2U);
  EXPECT_EQ(received[0].bytes, Outer("::1", "::1", 60, one));
  EXPECT_EQ(received[1].bytes, Outer("::1", "::1", 60, two));
}

TEST_F(LinuxTransportTest, GuardsKeepTheKernelFromAnswering) {
  const auto answers = [] {
    return Snmp("Icmp", "OutDestUnreachs") + Snmp6("Icmp6OutParmProblems");
  };
  const auto send_all = [](RawSender& sender) {
    for (const std::string address : {"127.0.0.1", "::1"}) {
      for (const uint8_t protocol : {47, 4, 41}) {
        Bytes bytes = Outer(address, address, protocol, GreWithKey(1));
        encap::PacketBuffer packet(bytes, 0, bytes.size());
        const SendRoute route{.remote = Address(address)};
        OutgoingPacket out{&packet, &route};
        sender.SendBatch({&out, 1});
        EXPECT_EQ(out.result, DropReason::kNone);
      }
    }
  };
  auto sender = RawSender::Open();
  ASSERT_TRUE(sender.ok()) << sender.status();
  const uint64_t before = answers();
  send_all(**sender);
  const uint64_t without = answers();
  EXPECT_GT(without, before) << "the kernel answers when nobody listens";
  Open(1);
  send_all(**sender);
  EXPECT_EQ(Receive(6).size(), 6U);
  EXPECT_EQ(answers(), without);
}

TEST_F(LinuxTransportTest, Ipv4FragmentsArePutTogether) {
  MakeWire();
  Open(2);
  const Bytes whole = Outer("10.0.0.1", "10.0.0.2", 47, GreWithKey(1, 1000));
  const size_t cut = 20 + 600;
  Bytes first(whole.begin(), whole.begin() + cut);
  Bytes second(whole.begin(), whole.begin() + 20);
  second.insert(second.end(), whole.begin() + cut, whole.end());
  for (Bytes* part : {&first, &second}) {
    encap::Put16(&(*part)[2], static_cast<uint16_t>(part->size()));
    encap::Put16(&(*part)[4], 0x1234);
  }
  encap::Put16(&first[6], 0x2000);
  encap::Put16(&second[6], 600 / 8);
  ASSERT_EQ(SendTo("10.0.0.2", first), DropReason::kNone);
  ASSERT_EQ(SendTo("10.0.0.2", second), DropReason::kNone);
  const auto received = Receive(1);
  ASSERT_EQ(received.size(), 1U);
  ASSERT_EQ(received[0].bytes.size(), whole.size());
  EXPECT_TRUE(std::equal(whole.begin() + 20, whole.end(),
                         received[0].bytes.begin() + 20));
}

TEST_F(LinuxTransportTest, WorkersShareTheInnerFlowsOfOneTunnel) {
  MakeWire();
  constexpr size_t kWorkers = 4;
  constexpr uint16_t kFlows = 256;
  Open(kWorkers);
  for (const auto& [local, remote] :
       {std::pair("10.0.0.1", "10.0.0.2"), std::pair("fd00::1", "fd00::2")}) {
    for (int round = 0; round < 2; ++round) {
      for (uint16_t flow = 0; flow < kFlows; ++flow) {
        ASSERT_EQ(SendTo(remote, Outer(local, remote, 47, GreWithKey(flow))),
                  DropReason::kNone);
      }
    }
    std::array<size_t, kWorkers> share{};
    std::set<std::pair<uint16_t, size_t>> flow_workers;
    const auto received = Receive(2 * kFlows);
    const size_t port_at = (remote[0] == 'f' ? 40 : 20) + 8 + 20;
    for (const Received& packet : received) {
      ++share[packet.worker];
      flow_workers.emplace(encap::Get16(&packet.bytes[port_at]), packet.worker);
    }
    EXPECT_EQ(received.size(), 2U * kFlows) << remote << ": one copy of each";
    EXPECT_EQ(flow_workers.size(), kFlows) << remote << ": a flow stays put";
    for (const size_t n : share) EXPECT_GT(n, kFlows / kWorkers) << remote;
  }
}

TEST_F(LinuxTransportTest, TwoTransportsSideBySideSeeEachPacketOnce) {
  Open(2);
  LinuxTransportFactory second;
  auto others = second.Open(2);
  ASSERT_TRUE(others.ok()) << others.status() << ": a group id of its own";
  SendTo("127.0.0.1", Outer("127.0.0.1", "127.0.0.1", 47, GreWithKey(1)));
  EXPECT_EQ(Receive(1).size(), 1U);
}

TEST_F(LinuxTransportTest, CountsWhatTheKernelDropped) {
  Open(1);
  const Bytes big = Outer("127.0.0.1", "127.0.0.1", 47, GreWithKey(1, 60000));
  constexpr size_t kPackets = 2000;  // far more than the receive buffer holds
  for (size_t i = 0; i < kPackets; ++i) {
    ASSERT_EQ(SendTo("127.0.0.1", big), DropReason::kNone);
  }
  const size_t received = Receive(1).size();
  const uint64_t drops = workers_[0]->receive_drops();
  EXPECT_GT(drops, 0U);
  EXPECT_EQ(received + drops, kPackets);
  EXPECT_EQ(workers_[0]->receive_drops(), drops) << "the sum, not the news";
}

}  // namespace
}  // namespace tunnel
