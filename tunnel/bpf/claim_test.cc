// Packets that are claimed for the daemon come to packet sockets as those for
// another host, and the IP stack counts none of them.

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "encap/encapsulator.h"
#include "gtest/gtest.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/bpf/fast_path_for_test.h"

namespace tunnel {
namespace {

using encap::EncapConfig;
using encap::IpFamily;
using encap::Mode;
using encap::testing::Config;
using encap::testing::Inner;
using encap::testing::OwnedPacket;
using encap::testing::Peer;

EncapConfig Keyed(EncapConfig config, uint32_t key) {
  config.input_key = config.output_key = key;
  return config;
}

EncapConfig InUdp(EncapConfig config) {
  config.transport = encap::OuterTransport::kUdp;
  return config;
}

// Every kind of outer header.
std::vector<EncapConfig> Configs() {
  std::vector<EncapConfig> all;
  for (const IpFamily outer : {IpFamily::kV4, IpFamily::kV6}) {
    all.push_back(Config(Mode::kGif, outer));
    EncapConfig gre = Config(Mode::kGre, outer);
    for (const bool checksum : {false, true}) {
      for (const bool sequence : {false, true}) {
        gre.checksum = checksum;
        gre.sequence = sequence;
        all.push_back(gre);
        all.push_back(Keyed(gre, 0x01020304));
      }
    }
    all.push_back(InUdp(Config(Mode::kGre, outer)));
    all.push_back(InUdp(Keyed(gre, 7)));
  }
  return all;
}

// What the other end of the tunnel sends.
Bytes OuterOf(const EncapConfig& config, IpFamily inner = IpFamily::kV4) {
  OwnedPacket packet(Inner(inner));
  encap::OutputState state;
  EXPECT_EQ(encap::Encapsulator(Peer(config)).Encapsulate(*packet, state),
            encap::DropReason::kNone);
  return packet.bytes();
}

class ClaimTest : public FastPathTest {
 protected:
  void SetUp() override {
    FastPathTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    for (size_t i = 0; i < sockets_.size(); ++i) {
      const uint16_t type = i == 0 ? ETH_P_IP : ETH_P_IPV6;
      sockets_[i] = UniqueFd(socket(AF_PACKET, SOCK_DGRAM, htons(type)));
      ASSERT_TRUE(sockets_[i].valid());
      const timeval limit{.tv_sec = 10, .tv_usec = 0};
      ASSERT_EQ(setsockopt(sockets_[i].get(), SOL_SOCKET, SO_RCVTIMEO, &limit,
                           sizeof(limit)),
                0);
    }
    path_ = std::make_unique<LinuxFastPath>();
  }
  void Start() {
    ASSERT_TRUE(path_->Usable().ok()) << path_->Usable();
    claimant_ = path_->ClaimAt(under_);
    path_->SetClaiming(true);
  }
  void Forget(const EncapConfig& config) {
    for (const FastInputKey& key : KeysOf(config)) path_->ForgetInput(key);
  }
  // Whether it was claimed, coming in by u0.
  bool IsClaimed(const Bytes& outer) {
    SendOuter(outer);
    const UniqueFd& socket = sockets_[outer[0] >> 4 == 4 ? 0 : 1];
    while (true) {
      sockaddr_ll from{};
      socklen_t size = sizeof(from);
      Bytes got(2048);
      const ssize_t n = recvfrom(socket.get(), got.data(), got.size(), 0,
                                 reinterpret_cast<sockaddr*>(&from), &size);
      if (n < 0) {
        ADD_FAILURE() << "the packet socket got nothing";
        return false;
      }
      got.resize(static_cast<size_t>(n));
      if (from.sll_ifindex != static_cast<int>(under_) || got != outer)
        continue;  // as it left u1
      EXPECT_TRUE(from.sll_pkttype == PACKET_HOST ||
                  from.sll_pkttype == PACKET_OTHERHOST);
      return from.sll_pkttype == PACKET_OTHERHOST;
    }
  }
  static uint64_t StackReceived() {
    return Snmp("Ip", "InReceives") + Snmp6("Ip6InReceives");
  }

  std::shared_ptr<const void> claimant_;

 private:
  std::array<UniqueFd, 2> sockets_;
};

TEST_F(ClaimTest, PacketsOfEveryTunnelAreKeptFromTheStack) {
  Start();
  for (const EncapConfig& config : Configs()) {
    SetInputs(config, nullptr);
    const uint64_t before = StackReceived();
    for (const IpFamily inner : {IpFamily::kV4, IpFamily::kV6})
      EXPECT_TRUE(IsClaimed(OuterOf(config, inner)));
    EXPECT_EQ(StackReceived(), before);
    Forget(config);
    EXPECT_FALSE(IsClaimed(OuterOf(config)));
    EXPECT_GT(StackReceived(), before);
  }
}

TEST_F(ClaimTest, PacketsOfNoTunnelAreTheStacks) {
  Start();
  const EncapConfig gre = Config(Mode::kGre, IpFamily::kV4);
  SetInputs(Keyed(gre, 7), nullptr);
  SetInputs(InUdp(gre), nullptr);
  ASSERT_TRUE(IsClaimed(OuterOf(Keyed(gre, 7))));
  EXPECT_FALSE(IsClaimed(OuterOf(Keyed(gre, 8)))) << "another key";
  EXPECT_FALSE(IsClaimed(OuterOf(gre))) << "no key";
  EXPECT_FALSE(IsClaimed(OuterOf(Config(Mode::kGif, IpFamily::kV4))));
  EXPECT_FALSE(IsClaimed(OuterOf(Config(Mode::kGre, IpFamily::kV6))));
  EncapConfig other = Keyed(gre, 7);
  other.remote = encap::IpAddress::Parse("192.0.2.99").value();
  EXPECT_FALSE(IsClaimed(OuterOf(other))) << "another source";
  other = InUdp(gre);
  other.udp_port = 5000;
  EXPECT_FALSE(IsClaimed(OuterOf(other))) << "another port";
}

TEST_F(ClaimTest, FragmentsAndOtherVersionsOfGreAreTheStacks) {
  Start();
  const EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
  SetInputs(config, nullptr);
  Bytes fragment = OuterOf(config);
  fragment[6] |= 0x20;  // more of them
  fragment[10] = fragment[11] = 0;
  const uint16_t sum =
      encap::testing::ReferenceChecksum(std::span(fragment).first(20));
  fragment[10] = static_cast<uint8_t>(sum >> 8);
  fragment[11] = static_cast<uint8_t>(sum);
  EXPECT_FALSE(IsClaimed(fragment));
  Bytes pptp = OuterOf(config);
  pptp[21] = 1;
  EXPECT_FALSE(IsClaimed(pptp));
  EXPECT_TRUE(IsClaimed(OuterOf(config)));
}

TEST_F(ClaimTest, TunnelsOfOneUdpPortShareAClaim) {
  Start();
  const EncapConfig gre = InUdp(Config(Mode::kGre, IpFamily::kV4));
  SetInputs(Keyed(gre, 7), nullptr);
  SetInputs(Keyed(gre, 8), nullptr);
  SetInputs(Keyed(gre, 8), nullptr);
  Forget(Keyed(gre, 7));
  EXPECT_TRUE(IsClaimed(OuterOf(Keyed(gre, 8))));
  Forget(Keyed(gre, 8));
  EXPECT_FALSE(IsClaimed(OuterOf(Keyed(gre, 8))));
}

TEST_F(ClaimTest, OnlyOneDeviceWhereATunnelIsBoundToIt) {
  Start();
  const EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
  FastInputKey key = KeysOf(config).front();
  key.ifindex = under_ + 1000;
  path_->SetInput(key, nullptr);
  EXPECT_FALSE(IsClaimed(OuterOf(config)));
  key.ifindex = under_;
  path_->SetInput(key, nullptr);
  EXPECT_TRUE(IsClaimed(OuterOf(config)));
}

TEST_F(ClaimTest, BoundTunnelsComeAndGoBesideOneThatIsNot) {
  Start();
  const EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
  SetInputs(config, nullptr);
  EncapConfig other = Keyed(config, 7);
  FastInputKey bound = KeysOf(other).front();
  for (const uint32_t ifindex : {under_, under_ + 1000}) {
    bound.ifindex = ifindex;
    path_->SetInput(bound, nullptr);
    path_->SetInput(bound, nullptr);  // once more is no more
    EXPECT_TRUE(IsClaimed(OuterOf(config)));
    EXPECT_EQ(IsClaimed(OuterOf(other)), ifindex == under_);
    path_->ForgetInput(bound);
    EXPECT_TRUE(IsClaimed(OuterOf(config)));
    EXPECT_FALSE(IsClaimed(OuterOf(other)));
  }
}

TEST_F(ClaimTest, ClaimingIsSwitchedAndEndsWithItsClaimant) {
  const EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
  SetInputs(config, nullptr);  // before the programs are loaded
  claimant_ = path_->ClaimAt(under_);
  EXPECT_FALSE(IsClaimed(OuterOf(config)));
  Start();
  EXPECT_TRUE(IsClaimed(OuterOf(config)));
  path_->SetClaiming(false);
  EXPECT_FALSE(IsClaimed(OuterOf(config)));
  path_->SetClaiming(true);
  EXPECT_TRUE(IsClaimed(OuterOf(config)));
  EXPECT_EQ(path_->ClaimAt(under_), claimant_) << "one for each device";
  claimant_.reset();
  EXPECT_FALSE(IsClaimed(OuterOf(config)));
}

TEST_F(ClaimTest, ProgramsThatWereLoadedAheadClaimWhatWasAskedForBefore) {
  const EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
  path_->Preload();
  SetInputs(config, nullptr);
  claimant_ = path_->ClaimAt(under_);
  path_->AwaitLoaded();
  path_->SetClaiming(true);
  EXPECT_TRUE(IsClaimed(OuterOf(config)));
}

TEST_F(ClaimTest, DeviceThatIsGoneIsNoError) {
  ASSERT_TRUE(path_->Usable().ok()) << path_->Usable();
  EXPECT_NE(path_->ClaimAt(under_ + 1000), nullptr);
  path_->SetClaiming(true);
}

TEST_F(ClaimTest, WhatTheKernelDecapsulatesIsNotClaimed) {
  Use(Attachment::Via::kBest);
  const EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
  claimant_ = path_->ClaimAt(under_);
  path_->SetClaiming(true);
  const auto entry = Enter(config);
  SendOuter(OuterOf(config));
  EXPECT_EQ(ReceiveInner(), Inner(IpFamily::kV4));
  // What it leaves is.
  EncapConfig sequenced = config;
  sequenced.sequence = true;
  EXPECT_TRUE(IsClaimed(OuterOf(sequenced)));
  Leave(config);
}

}  // namespace
}  // namespace tunnel
