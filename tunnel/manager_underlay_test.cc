// What addresses and interfaces of the host do to tunnels whose local address
// is that of an interface.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tunnel/base/error.h"
#include "tunnel/manager_fixture.h"
#include "tunnel/underlay_changes.h"

namespace tunnel {
namespace {

class ManagerUnderlayTest : public ManagerFixture {
 protected:
  static EndpointConfig OfDevice(const std::string& name,
                                 const char* device = "eth0") {
    EndpointConfig config = Gre(name);
    config.encap.local = {};
    config.local_device = device;
    return config;
  }
  std::string Local(const std::string& name) {
    return manager_->Get(name)->effective_local.ToString();
  }
  bool IsUp(const std::string& name) {
    return manager_->Get(name)->oper_state == OperState::kUp;
  }
  bool BecomesDown(const std::string& name, const std::string& reason) {
    return Eventually([&] {
      const TunnelView view = *manager_->Get(name);
      return view.oper_state == OperState::kDown &&
             view.oper_reason.find(reason) != std::string::npos;
    });
  }
  bool ComesUpWith(const std::string& name, const std::string& local) {
    return Eventually([&] { return IsUp(name) && Local(name) == local; });
  }
  // The outer source of a packet that the tunnel sends.
  std::string SourceOfPacket(const std::string& name) {
    Mutex mu;
    std::string source;
    wire_.SetSink(
        [&](size_t, std::span<const uint8_t> packet, const SendRoute&) {
          const MutexLock lock(mu);
          source = encap::IpAddress::V4(packet.data() + 12).ToString();
        });
    EXPECT_TRUE(tun_.Inject(name, 0, InnerPacket(1)));
    EXPECT_TRUE(Eventually([&] {
      const MutexLock lock(mu);
      return !source.empty();
    }));
    // A sink that has been replaced may still run: no worker is in a batch once
    // a pause has returned.
    wire_.SetSink(nullptr);
    EXPECT_TRUE(manager_->Pause(call_, name, {}).ok());
    EXPECT_TRUE(manager_->Resume(call_, name, {}).ok());
    const MutexLock lock(mu);
    return source;
  }
};

TEST_F(ManagerUnderlayTest, TheTunnelFollowsTheAddressOfItsInterface) {
  ASSERT_TRUE(Create(OfDevice("gre0")).ok());
  const TunnelView before = *manager_->Get("gre0");
  EXPECT_EQ(before.oper_state, OperState::kUp) << before.oper_reason;
  EXPECT_EQ(Local("gre0"), "192.0.2.1");
  EXPECT_EQ(SourceOfPacket("gre0"), "192.0.2.1");

  links_.RemoveLocalAddress(Address("192.0.2.1"));
  EXPECT_TRUE(BecomesDown("gre0", "eth0 has no IPv4 address"));
  EXPECT_EQ(Local("gre0"), "");
  // The pair is free meanwhile.
  ASSERT_TRUE(Create(Gre("gre1")).ok());
  ASSERT_TRUE(manager_->DeleteTunnel(call_, "gre1", {}).ok());

  links_.AddLocalAddress(Address("fd00::1"));
  links_.AddLocalAddress(Address("192.0.2.77"));
  EXPECT_TRUE(ComesUpWith("gre0", "192.0.2.77"));
  EXPECT_EQ(SourceOfPacket("gre0"), "192.0.2.77");
  // The spec has not changed.
  EXPECT_EQ(manager_->Get("gre0")->config, before.config);
  EXPECT_EQ(manager_->Get("gre0")->etag, before.etag);
  // A second address changes nothing; when the first one goes, it takes over.
  links_.AddLocalAddress(Address("192.0.2.78"));
  links_.AddLocalAddress(Address("192.0.2.79"));
  links_.RemoveLocalAddress(Address("192.0.2.79"));
  EXPECT_EQ(SourceOfPacket("gre0"), "192.0.2.77");
  links_.RemoveLocalAddress(Address("192.0.2.77"));
  EXPECT_TRUE(ComesUpWith("gre0", "192.0.2.78"));
}

TEST_F(ManagerUnderlayTest, TheInterfaceMayComeLater) {
  ASSERT_TRUE(Create(OfDevice("gre0", "eth9")).ok());
  EXPECT_EQ(manager_->Get("gre0")->oper_reason, "eth9 has no IPv4 address");
  ASSERT_TRUE(tun_.Inject("gre0", 0, InnerPacket(1)));
  const size_t no_route = static_cast<size_t>(encap::DropReason::kNoRoute);
  EXPECT_TRUE(Eventually([&] {
    return manager_->Stats({})->tunnels[0].counters.transmit_drops[no_route] ==
           1;
  }));
  links_.AddInterface(9, "eth9");
  links_.AddLocalAddress(Address("192.0.2.9"), 9);
  EXPECT_TRUE(ComesUpWith("gre0", "192.0.2.9"));
  links_.RemoveInterface(9);
  EXPECT_TRUE(BecomesDown("gre0", "eth9 has no IPv4 address"));
  links_.AddInterface(10, "eth9");
  links_.AddLocalAddress(Address("192.0.2.10"), 10);
  EXPECT_TRUE(ComesUpWith("gre0", "192.0.2.10"));
}

TEST_F(ManagerUnderlayTest, AHeldPairIsWaitedFor) {
  ASSERT_TRUE(Create(OfDevice("gre0")).ok());
  EndpointConfig other = Gre("gre1");
  other.encap.local = Address("192.0.2.88");
  links_.AddLocalAddress(Address("192.0.2.88"));
  ASSERT_TRUE(Create(other).ok());
  links_.RemoveLocalAddress(Address("192.0.2.1"));
  EXPECT_TRUE(BecomesDown("gre0", "tunnel \"gre1\""));
  EXPECT_TRUE(IsUp("gre1"));
  // It goes on by itself when the other one moves, and gives way again.
  ASSERT_TRUE(Edit("gre1", [](EndpointConfig& c) {
                c.encap.remote = Address("192.0.2.3");
              }).ok());
  EXPECT_TRUE(ComesUpWith("gre0", "192.0.2.88"));
  EXPECT_EQ(SourceOfPacket("gre0"), "192.0.2.88");
  EXPECT_EQ(GetReason(Edit("gre1",
                           [](EndpointConfig& c) {
                             c.encap.remote = Address("192.0.2.2");
                           })
                          .status()),
            Reason::kEndpointPairInUse);
  // A new tunnel of the interface would have the same pair.
  EXPECT_EQ(GetReason(Create(OfDevice("gre2")).status()),
            Reason::kEndpointPairInUse);
}

TEST_F(ManagerUnderlayTest, ADeletedHolderLetsTheWaitingTunnelGoOn) {
  ASSERT_TRUE(Create(Gre("gre1")).ok());
  links_.RemoveLocalAddress(Address("192.0.2.1"));
  ASSERT_TRUE(Create(OfDevice("gre0")).ok());
  EXPECT_TRUE(BecomesDown("gre0", "eth0 has no IPv4 address"));
  links_.AddLocalAddress(Address("192.0.2.1"));
  EXPECT_TRUE(BecomesDown("gre0", "tunnel \"gre1\""));
  ASSERT_TRUE(manager_->DeleteTunnel(call_, "gre1", {}).ok());
  EXPECT_TRUE(ComesUpWith("gre0", "192.0.2.1"));
}

TEST_F(ManagerUnderlayTest, AnUnderlayDeviceThatComesBackIsTakenAgain) {
  links_.AddInterface(5, "eth5");
  EndpointConfig config = Gre("gre0");
  config.underlay_device = "eth5";
  links_.SetRoute(Address("192.0.2.2"), RouteInfo{5, "eth5", 1500});
  ASSERT_TRUE(Create(config).ok());
  links_.RemoveInterface(5);
  links_.AddInterface(6, "eth5");
  links_.SetRoute(Address("192.0.2.2"), RouteInfo{6, "eth5", 1500});
  std::vector<uint8_t> reply = {0x45, 0, 0, 52, 0,   0, 0, 0, 64, 47, 0, 0,
                                192,  0, 2, 2,  192, 0, 2, 1, 0,  0,  8, 0};
  const std::vector<uint8_t> inner = InnerPacket(3);
  reply.insert(reply.end(), inner.begin(), inner.end());
  uint32_t sum = 0;
  for (int i = 0; i < 20; i += 2) sum += (reply[i] << 8) | reply[i + 1];
  sum = (sum & 0xffff) + (sum >> 16);
  reply[10] = static_cast<uint8_t>(~sum >> 8);
  reply[11] = static_cast<uint8_t>(~sum);
  EXPECT_TRUE(Eventually([&] {
    return wire_.Inject(0, reply, 6) &&
           tun_.Take("gre0", milliseconds(20)).has_value();
  }));
}

TEST_F(ManagerUnderlayTest, RestoredTunnelsOfAnInterfaceGiveWay) {
  manager_.reset();
  StoredState state;
  for (const EndpointConfig& config : {OfDevice("gre0"), Gre("gre1")}) {
    StoredTunnel stored;
    stored.config = config;
    stored.generation = 1;
    state.tunnels.push_back(stored);
  }
  MemoryTransportFactory wire;
  Platform platform{tun_, wire, links_};
  manager_ = Start(platform, nullptr);
  const auto report = manager_->Restore(state);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->failed.empty());
  EXPECT_TRUE(IsUp("gre1"));
  EXPECT_TRUE(BecomesDown("gre0", "tunnel \"gre1\""));
  ASSERT_TRUE(manager_->DeleteTunnel(call_, "gre1", {}).ok());
  EXPECT_TRUE(ComesUpWith("gre0", "192.0.2.1"));
  manager_.reset();
}

TEST_F(ManagerUnderlayTest, OneTunnelIsNoBusinessOfAnother) {
  TunnelRecord tunnel;
  tunnel.wiring.config = Gre("gre0");
  tunnel.wiring.local = Address("192.0.2.1");
  tunnel.wiring.underlay.route_ifindex = 1;
  const std::vector<uint32_t> own = {101, 100};
  const auto concerns = [&](const LinkEvent& event) {
    UnderlayChanges changes;
    EXPECT_TRUE(changes.empty());
    changes.Add(event);
    EXPECT_FALSE(changes.empty());
    changes.SetOwn(own);
    return changes.Concerns(tunnel);
  };
  using Kind = LinkEvent::Kind;
  const auto prefix = [](const char* text) {
    return *encap::IpPrefix::Parse(text);
  };
  EXPECT_FALSE(concerns({.kind = Kind::kLink, .ifindex = 101}));
  EXPECT_TRUE(concerns({.kind = Kind::kLink, .ifindex = 1}));
  EXPECT_TRUE(concerns({.kind = Kind::kLink, .ifindex = 7}));
  EXPECT_FALSE(concerns({.kind = Kind::kLink, .ifindex = 7, .removed = true}));
  EXPECT_TRUE(concerns({.kind = Kind::kLink, .ifindex = 1, .removed = true}));
  EXPECT_FALSE(concerns({.kind = Kind::kAddress,
                         .ifindex = 101,
                         .address = Address("10.0.0.1")}));
  EXPECT_TRUE(concerns({.kind = Kind::kAddress,
                        .ifindex = 101,
                        .removed = true,
                        .address = Address("192.0.2.1")}));
  EXPECT_FALSE(
      concerns({.kind = Kind::kRoute, .destination = prefix("10.0.0.0/8")}));
  EXPECT_FALSE(concerns({.kind = Kind::kRoute, .destination = prefix("::/0")}));
  EXPECT_FALSE(
      concerns({.kind = Kind::kRoute, .destination = prefix("192.0.2.4/30")}));
  EXPECT_TRUE(
      concerns({.kind = Kind::kRoute, .destination = prefix("192.0.2.0/30")}));
  EXPECT_TRUE(
      concerns({.kind = Kind::kRoute, .destination = prefix("0.0.0.0/0")}));
  EXPECT_TRUE(concerns({.kind = Kind::kRoute}));
  EXPECT_TRUE(concerns({.kind = Kind::kResync}));
  UnderlayChanges by_name;
  by_name.AddTunnel("gre1");
  EXPECT_FALSE(by_name.Concerns(tunnel));
  by_name.AddTunnel("gre0");
  EXPECT_TRUE(by_name.Concerns(tunnel));
}

}  // namespace
}  // namespace tunnel
