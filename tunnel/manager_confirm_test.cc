// A configuration that awaits confirmation.

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

class ManagerConfirmTest : private WithStore, public ManagerFixture {
 protected:
  ManagerConfirmTest() : ManagerFixture(&store) {
    EXPECT_TRUE(Create(Gre("gre0", "192.0.2.2")).ok());
    EXPECT_TRUE(Create(Gre("gre1", "192.0.2.3")).ok());
    EXPECT_TRUE(manager_->Pause(call_, "gre1", {}).ok());
    before_ = manager_->List();
  }
  // One tunnel changed, one deleted, one created.
  absl::StatusOr<ApplyResult> ApplyFor(milliseconds time) {
    ApplyOptions options;
    options.confirm_within = time;
    return Apply(
        [](Configs& all) {
          all.at("gre0").encap.remote = Address("192.0.2.3");
          all.erase("gre1");
          all["gre2"] = Gre("gre2", "192.0.2.2");
        },
        options);
  }
  void ExpectBefore() {
    const TunnelList list = manager_->List();
    ASSERT_EQ(list.tunnels.size(), 2u);
    EXPECT_EQ(list.etag, before_.etag);
    EXPECT_EQ(list.tunnels[0].config, before_.tunnels[0].config);
    EXPECT_EQ(list.tunnels[0].ifindex, before_.tunnels[0].ifindex);
    EXPECT_EQ(list.tunnels[1].config, before_.tunnels[1].config);
    EXPECT_EQ(list.tunnels[1].create_time, before_.tunnels[1].create_time);
    EXPECT_TRUE(list.tunnels[1].paused);
    EXPECT_FALSE(tun_.Exists("gre2"));
    EXPECT_FALSE(store.Load().pending.has_value());
    EXPECT_EQ(store.Load().tunnels.size(), 2u);
  }
  MemoryStore& memory() { return store; }
  TunnelList before_;
};

TEST_F(ManagerConfirmTest, GoesBackByItself) {
  const auto applied = ApplyFor(milliseconds(1500));
  ASSERT_TRUE(applied.ok()) << applied.status();
  ASSERT_TRUE(applied->pending.has_value());
  EXPECT_EQ(applied->pending->tunnels.size(), 3u);
  EXPECT_NE(manager_->List().etag, before_.etag);
  EXPECT_TRUE(memory().Load().pending.has_value());
  ASSERT_TRUE(Eventually([&] { return !manager_->Pending().has_value(); }));
  ExpectBefore();
}

TEST_F(ManagerConfirmTest, IsKeptWhenConfirmed) {
  const auto applied = ApplyFor(milliseconds(60000));
  ASSERT_TRUE(applied.ok());
  const std::string etag = manager_->List().etag;
  EXPECT_EQ(GetReason(manager_->ConfirmApply(call_, "another").status()),
            Reason::kInvalidState);
  const auto confirmed = manager_->ConfirmApply(call_, applied->pending->id);
  ASSERT_TRUE(confirmed.ok()) << confirmed.status();
  EXPECT_EQ(confirmed->etag, etag);
  EXPECT_FALSE(manager_->Pending().has_value());
  EXPECT_FALSE(memory().Load().pending.has_value());
  EXPECT_EQ(manager_->List().etag, etag);
  EXPECT_EQ(GetReason(manager_->RevertApply(call_, "", {}).status()),
            Reason::kInvalidState);
}

TEST_F(ManagerConfirmTest, GoesBackWhenAsked) {
  ASSERT_TRUE(ApplyFor(milliseconds(60000)).ok());
  const auto reverted = manager_->RevertApply(call_, "", {});
  ASSERT_TRUE(reverted.ok()) << reverted.status();
  EXPECT_EQ(reverted->changes.size(), 3u);
  EXPECT_FALSE(reverted->pending.has_value());
  ExpectBefore();
}

TEST_F(ManagerConfirmTest, OtherChangesWaitUntilItIsDecided) {
  ASSERT_TRUE(ApplyFor(milliseconds(60000)).ok());
  const absl::Status refused = Create(Gre("gre7", "192.0.2.7")).status();
  ASSERT_EQ(GetReason(refused), Reason::kApplyPending);
  EXPECT_EQ(GetErrorDetail(refused)->metadata.at("tunnels"), "gre0,gre1,gre2");
  EXPECT_EQ(GetReason(manager_->Resume(call_, "gre0", {}).status()),
            Reason::kApplyPending);
  EXPECT_EQ(GetReason(Apply([](Configs&) {}).status()), Reason::kApplyPending);
  ASSERT_TRUE(manager_->ConfirmApply(call_, "").ok());
  EXPECT_TRUE(Create(Gre("gre7", "192.0.2.7")).ok());
}

TEST_F(ManagerConfirmTest, AWayBackThatFailsIsTriedAgain) {
  ASSERT_TRUE(ApplyFor(milliseconds(200)).ok());
  tun_.FailOpen(1, MakeError(Reason::kTunUnavailable, "not now"));
  ASSERT_TRUE(Eventually([&] { return !manager_->Pending().has_value(); }));
  ExpectBefore();
}

TEST_F(ManagerConfirmTest, AnApplyThatChangesNothingAwaitsNothing) {
  ApplyOptions options;
  options.confirm_within = milliseconds(1000);
  const auto same = Apply([](Configs&) {}, options);
  ASSERT_TRUE(same.ok());
  EXPECT_TRUE(same->no_op);
  EXPECT_FALSE(manager_->Pending().has_value());
}

}  // namespace
}  // namespace tunnel
