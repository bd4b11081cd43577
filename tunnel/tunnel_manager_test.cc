#include "tunnel/tunnel_manager.h"

#include <gtest/gtest.h>

#include <string>

#include "tunnel/base/error.h"
#include "tunnel/manager_fixture.h"

namespace tunnel {
namespace {

using TunnelManagerTest = ManagerFixture;

TEST_F(TunnelManagerTest, CreatesConfiguresAndDeletes) {
  EndpointConfig config = Gre("gre0");
  config.addresses = {*encap::IpPrefix::Parse("10.9.0.1/30")};
  config.txqueuelen = 77;
  const auto created = Create(config);
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->tunnel.oper_state, OperState::kUp);
  EXPECT_EQ(created->tunnel.generation, 1u);
  EXPECT_EQ(created->tunnel.effective_mtu, 1476u);
  const auto interface = links_.GetInterface(created->tunnel.ifindex);
  ASSERT_TRUE(interface.has_value());
  EXPECT_TRUE(interface->up);
  EXPECT_EQ(interface->mtu, 1476u);
  EXPECT_EQ(interface->tx_queue_len, 77u);
  EXPECT_EQ(interface->addresses.size(), 1u);
  ASSERT_TRUE(manager_->DeleteTunnel(call_, "gre0", {}).ok());
  EXPECT_FALSE(tun_.Exists("gre0"));
  EXPECT_EQ(GetReason(manager_->Get("gre0").status()), Reason::kTunnelNotFound);
}

TEST_F(TunnelManagerTest, RefusesATakenNameAndATakenPairAndNamesTheHolder) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  EXPECT_EQ(GetReason(Create(Gre("gre0", "192.0.2.9")).status()),
            Reason::kNameInUse);
  const absl::Status refused = Create(Gre("gre1")).status();
  ASSERT_EQ(GetReason(refused), Reason::kEndpointPairInUse);
  const ErrorDetail detail = *GetErrorDetail(refused);
  EXPECT_EQ(detail.metadata.at("tunnel"), "gre0");
  EXPECT_EQ(detail.metadata.at("local"), "192.0.2.1");
  EXPECT_EQ(detail.metadata.at("remote"), "192.0.2.2");
  EXPECT_EQ(detail.metadata.at("key"), "none");
  EXPECT_EQ(tun_.created(), 1u);
}

TEST_F(TunnelManagerTest, MovingOntoATakenPairChangesNothing) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  ASSERT_TRUE(Create(Gre("gre1", "192.0.2.3")).ok());
  const auto to_taken = [](EndpointConfig& c) {
    c.encap.remote = Address("192.0.2.3");
  };
  EXPECT_EQ(GetReason(Edit("gre0", to_taken).status()),
            Reason::kEndpointPairInUse);
  EXPECT_EQ(manager_->Get("gre0")->config.encap.remote, Address("192.0.2.2"));
  EXPECT_EQ(manager_->Get("gre0")->generation, 1u);
  ASSERT_TRUE(manager_->DeleteTunnel(call_, "gre1", {}).ok());
  EXPECT_TRUE(Edit("gre0", to_taken).ok());
}

TEST_F(TunnelManagerTest, TheSameConfigurationIsANoOp) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  const size_t calls = links_.calls().size();
  const auto result = Edit("gre0", [](EndpointConfig&) {});
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result->no_op);
  EXPECT_EQ(result->tunnel.generation, 1u);
  EXPECT_EQ(links_.calls().size(), calls);
}

TEST_F(TunnelManagerTest, AChangeOfTtlIsOnePublicationAndAKeyTakesAllSteps) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  const auto ttl = Edit("gre0", [](EndpointConfig& c) { c.encap.ttl = 9; });
  ASSERT_TRUE(ttl.ok());
  EXPECT_FALSE(ttl->timing.pause.has_value());
  EXPECT_FALSE(ttl->timing.disestablish.has_value());
  const auto key =
      Edit("gre0", [](EndpointConfig& c) { c.encap.input_key = 4; });
  ASSERT_TRUE(key.ok());
  const ChangeTiming& t = key->timing;
  EXPECT_TRUE(t.pause && t.disestablish && t.detach && t.attach &&
              t.establish && t.resume);
}

TEST_F(TunnelManagerTest, ValidateOnlyChecksAndChangesNothing) {
  ChangeOptions dry;
  dry.validate_only = true;
  const auto created = manager_->CreateTunnel(call_, Gre("gre0"), dry);
  ASSERT_TRUE(created.ok());
  EXPECT_TRUE(created->validated_only);
  EXPECT_EQ(tun_.created(), 0u);
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  EXPECT_EQ(GetReason(manager_->CreateTunnel(call_, Gre("gre1"), dry).status()),
            Reason::kEndpointPairInUse);
  EXPECT_TRUE(manager_->DeleteTunnel(call_, "gre0", dry).ok());
  EXPECT_TRUE(manager_->Get("gre0").ok());
}

TEST_F(TunnelManagerTest, AnOldEtagIsRefused) {
  const auto created = Create(Gre("gre0"));
  ASSERT_TRUE(Edit("gre0", [](EndpointConfig& c) { c.encap.ttl = 9; }).ok());
  ChangeOptions options;
  options.if_match = created->tunnel.etag;
  EXPECT_EQ(GetReason(manager_->DeleteTunnel(call_, "gre0", options).status()),
            Reason::kEtagMismatch);
  options.if_match = manager_->Get("gre0")->etag;
  EXPECT_TRUE(manager_->DeleteTunnel(call_, "gre0", options).ok());
}

// Each request to the kernel of a creation and of a change fails once, in turn:
// the cause is reported as it is and nothing of the change remains.
TEST_F(TunnelManagerTest, AFailureAtAnyStepLeavesNothingBehind) {
  const absl::Status cause = MakeError(Reason::kNetlinkError, "injected");
  EndpointConfig config = Gre("gre0");
  config.addresses = {*encap::IpPrefix::Parse("10.9.0.1/30")};
  config.txqueuelen = 77;
  for (size_t n = 1;; ++n) {
    links_.FailChange(n, cause);
    const auto created = Create(config);
    if (created.ok()) {
      EXPECT_GT(n, 4u);  // mtu, txqueuelen, address, up
      break;
    }
    ASSERT_LT(n, 20u);
    EXPECT_EQ(created.status().message(), "injected");
    EXPECT_FALSE(tun_.Exists("gre0"));
    EXPECT_TRUE(manager_->List().tunnels.empty());
  }
  const uint32_t ifindex = manager_->Get("gre0")->ifindex;
  const auto before = *links_.GetInterface(ifindex);
  for (size_t n = 1;; ++n) {
    links_.FailChange(n, cause);
    const auto changed = Edit("gre0", [](EndpointConfig& c) {
      c.mtu = 1300;
      c.txqueuelen = 88;
      c.addresses = {*encap::IpPrefix::Parse("10.9.1.1/30")};
      c.encap.remote = Address("192.0.2.7");
    });
    if (changed.ok()) {
      // mtu, txqueuelen, address in. Address out comes past the commit line and
      // is tried again.
      EXPECT_EQ(n, 4u);
      EXPECT_EQ(links_.GetInterface(ifindex)->addresses,
                std::set{*encap::IpPrefix::Parse("10.9.1.1/30")});
      break;
    }
    ASSERT_LT(n, 20u);
    EXPECT_EQ(changed.status().message(), "injected");
    const auto now = *links_.GetInterface(ifindex);
    EXPECT_EQ(now.mtu, before.mtu);
    EXPECT_EQ(now.tx_queue_len, before.tx_queue_len);
    EXPECT_EQ(now.addresses, before.addresses);
    EXPECT_EQ(manager_->Get("gre0")->config, config);
    EXPECT_EQ(manager_->Get("gre0")->generation, 1u);
    // The pair that the failed change wanted is free again.
    const auto other = Create(Gre("gre1", "192.0.2.7"));
    ASSERT_TRUE(other.ok()) << other.status();
    ASSERT_TRUE(manager_->DeleteTunnel(call_, "gre1", {}).ok());
  }
}

}  // namespace
}  // namespace tunnel
