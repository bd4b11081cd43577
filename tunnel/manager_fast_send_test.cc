// Super-packets that come to a worker while the kernel encapsulates what enters
// the device: given back, and what becomes of those that are not taken.

#include <gtest/gtest.h>

#include <vector>

#include "encap/offload/flows_for_test.h"
#include "tunnel/manager_fast_fixture.h"

namespace tunnel {
namespace {

using encap::testing::Bytes;
using encap::testing::FlowPacket;

constexpr uint16_t kSegment = 1000;
constexpr size_t kSegments = 3;

FlowPacket Flow() {
  FlowPacket flow;
  flow.payload = Bytes(kSegments * kSegment);
  return flow;
}

class ManagerFastSendTest : public ManagerFastFixture {
 protected:
  void Super(size_t queue = 0) {
    const FlowPacket flow = Flow();
    ASSERT_TRUE(tun_.Inject("gre0", queue, Build(flow),
                            encap::testing::SuperHint(flow, kSegment)));
  }
  bool Sent(uint64_t packets) {
    return Eventually([&] { return wire_.sent() == packets; });
  }
  bool GivenBack(size_t packets) {
    return Eventually([&] { return fast_.given_back().size() == packets; });
  }
};

TEST_F(ManagerFastSendTest, TheKernelGetsThemAndNoOtherPacket) {
  fast_.SetSend(FastSend::kSent);
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  Super();
  ASSERT_TRUE(GivenBack(1));
  EXPECT_EQ(fast_.given_back()[0], Build(Flow()).size());
  ASSERT_TRUE(tun_.Inject("gre0", 0, InnerPacket(1)));
  ASSERT_TRUE(Sent(1));
  Super(1);
  ASSERT_TRUE(GivenBack(2));
  EXPECT_EQ(wire_.sent(), 1U) << "nothing twice";
  // Counted by the kernel.
  EXPECT_EQ(manager_->Stats({"gre0"})->tunnels[0].counters.transmit_packets,
            1U);
}

TEST_F(ManagerFastSendTest, OneThatIsRefusedIsSentAndSoAreTheNext) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  uint64_t sent = 0;
  // The next 64 are not offered.
  for (int i = 0; i < 65; ++i) {
    Super();
    ASSERT_TRUE(Sent(sent += kSegments));
  }
  EXPECT_EQ(fast_.given_back().size(), 1U);
  fast_.SetSend(FastSend::kSent);
  Super();
  ASSERT_TRUE(GivenBack(2));
  EXPECT_EQ(wire_.sent(), sent);
}

TEST_F(ManagerFastSendTest, WhereTheProgramHasGoneNoneIsGivenBackAgain) {
  fast_.SetSend(FastSend::kLost);
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  Super();
  ASSERT_TRUE(GivenBack(1));
  for (uint64_t i = 1; i <= 100; ++i) {
    Super();  // the first of them is the one that was lost
    ASSERT_TRUE(Sent(i * kSegments));
  }
  EXPECT_EQ(fast_.given_back().size(), 1U);
}

TEST_F(ManagerFastSendTest, NoneWhileTheKernelEncapsulatesNothing) {
  fast_.SetSend(FastSend::kSent);
  EndpointConfig config = Gre("gre0");
  ASSERT_TRUE(Create(config).ok());
  ASSERT_TRUE(
      Edit("gre0", [](auto& c) { c.datapath = DatapathMode::kUser; }).ok());
  Super();
  ASSERT_TRUE(Sent(kSegments));
  EXPECT_TRUE(fast_.given_back().empty());
  ASSERT_TRUE(
      Edit("gre0", [](auto& c) { c.datapath = DatapathMode::kAuto; }).ok());
  Super();
  ASSERT_TRUE(GivenBack(1));
  // What waits during a pause goes the same way behind it.
  ASSERT_TRUE(manager_->Pause(call_, "gre0", {}).ok());
  Super();
  std::this_thread::sleep_for(milliseconds(20));
  EXPECT_EQ(fast_.given_back().size(), 1U);
  ASSERT_TRUE(manager_->Resume(call_, "gre0", {}).ok());
  EXPECT_TRUE(GivenBack(2));
  EXPECT_EQ(wire_.sent(), kSegments);
}

TEST_F(ManagerFastSendTest, ThoseTooLargeForTheWayAreNotGivenBack) {
  fast_.SetSend(FastSend::kSent);
  links_.SetRoute(Address("192.0.2.2"), RouteInfo{1, "eth0", 900});
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  Super();
  const auto too_big = static_cast<size_t>(encap::DropReason::kTooBig);
  EXPECT_TRUE(Eventually([&] {
    const auto counters = manager_->Stats({"gre0"})->tunnels[0].counters;
    return counters.transmit_drops[too_big] + wire_.sent() >= kSegments;
  }));
  EXPECT_TRUE(fast_.given_back().empty());
}

}  // namespace
}  // namespace tunnel
