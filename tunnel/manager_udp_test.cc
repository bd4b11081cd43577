// Tunnels in UDP and tunnels without a remote, from the manager's side: who
// holds which port for how long, and what a receive-only tunnel says of itself.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tunnel/base/error.h"
#include "tunnel/manager_fixture.h"

namespace tunnel {
namespace {

using encap::IpFamily;

class ManagerUdpTest : public ManagerFixture {
 protected:
  static EndpointConfig InUdp(const std::string& name, uint16_t port = 0,
                              const char* remote = "192.0.2.2") {
    EndpointConfig config = Gre(name, remote);
    config.encap.transport = encap::OuterTransport::kUdp;
    config.encap.udp_port = port;
    return config;
  }
  std::vector<uint16_t> Ports() const {
    std::vector<uint16_t> ports;
    for (const UdpReceivePort& port : wire_.udp_ports()) {
      EXPECT_EQ(port.family, IpFamily::kV4);
      ports.push_back(port.port);
    }
    return ports;
  }
  using List = std::vector<uint16_t>;
};

TEST_F(ManagerUdpTest, APortIsHeldWhileATunnelUsesIt) {
  ASSERT_TRUE(Create(Gre("ip")).ok());
  EXPECT_EQ(Ports(), List{});
  ASSERT_TRUE(Create(InUdp("one")).ok());
  ASSERT_TRUE(Create(InUdp("two", 0, "192.0.2.3")).ok());
  ASSERT_TRUE(Create(InUdp("three", 4000)).ok());
  EXPECT_EQ(Ports(), (List{4000, 4754}));
  ASSERT_TRUE(manager_->DeleteTunnel(call_, "one", {}).ok());
  ASSERT_TRUE(manager_->DeleteTunnel(call_, "three", {}).ok());
  EXPECT_EQ(Ports(), List{4754});
  const auto port = [](uint16_t p) {
    return [p](EndpointConfig& c) { c.encap.udp_port = p; };
  };
  ASSERT_TRUE(Edit("two", port(4001)).ok());
  EXPECT_EQ(Ports(), List{4001});
  ASSERT_TRUE(Edit("two", [](EndpointConfig& c) { c.encap.ttl = 9; }).ok());
  EXPECT_EQ(Ports(), List{4001});
  // What the underlay asks for does not give it back.
  links_.RemoveLocalAddress(Address("192.0.2.1"));
  ASSERT_TRUE(Eventually(
      [&] { return manager_->Get("two")->oper_state == OperState::kDown; }));
  EXPECT_EQ(Ports(), List{4001});
  ASSERT_TRUE(Edit("two", [](EndpointConfig& c) {
                c.encap.transport = encap::OuterTransport::kIp;
                c.encap.udp_port = 0;
              }).ok());
  EXPECT_EQ(Ports(), List{});
}

TEST_F(ManagerUdpTest, APortThatCanNotBeHadChangesNothing) {
  ASSERT_TRUE(Create(InUdp("one")).ok());
  wire_.FailUdpPorts(MakeError(Reason::kUdpPortInUse, "udp port 4000"));
  EXPECT_EQ(GetReason(Create(InUdp("two", 4000)).status()),
            Reason::kUdpPortInUse);
  EXPECT_FALSE(manager_->Get("two").ok());
  EXPECT_EQ(
      GetReason(Edit("one", [](EndpointConfig& c) { c.encap.udp_port = 4000; })
                    .status()),
      Reason::kUdpPortInUse);
  EXPECT_EQ(manager_->Get("one")->config.encap.udp_port, 0);
  // One that is held already can be shared.
  EXPECT_TRUE(Create(InUdp("two", 0, "192.0.2.3")).ok());
  EXPECT_EQ(Ports(), List{4754});
  // All or nothing: a port that was taken for the first goes back.
  wire_.FailUdpPorts(absl::OkStatus());
  EXPECT_FALSE(Apply([](TunnelManager::Configs& configs) {
                 configs["a"] = InUdp("a", 4001, "192.0.2.4");
                 configs["b"] = InUdp("b", 4001, "192.0.2.4");
               }).ok());
  EXPECT_EQ(Ports(), List{4754});
}

TEST_F(ManagerUdpTest, IdentityHasTheTransportAndThePort) {
  ASSERT_TRUE(Create(Gre("ip")).ok());
  ASSERT_TRUE(Create(InUdp("udp")).ok());
  ASSERT_TRUE(Create(InUdp("other", 4000)).ok());
  const absl::Status status = Create(InUdp("again", 4000)).status();
  EXPECT_EQ(GetReason(status), Reason::kEndpointPairInUse);
  EXPECT_NE(status.message().find("udp port 4000 belongs to tunnel \"other\""),
            absl::string_view::npos)
      << status;
}

TEST_F(ManagerUdpTest, AnyRemoteIsReceiveOnly) {
  ASSERT_TRUE(Create(Gre("any", "0.0.0.0")).ok());
  const TunnelView view = *manager_->Get("any");
  EXPECT_EQ(view.oper_state, OperState::kUp);
  EXPECT_NE(view.oper_reason.find("receive-only"), std::string::npos);
  EXPECT_EQ(view.effective_mtu, 1500u - 24);
  ASSERT_TRUE(tun_.Inject("any", 0, InnerPacket(1)));
  const auto drops = [&] {
    return manager_->Stats({"any"})
        ->tunnels.at(0)
        .counters
        .transmit_drops[static_cast<size_t>(encap::DropReason::kNoRoute)];
  };
  EXPECT_TRUE(Eventually([&] { return drops() == 1; }));
  EXPECT_EQ(wire_.sent(), 0u);
  const absl::Status status = Create(Gre("again", "0.0.0.0")).status();
  EXPECT_EQ(GetReason(status), Reason::kEndpointPairInUse);
  EXPECT_NE(status.message().find("remote any"), absl::string_view::npos);
  // A remote makes it an ordinary tunnel, in place.
  ASSERT_TRUE(Edit("any", [](EndpointConfig& c) {
                c.encap.remote = Address("192.0.2.2");
              }).ok());
  EXPECT_EQ(manager_->Get("any")->oper_reason, "");
  ASSERT_TRUE(tun_.Inject("any", 0, InnerPacket(2)));
  EXPECT_TRUE(Eventually([&] { return wire_.sent() == 1; }));
}

}  // namespace
}  // namespace tunnel
