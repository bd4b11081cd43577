#include "tunnel/netlink/next_hops.h"

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "gtest/gtest.h"
#include "tunnel/netlink/netns_for_test.h"

namespace tunnel {
namespace {

encap::IpAddress Address(const char* text) {
  return encap::IpAddress::Parse(text).value();
}

MacAddress Mac(uint8_t last) { return {2, 0, 0, 0, 0, last}; }

std::string Words(uint8_t last) {
  return "02:00:00:00:00:0" + std::to_string(last);
}

class NextHopsTest : public NetnsTest {
 protected:
  void SetUp() override {
    NetnsTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    MakeVeth("va", "vb");
    MakeVeth("vc", "vd");
    Ip("addr add 10.0.0.1/24 dev va");
    Ip("addr add fd00::1/64 dev va nodad");
    Ip("addr add 10.1.0.1/24 dev vc");
    Start(/*mind_rules=*/false);
  }
  void Start(bool mind_rules) {
    auto hops = NextHops::Start(mind_rules);
    ASSERT_TRUE(hops.ok()) << hops.status();
    hops_ = std::move(hops).value();
  }
  static void SetNeighbour(const std::string& address, uint8_t last,
                           const std::string& device = "va") {
    Ip("neigh replace " + address + " lladdr " + Words(last) + " dev " +
       device + " nud reachable");
  }
  std::shared_ptr<const NextHop> To(const char* remote, const char* local,
                                    uint32_t ifindex = 0, uint32_t mark = 0) {
    return hops_->Of({Address(remote), Address(local), ifindex, mark});
  }
  static bool Await(const std::function<bool()>& condition) {
    const auto limit =
        std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > limit) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
  }
  static bool Becomes(const NextHop& hop, const std::string& device,
                      const MacAddress& mac, uint32_t mtu = 1500) {
    const LinkDestination want{IfIndex(device), mtu, mac};
    return Await([&] { return hop.Load() == want; });
  }
  static bool BecomesUnknown(const NextHop& hop) {
    return Await([&] { return hop.Load() == LinkDestination{}; });
  }

  std::unique_ptr<NextHops> hops_;
};

TEST_F(NextHopsTest, HostOnTheLinkIsItsOwnNextHop) {
  SetNeighbour("10.0.0.2", 1);
  SetNeighbour("fd00::2", 2);
  const auto v4 = To("10.0.0.2", "10.0.0.1");
  const auto v6 = To("fd00::2", "fd00::1");
  EXPECT_TRUE(Becomes(*v4, "va", Mac(1)));
  EXPECT_TRUE(Becomes(*v6, "va", Mac(2)));
  EXPECT_EQ(To("10.0.0.2", "10.0.0.1"), v4) << "one for each way";
  EXPECT_NE(To("10.0.0.2", "10.0.0.1", IfIndex("va")), v4);
}

TEST_F(NextHopsTest, GatewayAndItsRouteAreFollowed) {
  Ip("route add 203.0.113.0/24 via 10.0.0.2");
  const auto hop = To("203.0.113.7", "10.0.0.1");
  SetNeighbour("10.0.0.2", 1);
  EXPECT_TRUE(Becomes(*hop, "va", Mac(1))) << "found after the first look";
  SetNeighbour("10.0.0.2", 3);
  EXPECT_TRUE(Becomes(*hop, "va", Mac(3))) << "another card answers";
  SetNeighbour("10.0.0.9", 4);
  Ip("route replace 203.0.113.0/24 via 10.0.0.9 mtu lock 1400");
  EXPECT_TRUE(Becomes(*hop, "va", Mac(4), 1400));
  SetNeighbour("10.1.0.2", 5, "vc");
  Ip("route add 203.0.113.7/32 via 10.1.0.2");
  EXPECT_TRUE(Becomes(*hop, "vc", Mac(5)));
  Ip("route del 203.0.113.7/32");
  EXPECT_TRUE(Becomes(*hop, "va", Mac(4), 1400));
  Ip("route del 203.0.113.0/24");
  EXPECT_TRUE(BecomesUnknown(*hop));
  Ip("-4 route add 203.0.113.0/24 via inet6 fd00::2 dev va");
  SetNeighbour("fd00::2", 6);
  EXPECT_TRUE(Becomes(*hop, "va", Mac(6))) << "a gateway of IPv6";
}

TEST_F(NextHopsTest, NeighbourThatGoesIsForgotten) {
  SetNeighbour("10.0.0.2", 1);
  const auto hop = To("10.0.0.2", "10.0.0.1");
  ASSERT_TRUE(Becomes(*hop, "va", Mac(1)));
  Ip("neigh del 10.0.0.2 dev va");
  EXPECT_TRUE(BecomesUnknown(*hop));
  SetNeighbour("10.0.0.2", 2);
  EXPECT_TRUE(Becomes(*hop, "va", Mac(2)));
}

TEST_F(NextHopsTest, WayThatNobodyHasIsLeftUntilItIsAskedForAgain) {
  SetNeighbour("10.0.0.2", 1);
  auto hop = To("10.0.0.2", "10.0.0.1");
  ASSERT_TRUE(Becomes(*hop, "va", Mac(1)));
  const std::weak_ptr<const NextHop> gone = hop;
  hop.reset();
  EXPECT_TRUE(Await([&] { return gone.expired(); }));
  SetNeighbour("10.0.0.2", 2);
  hop = To("10.0.0.2", "10.0.0.1");
  EXPECT_TRUE(Becomes(*hop, "va", Mac(2)));
  SetNeighbour("10.0.0.2", 3);
  EXPECT_TRUE(Becomes(*hop, "va", Mac(3)));
}

TEST_F(NextHopsTest, StaleNeighbourIsProbed) {
  for (const char* setting : {"delay_first_probe_time", "retrans_time_ms"}) {
    std::ofstream("/proc/sys/net/ipv4/neigh/va/" + std::string(setting)) << 1;
  }
  Ip("neigh replace 10.0.0.2 lladdr " + Words(1) + " dev va nud stale");
  const auto hop = To("10.0.0.2", "10.0.0.1");
  ASSERT_TRUE(Becomes(*hop, "va", Mac(1)));
  // Nobody answers for it here.
  EXPECT_TRUE(BecomesUnknown(*hop));
}

TEST_F(NextHopsTest, InterfaceThatGoesDownIsForgotten) {
  SetNeighbour("10.0.0.2", 1);
  const auto hop = To("10.0.0.2", "10.0.0.1");
  ASSERT_TRUE(Becomes(*hop, "va", Mac(1)));
  Ip("link set va down");
  EXPECT_TRUE(BecomesUnknown(*hop));
  Ip("link set va up");
  SetNeighbour("10.0.0.2", 2);
  EXPECT_TRUE(Becomes(*hop, "va", Mac(2)));
  Ip("link set va mtu 1300");
  EXPECT_TRUE(Becomes(*hop, "va", Mac(2), 1300));
  Ip("link del va");
  EXPECT_TRUE(BecomesUnknown(*hop));
}

TEST_F(NextHopsTest, RulesMarksAndInterfacesChoose) {
  SetNeighbour("10.0.0.2", 1);
  SetNeighbour("10.0.0.2", 2, "vc");
  Ip("route add 10.0.0.2/32 dev vc table 7");
  Ip("route add 10.0.0.2/32 dev vc metric 4000");
  const auto plain = To("10.0.0.2", "10.0.0.1");
  const auto marked = To("10.0.0.2", "10.0.0.1", 0, 5);
  const auto by_vc = To("10.0.0.2", "10.0.0.1", IfIndex("vc"));
  ASSERT_TRUE(Becomes(*marked, "vc", Mac(2)));
  EXPECT_TRUE(Becomes(*by_vc, "vc", Mac(2)));
  Ip("route add 10.0.0.2/32 dev va");
  ASSERT_TRUE(Becomes(*marked, "va", Mac(1)));
  Ip("rule add fwmark 5 table 7");
  EXPECT_TRUE(Becomes(*marked, "vc", Mac(2)));
  EXPECT_TRUE(Becomes(*plain, "va", Mac(1)));
  Ip("rule del fwmark 5 table 7");
  EXPECT_TRUE(Becomes(*marked, "va", Mac(1)));
}

TEST_F(NextHopsTest, WhatIsNoHostOnEthernetIsLeftToTheKernel) {
  const auto own = To("10.0.0.1", "10.0.0.1");
  const auto broadcast = To("10.0.0.255", "10.0.0.1");
  const auto nowhere = To("203.0.113.7", "10.0.0.1");
  SetNeighbour("10.0.0.2", 1);
  // Ways are looked up in the order of their addresses.
  ASSERT_TRUE(Becomes(*To("10.0.0.2", "10.0.0.1"), "va", Mac(1)));
  for (const auto& hop : {own, broadcast, nowhere})
    EXPECT_EQ(hop->Load(), LinkDestination{});
}

TEST_F(NextHopsTest, IpsecPoliciesTurnAllBackToTheKernel) {
  SetNeighbour("10.0.0.2", 1);
  const auto hop = To("10.0.0.2", "10.0.0.1");
  ASSERT_TRUE(Becomes(*hop, "va", Mac(1)));
  Ip("xfrm policy add src 10.9.0.0/16 dst 10.8.0.0/16 dir out");
  EXPECT_TRUE(BecomesUnknown(*hop));
  EXPECT_EQ(hops_->Held(), "IPsec policies are in force");
  SetNeighbour("10.0.0.2", 2);
  Ip("xfrm policy flush");
  EXPECT_TRUE(Becomes(*hop, "va", Mac(2)));
  EXPECT_EQ(hops_->Held(), "");
}

TEST_F(NextHopsTest, OutputRulesTurnAllBackToTheKernelWhereTheyMatter) {
  SetNeighbour("10.0.0.2", 1);
  const auto whatever = To("10.0.0.2", "10.0.0.1");
  ASSERT_TRUE(Becomes(*whatever, "va", Mac(1)));
  const std::unique_ptr<NextHops> always = std::move(hops_);
  Start(/*mind_rules=*/true);
  const auto hop = To("10.0.0.2", "10.0.0.1");
  ASSERT_TRUE(Becomes(*hop, "va", Mac(1)));
  Nft("add table ip t");
  Nft("add chain ip t out { type filter hook output priority 0; }");
  EXPECT_TRUE(BecomesUnknown(*hop));
  EXPECT_EQ(hops_->Held(), "chain t/out of nftables");
  EXPECT_EQ(whatever->Load().address, Mac(1));
  EXPECT_EQ(always->Held(), "");
  SetNeighbour("10.0.0.2", 2);
  Nft("delete table ip t");
  EXPECT_TRUE(Becomes(*hop, "va", Mac(2)));
}

TEST_F(NextHopsTest, RulesThatAreThereAlreadyLetNoneBeKnown) {
  SetNeighbour("10.0.0.2", 1);
  Nft("add table ip t");
  Nft("add chain ip t out { type filter hook output priority 0; }");
  Start(/*mind_rules=*/true);
  const auto hop = To("10.0.0.2", "10.0.0.1");
  ASSERT_TRUE(Await([&] { return !hops_->Held().empty(); }));
  EXPECT_EQ(hop->Load(), LinkDestination{});
  Nft("delete table ip t");
  EXPECT_TRUE(Becomes(*hop, "va", Mac(1)));
}

}  // namespace
}  // namespace tunnel
