// Which packets are kept from the IP stack, and when: what the manager asks the
// fast path for.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tunnel/manager_fast_fixture.h"

namespace tunnel {
namespace {

class ManagerClaimTest : public ManagerFastFixture {
 protected:
  void SetUp() override {
    RouteInfo route;
    route.ifindex = 7;
    route.mtu = 1500;
    route.ethernet = true;
    links_.SetDefaultRoute(route);
  }
  void MustCreate() {
    EndpointConfig config = Gre("gre0");
    config.datapath = DatapathMode::kUser;
    const auto made = Create(config);
    ASSERT_TRUE(made.ok()) << made.status();
  }
  bool WasCalled(const std::string& call) {
    for (std::string& one : fast_.TakeCalls()) calls_.push_back(one);
    return std::find(calls_.begin(), calls_.end(), call) != calls_.end();
  }

 private:
  std::vector<std::string> calls_;
};

TEST_F(ManagerClaimTest, PacketsAreClaimedWhereTheRouteLeaves) {
  links_.SetNextHopsHeld("");
  MustCreate();
  EXPECT_TRUE(WasCalled("claim at 7"));
  EXPECT_TRUE(WasCalled("in 192.0.2.2 - -"));
  EXPECT_TRUE(Eventually([&] { return WasCalled("claiming on"); }));
  EXPECT_FALSE(WasCalled("leave 7"));
  ASSERT_TRUE(manager_->DeleteTunnel(call_, "gre0", {}).ok());
  EXPECT_TRUE(WasCalled("forget 192.0.2.2 -"));
  EXPECT_TRUE(WasCalled("leave 7"));
}

TEST_F(ManagerClaimTest, RulesThatComeAndGoAreFollowed) {
  links_.SetNextHopsHeld("chain filter/input of nftables");
  MustCreate();
  EXPECT_EQ(manager_->Get("gre0")->next_hop_reason,
            "chain filter/input of nftables");
  links_.SetNextHopsHeld("");
  EXPECT_TRUE(Eventually([&] { return WasCalled("claiming on"); }));
  EXPECT_EQ(manager_->Get("gre0")->next_hop_reason, "");
  EXPECT_FALSE(WasCalled("claiming off"));
  links_.SetNextHopsHeld("IPsec policies are in force");
  EXPECT_TRUE(Eventually([&] { return WasCalled("claiming off"); }));
}

TEST_F(ManagerClaimTest, NothingIsClaimedWhereTheKernelFindsTheWay) {
  MustCreate();
  EXPECT_FALSE(WasCalled("claim at 7"));
  EXPECT_EQ(manager_->Get("gre0")->next_hop_reason, "");
}

TEST_F(ManagerClaimTest, NothingIsClaimedWhereThereIsNoEthernet) {
  RouteInfo route;
  route.ifindex = 8;
  route.mtu = 1500;
  links_.SetDefaultRoute(route);
  links_.SetNextHopsHeld("");
  MustCreate();
  EXPECT_FALSE(WasCalled("claim at 8"));
}

}  // namespace
}  // namespace tunnel
