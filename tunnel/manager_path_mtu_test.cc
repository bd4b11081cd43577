// Path MTU from the error on the wire to the inner sender, over devices and a
// wire in memory.

#include <string>
#include <vector>

#include "encap/checksum.h"
#include "encap/offload/flows_for_test.h"
#include "encap/wire/icmp.h"
#include "encap/wire/ipv4.h"
#include "tunnel/manager_fixture.h"
#include "tunnel/sync/mutex.h"

namespace tunnel {
namespace {

constexpr size_t kGreOverIpv4 = 24;

// An inner IPv4 packet of `size` bytes from 10.9.0.1 to 10.9.0.2.
std::vector<uint8_t> Inner(size_t size, bool dont_fragment) {
  std::vector<uint8_t> packet = InnerPacket(7);
  packet.resize(size, 7);
  encap::Ipv4Header ip(packet.data());
  ip.set_total_length(static_cast<uint16_t>(size));
  ip.set_fragment(dont_fragment, false, 0);
  ip.set_checksum({});
  ip.set_checksum(encap::InternetChecksum(
      {packet.data(), encap::ConstIpv4Header::kMinLen}));
  return packet;
}

class ManagerPathMtuTest : public ManagerFixture {
 protected:
  ManagerPathMtuTest() {
    wire_.SetSink(
        [this](size_t, std::span<const uint8_t> packet, const SendRoute&) {
          const MutexLock lock(mu_);
          sent_.push_back({packet.begin(), packet.end()});
        });
  }

  std::vector<std::vector<uint8_t>> Sent() {
    const MutexLock lock(mu_);
    return sent_;
  }

  // What the wire says about `outer`: Fragmentation Needed.
  void TooBig(const std::vector<uint8_t>& outer, uint16_t mtu) {
    std::vector<uint8_t> message(encap::IcmpHeader::kLen);
    message.insert(message.end(), outer.begin(),
                   outer.begin() + std::min<size_t>(outer.size(), 520));
    encap::IcmpHeader icmp(message.data());
    icmp.set_type(encap::IcmpHeader::kUnreachable4);
    icmp.set_code(encap::IcmpHeader::kFragmentationNeeded4);
    icmp.set_next_hop_mtu4(mtu);
    icmp.set_checksum(encap::InternetChecksum(message));
    EXPECT_TRUE(wire_.InjectError(encap::IpFamily::kV4, message));
  }

  bool Learned(const std::string& text) {
    return Eventually([&] {
      return manager_->Get("gre0")->mtu_reason.find(text) != std::string::npos;
    });
  }

  uint64_t TooBigDrops() {
    return manager_->Stats({"gre0"})
        ->tunnels.at(0)
        .counters
        .transmit_drops[static_cast<size_t>(encap::DropReason::kTooBig)];
  }

  // The MTU that an ICMP error in a packet to 10.9.0.1 tells; 0: none.
  static uint16_t Told(const std::vector<uint8_t>& packet) {
    const encap::ConstIpv4Header ip(packet.data());
    EXPECT_EQ(ip.source(), Address("10.9.0.2"));
    EXPECT_EQ(ip.destination(), Address("10.9.0.1"));
    return encap::ConstIcmpHeader(packet.data() + ip.header_len())
        .next_hop_mtu4();
  }

  Mutex mu_;
  std::vector<std::vector<uint8_t>> sent_ ABSL_GUARDED_BY(mu_);
};

TEST_F(ManagerPathMtuTest, ErrorIsLearnedRelayedAndObeyed) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  EXPECT_EQ(manager_->Get("gre0")->mtu_reason,
            "1500 (route via eth0) - 24 (outer headers)");
  ASSERT_TRUE(tun_.Inject("gre0", 0, Inner(1476, true)));
  ASSERT_TRUE(Eventually([&] { return Sent().size() == 1; }));
  TooBig(Sent()[0], 1400);
  ASSERT_TRUE(Learned("1400 (path to 192.0.2.2, learned, "));
  const auto relayed = tun_.Take("gre0", seconds(20));
  ASSERT_TRUE(relayed.has_value());
  EXPECT_EQ(Told(relayed->bytes), 1400 - kGreOverIpv4);

  ASSERT_TRUE(tun_.Inject("gre0", 0, Inner(1377, true)));
  const auto answered = tun_.Take("gre0", seconds(20));
  ASSERT_TRUE(answered.has_value());
  EXPECT_EQ(Told(answered->bytes), 1400 - kGreOverIpv4);
  EXPECT_TRUE(Eventually([&] { return TooBigDrops() == 1; }));
  EXPECT_EQ(Sent().size(), 1U);

  // Without DF it is cut; what fits is sent as it is.
  ASSERT_TRUE(tun_.Inject("gre0", 0, Inner(1476, false)));
  ASSERT_TRUE(tun_.Inject("gre0", 0, Inner(1376, true)));
  ASSERT_TRUE(Eventually([&] { return Sent().size() == 4; }));
  const std::vector<std::vector<uint8_t>> sent = Sent();
  EXPECT_EQ(sent[1].size(), kGreOverIpv4 + 20 + 1352);
  EXPECT_EQ(sent[2].size(), kGreOverIpv4 + 20 + 104);
  EXPECT_EQ(sent[3].size(), 1400U);
  EXPECT_EQ(TooBigDrops(), 1U);
}

// 5,000 bytes of TCP in one packet that the device hands over.
TEST_F(ManagerPathMtuTest, SuperPacketsAreCutAndJudgedBySegment) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  encap::testing::FlowPacket flow;
  flow.payload.assign(5000, 7);
  const std::vector<uint8_t> super = encap::testing::Build(flow);
  encap::SegmentHint hint;
  hint.gso_type = encap::GsoType::kTcp4;
  hint.gso_size = 1436;
  hint.header_len = 40;
  hint.needs_checksum = true;
  hint.checksum_start = 20;
  hint.checksum_offset = 16;
  ASSERT_TRUE(tun_.Inject("gre0", 0, super, hint));
  ASSERT_TRUE(Eventually([&] { return Sent().size() == 4; }));
  EXPECT_EQ(Sent()[0].size(), 1500U);
  EXPECT_EQ(Sent()[3].size(), kGreOverIpv4 + 40 + 5000 - 3 * 1436);
  TooBig(Sent()[0], 1400);
  ASSERT_TRUE(Learned("1400 (path to 192.0.2.2, learned, "));
  ASSERT_TRUE(tun_.Take("gre0", seconds(20)).has_value());

  // One answer for all four, with as much of a segment as an error quotes.
  ASSERT_TRUE(tun_.Inject("gre0", 0, super, hint));
  const auto answered = tun_.Take("gre0", seconds(20));
  ASSERT_TRUE(answered.has_value());
  const encap::ConstIcmpHeader icmp(answered->bytes.data() + 20);
  EXPECT_EQ(icmp.next_hop_mtu4(), 1400 - kGreOverIpv4);
  EXPECT_EQ(encap::ConstIpv4Header(answered->bytes.data() + 28).total_length(),
            1476);
  EXPECT_TRUE(Eventually([&] { return TooBigDrops() == 4; }));
  EXPECT_FALSE(tun_.Take("gre0", milliseconds(0)).has_value());
  EXPECT_EQ(Sent().size(), 4U);

  hint.gso_size = 1336;
  ASSERT_TRUE(tun_.Inject("gre0", 0, super, hint));
  EXPECT_TRUE(Eventually([&] { return Sent().size() == 8; }));
  EXPECT_TRUE(Eventually([&] {
    const TunnelCounters counters =
        manager_->Stats({"gre0"})->tunnels.at(0).counters;
    return counters.transmit_packets == 8 &&
           counters.transmit_bytes == 2 * 5000 + 8 * 40;
  }));
}

TEST_F(ManagerPathMtuTest, QuoteOfAnotherTunnelChangesNothing) {
  ASSERT_TRUE(Create(Gre("gre0", "192.0.2.2", 5)).ok());
  ASSERT_TRUE(tun_.Inject("gre0", 0, Inner(1400, true)));
  ASSERT_TRUE(Eventually([&] { return Sent().size() == 1; }));
  const std::vector<uint8_t> real = Sent()[0];
  std::vector<uint8_t> other_key = real;
  other_key[27] ^= 1;
  std::vector<uint8_t> other_remote = real;
  other_remote[19] ^= 1;
  TooBig(other_key, 600);
  TooBig(other_remote, 600);
  TooBig(real, 1450);
  ASSERT_TRUE(Learned("1450 (path to 192.0.2.2"));
  // What is quoted fits what was learned: there is nothing to tell.
  EXPECT_FALSE(tun_.Take("gre0", milliseconds(0)).has_value());
}

TEST_F(ManagerPathMtuTest, ForgetsWithTheRouteAndWithTheTunnel) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  ASSERT_TRUE(tun_.Inject("gre0", 0, Inner(1476, true)));
  ASSERT_TRUE(Eventually([&] { return Sent().size() == 1; }));
  TooBig(Sent()[0], 1400);
  ASSERT_TRUE(Learned("1400 (path"));
  links_.AddInterface(9, "eth9", 1450);
  links_.SetRoute(Address("192.0.2.2"), RouteInfo{9, "eth9", 1450});
  ASSERT_TRUE(Eventually([&] {
    return manager_->Get("gre0")->mtu_reason ==
           "1450 (route via eth9) - 24 (outer headers)";
  }));
  TooBig(Sent()[0], 1300);
  ASSERT_TRUE(Learned("1300 (path"));
  ASSERT_TRUE(manager_->DeleteTunnel(call_, "gre0", {}).ok());
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  EXPECT_EQ(manager_->Get("gre0")->mtu_reason,
            "1450 (route via eth9) - 24 (outer headers)");
}

TEST_F(ManagerPathMtuTest, RouteIntoTheTunnelIsALoop) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  const uint32_t own = manager_->Get("gre0")->ifindex;
  links_.SetRoute(Address("192.0.2.2"), RouteInfo{own, "gre0", 1476});
  ASSERT_TRUE(Eventually(
      [&] { return manager_->Get("gre0")->oper_state == OperState::kLoop; }));
  EXPECT_EQ(manager_->Get("gre0")->oper_reason,
            "the route to 192.0.2.2 leads into the tunnel itself");
  ASSERT_TRUE(tun_.Inject("gre0", 0, Inner(100, true)));
  EXPECT_TRUE(Eventually([&] {
    return manager_->Stats({"gre0"})->tunnels.at(0).counters.transmit_drops
               [static_cast<size_t>(encap::DropReason::kRecursion)] == 1;
  }));
  EXPECT_TRUE(Sent().empty());
  links_.SetRoute(Address("192.0.2.2"), RouteInfo{1, "eth0", 1500});
  EXPECT_TRUE(Eventually(
      [&] { return manager_->Get("gre0")->oper_state == OperState::kUp; }));
}

}  // namespace
}  // namespace tunnel
