// What a store held comes back with the next manager.

#include <gtest/gtest.h>

#include <string>

#include "tunnel/base/error.h"
#include "tunnel/manager_fixture.h"
#include "tunnel/memory_store.h"

namespace tunnel {
namespace {

using Configs = TunnelManager::Configs;

struct WithStore {
  MemoryStore store;
};

class ManagerRestoreTest : private WithStore, public ManagerFixture {
 protected:
  ManagerRestoreTest() : ManagerFixture(&store) {}
  ~ManagerRestoreTest() override { manager_.reset(); }  // before its platform

  // The manager ends, and the next one starts from the store.
  TunnelManager::RestoreReport Restart() {
    manager_.reset();
    next_wire_ = std::make_unique<MemoryTransportFactory>();
    next_ = std::make_unique<Platform>(Platform{tun_, *next_wire_, links_});
    manager_ = Start(*next_, &store);
    auto report = manager_->Restore(store.Load());
    EXPECT_TRUE(report.ok()) << report.status();
    return *report;
  }
  MemoryStore& memory() { return store; }

 private:
  std::unique_ptr<MemoryTransportFactory> next_wire_;
  std::unique_ptr<Platform> next_;
};

TEST_F(ManagerRestoreTest, DevicesAreTakenOver) {
  EndpointConfig config = Gre("gre0", "192.0.2.2", 7);
  config.addresses = {*encap::IpPrefix::Parse("10.9.0.1/30")};
  ASSERT_TRUE(Create(config).ok());
  ASSERT_TRUE(Create(Gre("gre1", "192.0.2.3")).ok());
  ASSERT_TRUE(manager_->Pause(call_, "gre1", {}).ok());
  ASSERT_TRUE(Edit("gre0", [](EndpointConfig& c) { c.fwmark = 3; }).ok());
  const TunnelList before = manager_->List();
  const auto report = Restart();
  EXPECT_EQ(report.adopted.size(), 2u);
  EXPECT_TRUE(report.remade.empty());
  const TunnelList after = manager_->List();
  EXPECT_EQ(after.etag, before.etag);
  ASSERT_EQ(after.tunnels.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(after.tunnels[i].config, before.tunnels[i].config);
    EXPECT_EQ(after.tunnels[i].ifindex, before.tunnels[i].ifindex);
    EXPECT_EQ(after.tunnels[i].generation, before.tunnels[i].generation);
    EXPECT_EQ(after.tunnels[i].create_time, before.tunnels[i].create_time);
    EXPECT_EQ(after.tunnels[i].oper_state, before.tunnels[i].oper_state);
  }
  EXPECT_EQ(tun_.created(), 2u);
  EXPECT_EQ(GetReason(Create(Gre("gre2", "192.0.2.3")).status()),
            Reason::kEndpointPairInUse);
  ASSERT_TRUE(manager_->DeleteTunnel(call_, "gre0", {}).ok());
  EXPECT_FALSE(tun_.Exists("gre0"));
  EXPECT_TRUE(memory().Load().removed.empty());
}

TEST_F(ManagerRestoreTest, ALinkThatDiffersIsAlignedAndForeignAddressesStay) {
  EndpointConfig config = Gre("gre0");
  config.addresses = {*encap::IpPrefix::Parse("10.9.0.1/30")};
  const uint32_t ifindex = Create(config)->tunnel.ifindex;
  manager_.reset();
  // As if the process had ended amid a change, and somebody had helped.
  ASSERT_TRUE(links_.SetMtu(ifindex, 900).ok());
  ASSERT_TRUE(
      links_.AddAddress(ifindex, *encap::IpPrefix::Parse("10.9.9.1/30")).ok());
  links_.AddForeignAddress(ifindex, *encap::IpPrefix::Parse("10.8.8.1/24"));
  EXPECT_EQ(Restart().adopted.size(), 1u);
  const auto link = links_.GetInterface(ifindex);
  EXPECT_EQ(link->mtu, 1476u);
  EXPECT_TRUE(link->up);
  ASSERT_EQ(link->addresses.size(), 2u);
  EXPECT_EQ(link->addresses.count(*encap::IpPrefix::Parse("10.9.9.1/30")), 0u);
  EXPECT_EQ(link->addresses.count(*encap::IpPrefix::Parse("10.8.8.1/24")), 1u);
}

TEST_F(ManagerRestoreTest, ADeviceThatHasGoneIsMadeAgain) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  const uint32_t gone = manager_->Get("gre0")->ifindex;
  manager_.reset();
  tun_.Vanish("gre0");
  links_.RemoveInterface(gone);
  EXPECT_EQ(Restart().remade.size(), 1u);
  EXPECT_EQ(manager_->Get("gre0")->oper_state, OperState::kUp);
  EXPECT_NE(manager_->Get("gre0")->ifindex, gone);
  EXPECT_EQ(memory().Load().tunnels[0].ifindex, manager_->Get("gre0")->ifindex);
  EXPECT_TRUE(tun_.IsPersistent("gre0"));
}

TEST_F(ManagerRestoreTest, ATunnelThatCanNotComeBackIsNamedAndItsPairKept) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  ASSERT_TRUE(Create(Gre("gre1", "192.0.2.3")).ok());
  manager_.reset();
  tun_.FailAdopt(1, MakeError(Reason::kNameInUse, "is not ours"));
  const auto report = Restart();
  ASSERT_EQ(report.failed.size(), 1u);
  EXPECT_EQ(report.failed[0].first, "gre0");
  const TunnelView view = *manager_->Get("gre0");
  EXPECT_EQ(view.oper_state, OperState::kFailed);
  EXPECT_NE(view.oper_reason.find("is not ours"), std::string::npos);
  EXPECT_TRUE(tun_.Exists("gre0"));  // untouched
  EXPECT_EQ(manager_->Get("gre1")->oper_state, OperState::kUp);
  EXPECT_EQ(GetErrorDetail(Create(Gre("gre2")).status())->metadata.at("tunnel"),
            "gre0");
  EXPECT_EQ(GetReason(manager_->Pause(call_, "gre0", {}).status()),
            Reason::kInvalidState);
  ASSERT_TRUE(manager_->DeleteTunnel(call_, "gre0", {}).ok());
  EXPECT_TRUE(tun_.Exists("gre0"));  // it is somebody else's
}

TEST_F(ManagerRestoreTest, AnUnderlayDeviceThatIsNotThereYetIsWaitedFor) {
  links_.AddInterface(7, "eth1");
  EndpointConfig config = Gre("gre0");
  config.underlay_device = "eth1";
  ASSERT_TRUE(Create(config).ok());
  const uint32_t ifindex = manager_->Get("gre0")->ifindex;
  manager_.reset();
  links_.RemoveInterface(7);
  EXPECT_EQ(Restart().adopted.size(), 1u);
  EXPECT_EQ(manager_->Get("gre0")->oper_state, OperState::kDown);
  EXPECT_EQ(manager_->Get("gre0")->oper_reason, "interface eth1 is not there");
  links_.AddInterface(9, "eth1");
  EXPECT_TRUE(Eventually(
      [&] { return manager_->Get("gre0")->oper_state == OperState::kUp; }));
  EXPECT_EQ(manager_->Get("gre0")->ifindex, ifindex);
  config.name = "gre1";
  EXPECT_EQ(GetReason(Create(config).status()), Reason::kEndpointPairInUse);
}

TEST_F(ManagerRestoreTest, AStoreThatRefusesLeavesAllAsItWas) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  const TunnelList before = manager_->List();
  memory().on_commit = [](const StoreCommit&) {
    return MakeError(Reason::kStoreFailed, "the disk is full");
  };
  EXPECT_EQ(GetReason(Create(Gre("gre1", "192.0.2.3")).status()),
            Reason::kStoreFailed);
  EXPECT_EQ(GetReason(Edit("gre0",
                           [](EndpointConfig& c) {
                             c.encap.remote = Address("192.0.2.4");
                             c.mtu = 1300;
                           })
                          .status()),
            Reason::kStoreFailed);
  EXPECT_EQ(GetReason(manager_->DeleteTunnel(call_, "gre0", {}).status()),
            Reason::kStoreFailed);
  EXPECT_EQ(GetReason(manager_->Pause(call_, "gre0", {}).status()),
            Reason::kStoreFailed);
  EXPECT_EQ(manager_->List().revision, before.revision);
  EXPECT_EQ(links_.GetInterface(before.tunnels[0].ifindex)->mtu, 1476u);
  EXPECT_EQ(tun_.names().size(), 1u);
  memory().on_commit = nullptr;
  EXPECT_TRUE(Create(Gre("gre1", "192.0.2.4")).ok());
}

TEST_F(ManagerRestoreTest, ARepetitionAfterARestartGetsTheFirstOutcome) {
  ChangeOptions options;
  options.request_id = "7d444840-9dc0-11d1-b245-5ffdce74fad2";
  const auto first = manager_->CreateTunnel(call_, Gre("gre0"), options);
  ASSERT_TRUE(first.ok());
  Restart();
  const auto again = manager_->CreateTunnel(call_, Gre("gre0"), options);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->replayed);
  EXPECT_EQ(again->action, ChangeAction::kCreated);
  EXPECT_EQ(again->tunnel.ifindex, first->tunnel.ifindex);
  EXPECT_EQ(again->tunnel.generation, 1u);
  EXPECT_EQ(again->tunnel.oper_state, OperState::kUp);
}

TEST_F(ManagerRestoreTest, WhatWasNotConfirmedGoesBackAtTheStart) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  const TunnelList before = manager_->List();
  ApplyOptions options;
  options.confirm_within = seconds(3600);
  ASSERT_TRUE(Apply(
                  [](Configs& all) {
                    all.at("gre0").encap.remote = Address("192.0.2.9");
                    all["gre1"] = Gre("gre1");
                  },
                  options)
                  .ok());
  EXPECT_TRUE(Restart().reverted);
  EXPECT_EQ(manager_->List().etag, before.etag);
  EXPECT_FALSE(manager_->Pending().has_value());
  EXPECT_FALSE(memory().Load().pending.has_value());
  EXPECT_FALSE(tun_.Exists("gre1"));
}

TEST_F(ManagerRestoreTest, ADeviceOfADeletedTunnelIsSwept) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  const uint32_t ifindex = manager_->Get("gre0")->ifindex;
  manager_.reset();
  // Killed behind the commit of a delete.
  StoreCommit commit;
  commit.removed = {{"gre0", ifindex, false}, {"other", 0, false}};
  ASSERT_TRUE(memory().Commit(commit).ok());
  ASSERT_TRUE(tun_.Exists("gre0"));
  Restart();
  EXPECT_FALSE(tun_.Exists("gre0"));
  EXPECT_TRUE(manager_->List().tunnels.empty());
}

}  // namespace
}  // namespace tunnel
