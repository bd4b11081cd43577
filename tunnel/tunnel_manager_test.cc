#include "tunnel/tunnel_manager.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tunnel/base/error.h"
#include "tunnel/netlink/memory_link_control.h"
#include "tunnel/tun/memory_tun.h"
#include "tunnel/underlay/memory_transport.h"

namespace tunnel {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

encap::IpAddress Address(const char* text) {
  return *encap::IpAddress::Parse(text);
}

// A minimal IPv4 packet from 10.9.0.1 to 10.9.0.2 with 8 payload bytes.
std::vector<uint8_t> InnerPacket(uint8_t tag) {
  std::vector<uint8_t> p = {0x45, 0, 0,  28, 0, 0, 0,  0, 64, 253,
                            0,    0, 10, 9,  0, 1, 10, 9, 0,  2};
  p.resize(28, tag);
  uint32_t sum = 0;
  for (int i = 0; i < 20; i += 2) sum += (p[i] << 8) | p[i + 1];
  sum = (sum & 0xffff) + (sum >> 16);
  p[10] = static_cast<uint8_t>(~sum >> 8);
  p[11] = static_cast<uint8_t>(~sum);
  return p;
}

bool Eventually(const std::function<bool()>& condition) {
  const auto until = std::chrono::steady_clock::now() + seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
}

class TunnelManagerTest : public testing::Test {
 protected:
  TunnelManagerTest() {
    links_.AddLocalAddress(Address("192.0.2.1"));
    TunnelManager::Options options;
    options.workers = 2;
    options.max_tunnels = 8;
    auto manager = TunnelManager::Create(options, platform_);
    EXPECT_TRUE(manager.ok()) << manager.status();
    manager_ = *std::move(manager);
  }

  static EndpointConfig Gre(const std::string& name,
                            const char* remote = "192.0.2.2",
                            std::optional<uint32_t> key = std::nullopt) {
    EndpointConfig config;
    config.name = name;
    config.encap.mode = encap::Mode::kGre;
    config.encap.local = Address("192.0.2.1");
    config.encap.remote = Address(remote);
    config.encap.input_key = config.encap.output_key = key;
    return config;
  }

  absl::StatusOr<ChangeResult> Create(const EndpointConfig& config) {
    return manager_->CreateTunnel(call_, config, {});
  }
  absl::StatusOr<ChangeResult> Edit(
      const std::string& name,
      const std::function<void(EndpointConfig&)>& edit) {
    return manager_->UpdateTunnel(
        call_, name,
        [&](const EndpointConfig& current) -> absl::StatusOr<EndpointConfig> {
          EndpointConfig next = current;
          edit(next);
          return next;
        },
        {});
  }

  MemoryTunFactory tun_;
  MemoryTransportFactory wire_;
  MemoryLinkControl links_;
  Platform platform_{tun_, wire_, links_};
  CallContext call_;
  std::unique_ptr<TunnelManager> manager_;
};

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
      EXPECT_GT(n, 4u);  // mtu, txqueuelen, address in, address out
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

TEST_F(TunnelManagerTest, PacketsThatWaitDuringAPauseAreSentAfterIt) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  ASSERT_TRUE(tun_.Inject("gre0", 0, InnerPacket(1)));
  ASSERT_TRUE(Eventually([&] { return wire_.sent() == 1; }));
  ASSERT_TRUE(manager_->Pause(call_, "gre0", {}).ok());
  for (uint8_t i = 0; i < 20; ++i)
    ASSERT_TRUE(tun_.Inject("gre0", i % 2, InnerPacket(i)));
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(wire_.sent(), 1u);
  EXPECT_EQ(manager_->Get("gre0")->oper_state, OperState::kPaused);
  ASSERT_TRUE(manager_->Resume(call_, "gre0", {}).ok());
  EXPECT_TRUE(Eventually([&] { return wire_.sent() == 21; }));
}

TEST_F(TunnelManagerTest, APauseWithALimitEndsByItself) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  ASSERT_TRUE(manager_->Pause(call_, "gre0", {}, milliseconds(30)).ok());
  EXPECT_TRUE(Eventually([&] { return !manager_->Get("gre0")->paused; }));
  EXPECT_EQ(manager_->Get("gre0")->oper_state, OperState::kUp);
}

TEST_F(TunnelManagerTest, ADetachedTunnelReceivesNothingAndKeepsItsPair) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  ASSERT_TRUE(tun_.Inject("gre0", 0, InnerPacket(1)));
  std::vector<uint8_t> outer;
  ASSERT_TRUE(Eventually([&] { return wire_.sent() == 1; }));
  std::vector<uint8_t> reply = {0x45, 0, 0, 52, 0,   0, 0, 0, 64, 47, 0, 0,
                                192,  0, 2, 2,  192, 0, 2, 1, 0,  0,  8, 0};
  const std::vector<uint8_t> inner = InnerPacket(3);
  reply.insert(reply.end(), inner.begin(), inner.end());
  uint32_t sum = 0;
  for (int i = 0; i < 20; i += 2) sum += (reply[i] << 8) | reply[i + 1];
  sum = (sum & 0xffff) + (sum >> 16);
  reply[10] = static_cast<uint8_t>(~sum >> 8);
  reply[11] = static_cast<uint8_t>(~sum);

  ASSERT_TRUE(wire_.Inject(0, reply));
  const auto delivered = tun_.Take("gre0", seconds(10));
  ASSERT_TRUE(delivered.has_value());
  EXPECT_EQ(delivered->bytes, inner);

  ASSERT_TRUE(manager_->Detach(call_, "gre0", {}).ok());
  ASSERT_TRUE(wire_.Inject(0, reply));
  const size_t no_tunnel = static_cast<size_t>(encap::DropReason::kNoTunnel);
  EXPECT_TRUE(Eventually(
      [&] { return manager_->Stats({})->unmatched_drops[no_tunnel] == 1; }));
  EXPECT_FALSE(tun_.Take("gre0", milliseconds(20)).has_value());
  EXPECT_EQ(GetReason(Create(Gre("gre1")).status()),
            Reason::kEndpointPairInUse);

  ASSERT_TRUE(manager_->Attach(call_, "gre0", {}).ok());
  ASSERT_TRUE(wire_.Inject(1, reply));
  EXPECT_TRUE(tun_.Take("gre0", seconds(10)).has_value());
  const auto stats = manager_->Stats({"gre0"});
  EXPECT_EQ(stats->tunnels[0].counters.receive_packets, 2u);
  EXPECT_EQ(stats->tunnels[0].counters.transmit_packets, 1u);
}

TEST_F(TunnelManagerTest, WithoutItsLocalAddressATunnelSendsNothing) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  links_.RemoveLocalAddress(Address("192.0.2.1"));
  ASSERT_TRUE(Eventually(
      [&] { return manager_->Get("gre0")->oper_state == OperState::kDown; }));
  EXPECT_NE(manager_->Get("gre0")->oper_reason.find("192.0.2.1"),
            std::string::npos);
  ASSERT_TRUE(tun_.Inject("gre0", 0, InnerPacket(1)));
  const size_t no_route = static_cast<size_t>(encap::DropReason::kNoRoute);
  EXPECT_TRUE(Eventually([&] {
    return manager_->Stats({})->tunnels[0].counters.transmit_drops[no_route] ==
           1;
  }));
  EXPECT_EQ(wire_.sent(), 0u);
  links_.AddLocalAddress(Address("192.0.2.1"));
  ASSERT_TRUE(Eventually(
      [&] { return manager_->Get("gre0")->oper_state == OperState::kUp; }));
  ASSERT_TRUE(tun_.Inject("gre0", 0, InnerPacket(2)));
  EXPECT_TRUE(Eventually([&] { return wire_.sent() == 1; }));
}

TEST_F(TunnelManagerTest, ARouteIntoTheTunnelItselfStopsIt) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  const uint32_t ifindex = manager_->Get("gre0")->ifindex;
  links_.SetRoute(Address("192.0.2.2"), RouteInfo{ifindex, "gre0", 1476});
  EXPECT_TRUE(Eventually(
      [&] { return manager_->Get("gre0")->oper_state == OperState::kDown; }));
  links_.SetRoute(Address("192.0.2.2"), RouteInfo{1, "eth0", 1400});
  EXPECT_TRUE(Eventually(
      [&] { return manager_->Get("gre0")->oper_state == OperState::kUp; }));
  EXPECT_EQ(manager_->Get("gre0")->effective_mtu, 1376u);
  EXPECT_EQ(links_.GetInterface(ifindex)->mtu, 1376u);
}

TEST_F(TunnelManagerTest, ARemovedDeviceFailsThatTunnelAlone) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  ASSERT_TRUE(Create(Gre("gre1", "192.0.2.3")).ok());
  const uint32_t ifindex = manager_->Get("gre0")->ifindex;
  tun_.Vanish("gre0");
  LinkEvent event;
  event.kind = LinkEvent::Kind::kLink;
  event.ifindex = ifindex;
  event.removed = true;
  links_.Emit(event);
  ASSERT_TRUE(Eventually(
      [&] { return manager_->Get("gre0")->oper_state == OperState::kFailed; }));
  EXPECT_EQ(manager_->Get("gre1")->oper_state, OperState::kUp);
  EXPECT_EQ(
      GetReason(
          Edit("gre0", [](EndpointConfig& c) { c.encap.ttl = 3; }).status()),
      Reason::kInvalidState);
  ASSERT_TRUE(manager_->DeleteTunnel(call_, "gre0", {}).ok());
  EXPECT_TRUE(Create(Gre("gre0")).ok());
}

TEST_F(TunnelManagerTest, RefusesMoreTunnelsThanTheLimit) {
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(Create(Gre("gre" + std::to_string(i), "192.0.2.2", i)).ok());
  }
  EXPECT_EQ(GetReason(Create(Gre("gre8", "192.0.2.2", 8)).status()),
            Reason::kTunnelLimit);
}

TEST_F(TunnelManagerTest, FixedFieldsAreAllNamedInOneAnswer) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  const absl::Status status = Edit("gre0", [](EndpointConfig& c) {
                                c.encap.mode = encap::Mode::kGretap;
                                c.queues = 5;
                              }).status();
  const ErrorDetail detail = *GetErrorDetail(status);
  EXPECT_EQ(detail.reason, Reason::kFieldInvalid);
  EXPECT_EQ(detail.violations.size(), 2u);
}

TEST_F(TunnelManagerTest, SequenceNumbersGoOnAcrossARewire) {
  EndpointConfig config = Gre("gre0");
  config.encap.sequence = true;
  ASSERT_TRUE(Create(config).ok());
  std::atomic<uint32_t> last{0};
  wire_.SetSink([&](size_t, std::span<const uint8_t> packet, const SendRoute&) {
    const size_t at =
        packet[20] & 0x20 ? 28 : 24;  // behind the key, if there is one
    last = packet[at] << 24 | packet[at + 1] << 16 | packet[at + 2] << 8 |
           packet[at + 3];
  });
  // Both queues: the numbers are one series.
  for (uint8_t i = 0; i < 10; ++i)
    ASSERT_TRUE(tun_.Inject("gre0", i % 2, InnerPacket(i)));
  ASSERT_TRUE(Eventually([&] { return wire_.sent() == 10; }));
  EXPECT_EQ(last, 9u);
  ASSERT_TRUE(
      Edit("gre0", [](EndpointConfig& c) { c.encap.output_key = 4; }).ok());
  ASSERT_TRUE(tun_.Inject("gre0", 1, InnerPacket(11)));
  ASSERT_TRUE(Eventually([&] { return wire_.sent() == 11; }));
  EXPECT_EQ(last, 10u);
}

TEST_F(TunnelManagerTest, AfterShutdownChangesAreRefusedAndReadsAnswer) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  manager_->Shutdown();
  EXPECT_EQ(GetReason(Create(Gre("gre1", "192.0.2.3")).status()),
            Reason::kShuttingDown);
  EXPECT_TRUE(manager_->Get("gre0").ok());
}

}  // namespace
}  // namespace tunnel
