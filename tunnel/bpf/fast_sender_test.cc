// Super-packets that a worker gives back, against the program in the kernel.

#include "tunnel/bpf/fast_sender.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdlib>
#include <memory>
#include <utility>

#include "encap/encapsulator.h"
#include "encap/offload/flows_for_test.h"
#include "tunnel/bpf/fast_path_for_test.h"

namespace tunnel {
namespace {

using encap::EncapConfig;
using encap::IpFamily;
using encap::Mode;
using encap::testing::Config;
using encap::testing::FlowPacket;
using encap::testing::OwnedPacket;
using Via = Attachment::Via;

constexpr uint16_t kSegment = 1000;

// Two segments of 1,000 bytes and one of 500.
FlowPacket Flow(IpFamily family = IpFamily::kV4, bool tcp = true) {
  FlowPacket flow;
  flow.family = family;
  flow.tcp = tcp;
  flow.payload = Bytes(2500, 0x5a);
  return flow;
}

class FastSenderTest : public FastPathTest,
                       public ::testing::WithParamInterface<Via> {
 protected:
  const EncapConfig config_ = Config(Mode::kGre, IpFamily::kV4);

  FastSend GiveBack(const FlowPacket& flow) {
    OwnedPacket packet(Build(flow));
    packet->hint() = encap::testing::SuperHint(flow, kSegment);
    return tunnel_->Send(0, *packet);
  }
  // What enters the device goes to the user path until the output turns.
  std::unique_ptr<FastEntry> BeginOutput() {
    auto entry = tunnel_->Prepare(Record(config_, 1500));
    EXPECT_TRUE(entry.ok()) << entry.status();
    if (!entry.ok()) return nullptr;
    tunnel_->SetOutput(entry->get());
    return *std::move(entry);
  }
  uint64_t Passed() { return tunnel_->Turn(FastDirection::kOut).passed; }
  // Something has come to the user path.
  bool Waits() {
    pollfd wait{device_->queue(0).fd(), POLLIN, 0};
    return poll(&wait, 1, 0) != 0;
  }
};

INSTANTIATE_TEST_SUITE_P(Hooks, FastSenderTest,
                         ::testing::Values(Via::kTcx, Via::kClsact));

TEST_P(FastSenderTest, TheKernelEncapsulatesItWholeAndCountsItsSegments) {
  Use(GetParam());
  const auto entry = Enter(config_);
  const encap::Encapsulator reference(config_);
  encap::OutputState state;
  uint64_t sent = 0;
  for (const IpFamily family : {IpFamily::kV4, IpFamily::kV6}) {
    for (const bool tcp : {true, false}) {
      const FlowPacket flow = Flow(family, tcp);
      ASSERT_EQ(GiveBack(flow), FastSend::kSent);
      OwnedPacket packet(Build(flow));
      ASSERT_EQ(reference.Encapsulate(*packet, state),
                encap::DropReason::kNone);
      const Bytes want = packet.bytes();
      const Bytes outer = ReceiveOuter();
      ASSERT_EQ(outer.size(), want.size());
      // Both addresses, GRE and the inner IP header. Lengths of a super-packet
      // are those of all.
      EXPECT_EQ(Bytes(outer.begin() + 12, outer.begin() + 44),
                Bytes(want.begin() + 12, want.begin() + 44));
      sent += 3;
      EXPECT_EQ(tunnel_->Read().transmit_packets, sent);
    }
  }
  EXPECT_EQ(tunnel_->Read().transmit_passed, 0U);
  EXPECT_FALSE(Waits());
  Leave(config_);
}

TEST_P(FastSenderTest, WhatIsNotCarriedNowIsRefusedAndNothingHasHappened) {
  Use(GetParam());
  EXPECT_EQ(GiveBack(Flow()), FastSend::kRefused) << "nothing is entered";
  const auto entry = Enter(config_, kSegment);
  EXPECT_EQ(GiveBack(Flow()), FastSend::kRefused) << "too large for the path";
  FlowPacket nested = Flow();
  nested.ttl = 0;
  EXPECT_EQ(GiveBack(nested), FastSend::kRefused);
  Leave(config_);
  EXPECT_EQ(GiveBack(Flow()), FastSend::kRefused) << "taken out again";
  EXPECT_EQ(tunnel_->Send(1, *OwnedPacket(Build(Flow()))), FastSend::kRefused)
      << "there is one worker";
  EXPECT_EQ(tunnel_->Read().transmit_packets, 0U);
  EXPECT_EQ(tunnel_->Read().transmit_passed, 0U);
  EXPECT_FALSE(Waits());
}

TEST_P(FastSenderTest, WhileTheOutputTurnsItGoesAndTurnsNothing) {
  Use(GetParam());
  const auto entry = BeginOutput();
  const uint64_t passed = Passed();
  tunnel_->SetDone(FastDirection::kOut, passed);
  EXPECT_EQ(GiveBack(Flow()), FastSend::kSent);
  EXPECT_FALSE(tunnel_->Turn(FastDirection::kOut).turned);
  EXPECT_EQ(Passed(), passed);
  EXPECT_FALSE(ReceiveOuter().empty());
  Leave(config_);
}

TEST_P(FastSenderTest, TheMarkOfAnotherSocketProvesNothing) {
  Use(GetParam());
  const auto entry = BeginOutput();
  const uint64_t passed = Passed();
  SendInner(encap::testing::InnerV4(), kFpSenderMark);
  EXPECT_EQ(Passed(), passed + 1);
  EXPECT_TRUE(Waits()) << "as any other packet that turns";
  Leave(config_);
}

TEST_F(FastSenderTest, WithoutTheProgramThePacketWaitsOnceMoreAndThatIsSaid) {
  Use(Via::kClsact);
  const auto entry = Enter(config_);
  ASSERT_EQ(GiveBack(Flow()), FastSend::kSent);
  ASSERT_EQ(std::system("tc qdisc del dev t0 clsact"), 0);
  EXPECT_EQ(GiveBack(Flow()), FastSend::kLost);
  EXPECT_TRUE(Waits());
  Leave(config_);
}

}  // namespace
}  // namespace tunnel
