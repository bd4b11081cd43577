// Make before break: two managers, a wire between them, and a change of
// identity at both ends.

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "tunnel/base/error.h"
#include "tunnel/manager_fixture.h"

namespace tunnel {
namespace {

// Long beside what a loaded machine may hold up a thread for.
constexpr milliseconds kOverlap{1500};

// Host A is the fixture's, 192.0.2.1; host B is 192.0.2.2.
class ManagerOverlapTest : public ManagerFixture {
 protected:
  ManagerOverlapTest() {
    links_b_.AddLocalAddress(Address("192.0.2.2"));
    b_ = Start(platform_b_, nullptr);
    wire_.ConnectTo(wire_b_);
    wire_b_.ConnectTo(wire_);
  }

  void CreateBoth(const EndpointConfig& config) {
    ASSERT_TRUE(Create(config).ok());
    EndpointConfig mirrored = config;
    std::swap(mirrored.encap.local, mirrored.encap.remote);
    ASSERT_TRUE(b_->CreateTunnel(call_, mirrored, {}).ok());
  }

  using EditConfig = std::function<void(EndpointConfig&)>;
  absl::StatusOr<ChangeResult> EditOver(TunnelManager& manager,
                                        const EditConfig& edit,
                                        milliseconds overlap = kOverlap) {
    ChangeOptions options;
    options.overlap = overlap;
    return manager.UpdateTunnel(
        call_, "gre0",
        [&](const EndpointConfig& current) -> absl::StatusOr<EndpointConfig> {
          EndpointConfig next = current;
          edit(next);
          return next;
        },
        options);
  }
  static EditConfig Key(uint32_t key) {
    return [key](EndpointConfig& c) {
      c.encap.input_key = c.encap.output_key = key;
    };
  }
  static bool Ended(const TunnelManager& manager) {
    return Eventually(
        [&] { return !manager.Get("gre0")->overlap_until.has_value(); });
  }
  bool Passes(MemoryTunFactory& from, MemoryTunFactory& to) {
    return from.Inject("gre0", 0, InnerPacket(1)) &&
           to.Take("gre0", seconds(10)).has_value();
  }

  // Numbered packets from one device to the other while it lives.
  class Flow {
   public:
    Flow(MemoryTunFactory& from, MemoryTunFactory& to)
        : sender_([this, &from](std::stop_token stop) {
            while (!stop.stop_requested()) {
              if (from.Inject("gre0", 0, InnerPacket(sent_ % 251))) ++sent_;
              std::this_thread::sleep_for(std::chrono::microseconds(500));
            }
          }),
          to_(to) {}
    // Sent, and arrived in order.
    std::pair<size_t, size_t> Stop() {
      sender_.request_stop();
      sender_.join();
      size_t arrived = 0;
      while (arrived < sent_) {
        const auto packet = to_.Take("gre0", seconds(2));
        if (!packet || packet->bytes.back() != arrived % 251) break;
        ++arrived;
      }
      return {sent_, arrived};
    }

   private:
    size_t sent_ = 0;  // by the thread, until it is joined
    std::jthread sender_;
    MemoryTunFactory& to_;
  };

  MemoryTunFactory tun_b_;
  MemoryTransportFactory wire_b_;
  MemoryLinkControl links_b_;
  Platform platform_b_{tun_b_, wire_b_, links_b_};
  std::unique_ptr<TunnelManager> b_;
};

void ExpectNothingDropped(const TunnelManager& manager) {
  const StatsSnapshot stats = *manager.Stats({});
  for (size_t i = 0; i < stats.unmatched_drops.size(); ++i) {
    EXPECT_EQ(stats.unmatched_drops[i], 0U) << i;
    EXPECT_EQ(stats.tunnels[0].counters.receive_drops[i], 0U) << i;
    EXPECT_EQ(stats.tunnels[0].counters.transmit_drops[i], 0U) << i;
  }
}

TEST_F(ManagerOverlapTest, NothingIsLostWhenBothEndsChange) {
  for (const bool sequence : {false, true}) {
    EndpointConfig config = Gre("gre0", "192.0.2.2", 1);
    config.encap.sequence = sequence;
    CreateBoth(config);
    Flow there(tun_, tun_b_);
    Flow back(tun_b_, tun_);
    for (uint32_t key = 2; key < 4; ++key) {
      const auto a = EditOver(*manager_, Key(key));
      ASSERT_TRUE(a.ok()) << a.status();
      EXPECT_TRUE(a->tunnel.overlap_until.has_value());
      EXPECT_EQ(a->tunnel.config.encap.input_key, key);
      EXPECT_EQ(a->timing.packets_dropped, 0U);
      std::this_thread::sleep_for(kOverlap / 8);
      const auto b = EditOver(*b_, Key(key));
      ASSERT_TRUE(b.ok()) << b.status();
      EXPECT_EQ(b->timing.packets_dropped, 0U);
      EXPECT_TRUE(Ended(*manager_));
      EXPECT_TRUE(Ended(*b_));
    }
    for (Flow* flow : {&there, &back}) {
      const auto [sent, arrived] = flow->Stop();
      EXPECT_GT(sent, 100U);
      EXPECT_EQ(arrived, sent) << "sequence " << sequence;
    }
    ExpectNothingDropped(*manager_);
    ExpectNothingDropped(*b_);
    ASSERT_TRUE(manager_->DeleteTunnel(call_, "gre0", {}).ok());
    ASSERT_TRUE(b_->DeleteTunnel(call_, "gre0", {}).ok());
  }
}

TEST_F(ManagerOverlapTest, TheLocalAddressMayMoveToo) {
  CreateBoth(Gre("gre0"));
  links_.AddLocalAddress(Address("192.0.2.11"));
  Flow there(tun_, tun_b_);
  Flow back(tun_b_, tun_);
  ASSERT_TRUE(EditOver(*manager_, [](EndpointConfig& c) {
                c.encap.local = Address("192.0.2.11");
              }).ok());
  ASSERT_TRUE(EditOver(*b_, [](EndpointConfig& c) {
                c.encap.remote = Address("192.0.2.11");
              }).ok());
  EXPECT_TRUE(Ended(*manager_));
  EXPECT_TRUE(Ended(*b_));
  for (Flow* flow : {&there, &back}) {
    const auto [sent, arrived] = flow->Stop();
    EXPECT_EQ(arrived, sent);
  }
  ExpectNothingDropped(*manager_);
}

TEST_F(ManagerOverlapTest, TheOldIdentityStaysReservedForAsLong) {
  CreateBoth(Gre("gre0", "192.0.2.2", 1));
  ASSERT_TRUE(EditOver(*manager_, Key(2), seconds(30)).ok());
  EXPECT_TRUE(Passes(tun_, tun_b_));  // output has not turned yet
  EXPECT_TRUE(Passes(tun_b_, tun_));
  const absl::Status taken = Create(Gre("gre1", "192.0.2.2", 1)).status();
  EXPECT_EQ(GetReason(taken), Reason::kEndpointPairInUse);
  EXPECT_NE(taken.message().find("gre0"), absl::string_view::npos) << taken;
  EXPECT_NE(taken.message().find("overlap"), absl::string_view::npos) << taken;
  // The same change again finds everything as asked and ends nothing.
  EXPECT_TRUE(EditOver(*manager_, Key(2))->no_op);
  EXPECT_TRUE(manager_->Get("gre0")->overlap_until.has_value());
  // A change that is refused ends nothing either.
  EXPECT_FALSE(Edit("gre0", [](EndpointConfig& c) { c.mtu = 1; }).ok());
  EXPECT_TRUE(manager_->Get("gre0")->overlap_until.has_value());
  // Back to the old identity, which is its own.
  ASSERT_TRUE(Edit("gre0", Key(1)).ok());
  EXPECT_FALSE(manager_->Get("gre0")->overlap_until.has_value());
  EXPECT_TRUE(Passes(tun_, tun_b_));
  EXPECT_TRUE(Passes(tun_b_, tun_));
  EXPECT_TRUE(Create(Gre("gre1", "192.0.2.2", 2)).ok());
}

TEST_F(ManagerOverlapTest, TheWayBackMayOverlapToo) {
  CreateBoth(Gre("gre0", "192.0.2.2", 1));
  for (const uint32_t key : {2, 1, 2, 1}) {
    ASSERT_TRUE(EditOver(*manager_, Key(key), seconds(30)).ok());
    EXPECT_TRUE(Passes(tun_b_, tun_));  // B stays with key 1
    EXPECT_EQ(GetReason(Create(Gre("gre1", "192.0.2.2", 3 - key)).status()),
              Reason::kEndpointPairInUse);
  }
  ASSERT_TRUE(Edit("gre0", [](EndpointConfig& c) { c.encap.ttl = 9; }).ok());
  EXPECT_TRUE(Passes(tun_, tun_b_));
  EXPECT_TRUE(Create(Gre("gre1", "192.0.2.2", 2)).ok());
}

TEST_F(ManagerOverlapTest, EveryOtherChangeFinishesIt) {
  const std::vector<std::function<absl::Status()>> changes = {
      [&] { return manager_->Pause(call_, "gre0", {}).status(); },
      [&] { return manager_->Detach(call_, "gre0", {}).status(); },
      [&] {
        return Edit("gre0", [](EndpointConfig& c) { c.encap.ttl = 9; })
            .status();
      },
      [&] { return EditOver(*manager_, Key(3)).status(); },
      [&] { return manager_->DeleteTunnel(call_, "gre0", {}).status(); },
      [&] {
        return Apply([](TunnelManager::Configs& all) {
                 all.at("gre0").encap.tos = 32;
               })
            .status();
      },
      [&] {
        links_.RemoveInterface(manager_->Get("gre0")->ifindex);
        return Eventually([&] {
          return manager_->Get("gre0")->oper_state == OperState::kFailed;
        })
                   ? absl::OkStatus()
                   : absl::InternalError("not failed");
      }};
  for (size_t i = 0; i < changes.size(); ++i) {
    SCOPED_TRACE(i);
    ASSERT_TRUE(Create(Gre("gre0", "192.0.2.2", 1)).ok());
    ASSERT_TRUE(EditOver(*manager_, Key(2), seconds(30)).ok());
    const absl::Status done = changes[i]();
    EXPECT_TRUE(done.ok()) << done;
    const auto other = Create(Gre("gre1", "192.0.2.2", 1));
    EXPECT_TRUE(other.ok()) << other.status();
    for (const char* name : {"gre0", "gre1"})
      manager_->DeleteTunnel(call_, name, {}).IgnoreError();
    EXPECT_TRUE(manager_->List().tunnels.empty());
  }
}

TEST_F(ManagerOverlapTest, APausedTunnelStaysPausedAndTurnsAllTheSame) {
  CreateBoth(Gre("gre0", "192.0.2.2", 1));
  ASSERT_TRUE(manager_->Pause(call_, "gre0", {}).ok());
  ASSERT_TRUE(EditOver(*manager_, Key(2), milliseconds(100)).ok());
  EXPECT_TRUE(Passes(tun_b_, tun_));
  ASSERT_TRUE(EditOver(*b_, Key(2), milliseconds(100)).ok());
  ASSERT_TRUE(tun_.Inject("gre0", 0, InnerPacket(7)));
  EXPECT_TRUE(Ended(*manager_));
  EXPECT_TRUE(Ended(*b_));
  EXPECT_FALSE(tun_b_.Take("gre0", milliseconds(50)).has_value());
  ASSERT_TRUE(manager_->Resume(call_, "gre0", {}).ok());
  EXPECT_TRUE(tun_b_.Take("gre0", seconds(10)).has_value());
}

TEST_F(ManagerOverlapTest, OutputTurnsAtOnceWhenTheOldAddressGoes) {
  CreateBoth(Gre("gre0"));
  links_.AddLocalAddress(Address("192.0.2.11"));
  ASSERT_TRUE(
      EditOver(
          *manager_,
          [](EndpointConfig& c) { c.encap.local = Address("192.0.2.11"); },
          seconds(30))
          .ok());
  ASSERT_TRUE(
      EditOver(
          *b_,
          [](EndpointConfig& c) { c.encap.remote = Address("192.0.2.11"); },
          seconds(30))
          .ok());
  const size_t before = wire_.sent();
  EXPECT_TRUE(Passes(tun_, tun_b_));
  EXPECT_EQ(wire_.sent(), before + 1);
  links_.RemoveLocalAddress(Address("192.0.2.1"));
  std::vector<uint8_t> last;
  Mutex mu;
  wire_.SetSink([&](size_t, std::span<const uint8_t> packet, const SendRoute&) {
    const MutexLock lock(mu);
    last.assign(packet.begin(), packet.begin() + 20);
  });
  EXPECT_TRUE(Eventually([&] {
    EXPECT_TRUE(tun_.Inject("gre0", 0, InnerPacket(1)));
    std::this_thread::sleep_for(milliseconds(5));
    const MutexLock lock(mu);
    return !last.empty() && last[15] == 11;  // the source 192.0.2.11
  }));
  EXPECT_TRUE(manager_->Get("gre0")->overlap_until.has_value());
  manager_.reset();  // the sink is not called any more
}

TEST_F(ManagerOverlapTest, RefusesALengthThatMakesNoSense) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  for (const milliseconds bad :
       {milliseconds(0), milliseconds(-1), milliseconds(3600001)}) {
    EXPECT_EQ(GetReason(EditOver(*manager_, Key(2), bad).status()),
              Reason::kFieldInvalid);
  }
  // Where the identity stays there is nothing to overlap.
  ASSERT_TRUE(
      EditOver(*manager_, [](EndpointConfig& c) { c.encap.ttl = 9; }).ok());
  EXPECT_FALSE(manager_->Get("gre0")->overlap_until.has_value());
}

}  // namespace
}  // namespace tunnel
