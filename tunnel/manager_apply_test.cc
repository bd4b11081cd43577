// Many tunnels in one change: all of it or none of it.

#include <gtest/gtest.h>

#include <atomic>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "tunnel/base/error.h"
#include "tunnel/manager_fixture.h"

namespace tunnel {
namespace {

using Configs = TunnelManager::Configs;

class ManagerApplyTest : public ManagerFixture {
 protected:
  void CreateThree() {
    ASSERT_TRUE(Create(Gre("gre0", "192.0.2.2")).ok());
    ASSERT_TRUE(Create(Gre("gre1", "192.0.2.3")).ok());
    ASSERT_TRUE(Create(Gre("gre2", "192.0.2.4")).ok());
  }
  static void SetRemote(Configs& configs, const char* name,
                        const char* remote) {
    configs.at(name).encap.remote = Address(remote);
  }
  std::string Remote(const char* name) {
    return manager_->Get(name)->config.encap.remote.ToString();
  }
  // A packet that goes into `tunnel` leaves for `remote`.
  bool Reaches(const char* tunnel, const char* remote) {
    std::atomic<int> right{0};
    std::atomic<int> all{0};
    wire_.SetSink(
        [&](size_t, std::span<const uint8_t>, const SendRoute& route) {
          if (route.remote == Address(remote)) ++right;
          ++all;
        });
    const bool left = tun_.Inject(tunnel, 0, InnerPacket(1)) &&
                      Eventually([&] { return all == 1; });
    wire_.SetSink(nullptr);
    return left && right == 1;
  }
};

TEST_F(ManagerApplyTest, SwapsTheEndpointsOfTwoTunnels) {
  CreateThree();
  const auto swapped = Apply([](Configs& all) {
    SetRemote(all, "gre0", "192.0.2.3");
    SetRemote(all, "gre1", "192.0.2.2");
  });
  ASSERT_TRUE(swapped.ok()) << swapped.status();
  ASSERT_EQ(swapped->changes.size(), 2u);
  EXPECT_EQ(swapped->changes[0].tunnel.config.name, "gre0");
  EXPECT_EQ(swapped->changes[0].action, ChangeAction::kUpdated);
  EXPECT_TRUE(swapped->changes[0].timing.pause.has_value());
  EXPECT_EQ(Remote("gre0"), "192.0.2.3");
  EXPECT_EQ(Remote("gre1"), "192.0.2.2");
  EXPECT_EQ(manager_->Get("gre2")->generation, 1u);
  EXPECT_TRUE(Reaches("gre0", "192.0.2.3"));
  EXPECT_TRUE(Reaches("gre1", "192.0.2.2"));
  EXPECT_TRUE(Reaches("gre2", "192.0.2.4"));
  // The table holds each pair for its new tunnel alone.
  EXPECT_EQ(GetErrorDetail(Create(Gre("gre3", "192.0.2.3")).status())
                ->metadata.at("tunnel"),
            "gre0");
}

TEST_F(ManagerApplyTest, RotatesThreeAndCreatesOnAPairThatADeletedTunnelHad) {
  CreateThree();
  const auto result = Apply([](Configs& all) {
    SetRemote(all, "gre0", "192.0.2.3");
    SetRemote(all, "gre1", "192.0.2.4");
    all.erase("gre2");
    all["gre3"] = Gre("gre3", "192.0.2.2");
  });
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->changes.size(), 4u);
  EXPECT_EQ(result->changes[2].action, ChangeAction::kDeleted);
  EXPECT_EQ(result->changes[3].action, ChangeAction::kCreated);
  EXPECT_FALSE(tun_.Exists("gre2"));
  EXPECT_TRUE(Reaches("gre1", "192.0.2.4"));
  EXPECT_TRUE(Reaches("gre3", "192.0.2.2"));
}

TEST_F(ManagerApplyTest, ASecondApplyIsANoOpThatTouchesNothing) {
  CreateThree();
  const TunnelList before = manager_->List();
  const size_t requests = links_.calls().size();
  const auto again = Apply([](Configs&) {});
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->no_op);
  EXPECT_TRUE(again->changes.empty());
  EXPECT_EQ(manager_->List().revision, before.revision);
  EXPECT_EQ(again->etag, before.etag);
  EXPECT_EQ(links_.calls().size(), requests);
}

TEST_F(ManagerApplyTest, AnErrorInOneTunnelChangesNothing) {
  CreateThree();
  const TunnelList before = manager_->List();
  // Two want one pair in the end: refused, and both are named.
  const auto taken = Apply([](Configs& all) {
    SetRemote(all, "gre0", "192.0.2.9");
    SetRemote(all, "gre1", "192.0.2.4");
  });
  EXPECT_EQ(GetReason(taken.status()), Reason::kEndpointPairInUse);
  const auto twice = Apply([](Configs& all) {
    all["a"] = Gre("a", "192.0.2.8");
    all["b"] = Gre("b", "192.0.2.8");
  });
  ASSERT_EQ(GetReason(twice.status()), Reason::kEndpointPairInUse);
  EXPECT_EQ(GetErrorDetail(twice.status())->metadata.at("tunnel"), "a");
  // All bad fields of all tunnels at once.
  const auto bad = Apply([](Configs& all) {
    all.at("gre0").mtu = 1;
    all.at("gre1").txqueuelen = kMaxTxQueueLen + 1;
  });
  ASSERT_EQ(GetReason(bad.status()), Reason::kFieldInvalid);
  const ErrorDetail detail = *GetErrorDetail(bad.status());
  ASSERT_EQ(detail.violations.size(), 2u);
  EXPECT_EQ(detail.violations[0].field, "gre0.mtu");
  EXPECT_EQ(detail.violations[1].field, "gre1.txqueuelen");
  EXPECT_EQ(manager_->List().revision, before.revision);
  EXPECT_EQ(tun_.created(), 3u);
}

TEST_F(ManagerApplyTest, EachRequestToTheKernelFailsOnceAndAllGoesBack) {
  CreateThree();
  ASSERT_TRUE(Edit("gre2", [](EndpointConfig& c) { c.txqueuelen = 88; }).ok());
  const auto change = [](Configs& all) {
    SetRemote(all, "gre0", "192.0.2.3");
    SetRemote(all, "gre1", "192.0.2.2");
    all.at("gre0").mtu = 1300;
    all.at("gre1").addresses = {*encap::IpPrefix::Parse("10.9.1.1/30")};
    all.at("gre2").txqueuelen = 99;
    all["gre3"] = Gre("gre3", "192.0.2.7");
    all["gre3"].addresses = {*encap::IpPrefix::Parse("10.9.3.1/30")};
  };
  const auto links = [&] {
    std::vector<std::string> all;
    for (const TunnelView& t : manager_->List().tunnels) {
      const auto i = links_.GetInterface(t.ifindex);
      all.push_back(
          std::to_string(i->mtu) + " " + std::to_string(i->tx_queue_len) + " " +
          std::to_string(i->addresses.size()) + (i->up ? " up" : " down"));
    }
    return all;
  };
  const TunnelList before = manager_->List();
  const auto links_before = links();
  size_t failures = 0;
  for (size_t n = 1; n < 50; ++n) {
    links_.FailChange(n, MakeError(Reason::kNetlinkError, "no such luck"));
    const auto result = Apply(change);
    if (result.ok()) break;
    ++failures;
    EXPECT_EQ(GetReason(result.status()), Reason::kNetlinkError);
    EXPECT_NE(std::string(result.status().message()).find("no such luck"),
              std::string::npos);
    EXPECT_EQ(manager_->List().revision, before.revision);
    EXPECT_EQ(links(), links_before);
    EXPECT_EQ(tun_.names().size(), 3u);
    EXPECT_TRUE(Reaches("gre0", "192.0.2.2"));
  }
  EXPECT_GE(failures, 5u);  // MTU twice, address twice, queue length, up, ...
  EXPECT_EQ(Remote("gre0"), "192.0.2.3");
}

TEST_F(ManagerApplyTest, ValidateOnlyGivesThePlan) {
  CreateThree();
  const TunnelList before = manager_->List();
  ApplyOptions options;
  options.change.validate_only = true;
  const auto plan = Apply(
      [](Configs& all) {
        all.erase("gre0");
        all.at("gre1").fwmark = 7;
        all["gre9"] = Gre("gre9", "192.0.2.2");
      },
      options);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(plan->validated_only);
  ASSERT_EQ(plan->changes.size(), 3u);
  EXPECT_EQ(plan->changes[0].action, ChangeAction::kDeleted);
  ASSERT_EQ(plan->changes[1].changes.size(), 1u);
  EXPECT_EQ(plan->changes[1].changes[0].field, "fwmark");
  EXPECT_EQ(plan->changes[1].changes[0].new_value, "7");
  EXPECT_EQ(plan->changes[2].action, ChangeAction::kCreated);
  EXPECT_EQ(manager_->List().revision, before.revision);
  EXPECT_EQ(plan->etag, before.etag);
}

TEST_F(ManagerApplyTest, TheEtagOfTheWholeConfigurationIsChecked) {
  CreateThree();
  ApplyOptions options;
  options.change.if_match = manager_->List().etag;
  ASSERT_TRUE(
      Apply([](Configs& all) { all.at("gre0").fwmark = 1; }, options).ok());
  EXPECT_EQ(
      GetReason(Apply([](Configs& all) { all.at("gre0").fwmark = 2; }, options)
                    .status()),
      Reason::kEtagMismatch);
  EXPECT_EQ(manager_->Get("gre0")->config.fwmark, 1u);
}

TEST_F(ManagerApplyTest, ARepetitionGetsTheFirstOutcome) {
  ApplyOptions options;
  options.change.request_id = "7d444840-9dc0-11d1-b245-5ffdce74fad2";
  options.change.request_fingerprint = "f1";
  const auto add = [](Configs& all) { all["gre0"] = Gre("gre0"); };
  const auto first = Apply(add, options);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_FALSE(first->replayed);
  ASSERT_TRUE(manager_->DeleteTunnel(call_, "gre0", {}).ok());
  const auto again = Apply(add, options);
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->replayed);
  ASSERT_EQ(again->changes.size(), 1u);
  EXPECT_TRUE(again->changes[0].replayed);
  EXPECT_EQ(again->changes[0].tunnel.ifindex, first->changes[0].tunnel.ifindex);
  EXPECT_TRUE(manager_->List().tunnels.empty());  // nothing was done
  options.change.request_fingerprint = "f2";
  EXPECT_EQ(GetReason(Apply(add, options).status()), Reason::kFieldInvalid);
}

TEST_F(ManagerApplyTest, OneOfManyCallsWithOneIdTakesEffect) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  ChangeOptions options;
  options.request_id = "7d444840-9dc0-11d1-b245-5ffdce74fad2";
  std::vector<std::thread> callers;
  std::atomic<int> replayed{0};
  std::atomic<int> failed{0};
  for (int i = 0; i < 16; ++i) {
    callers.emplace_back([&] {
      const auto result = manager_->UpdateTunnel(
          call_, "gre0",
          [](const EndpointConfig& current) -> absl::StatusOr<EndpointConfig> {
            EndpointConfig next = current;
            next.fwmark = current.fwmark + 1;
            return next;
          },
          options);
      if (!result.ok()) ++failed;
      if (result.ok() && result->replayed) ++replayed;
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(failed.load(), 0);
  EXPECT_EQ(replayed.load(), 15);
  EXPECT_EQ(manager_->Get("gre0")->config.fwmark, 1u);
  EXPECT_EQ(manager_->Get("gre0")->generation, 2u);
}

TEST_F(ManagerApplyTest, ATunnelWhoseDeviceHasGoneGetsANewOne) {
  CreateThree();
  const uint32_t gone = manager_->Get("gre1")->ifindex;
  tun_.Vanish("gre1");
  links_.RemoveInterface(gone);
  ASSERT_TRUE(Eventually(
      [&] { return manager_->Get("gre1")->oper_state == OperState::kFailed; }));
  const auto mended = Apply([](Configs&) {});
  ASSERT_TRUE(mended.ok()) << mended.status();
  EXPECT_EQ(manager_->Get("gre1")->oper_state, OperState::kUp);
  EXPECT_NE(manager_->Get("gre1")->ifindex, gone);
  EXPECT_TRUE(Reaches("gre1", "192.0.2.3"));
  EXPECT_EQ(manager_->Get("gre0")->generation, 1u);
}

}  // namespace
}  // namespace tunnel
