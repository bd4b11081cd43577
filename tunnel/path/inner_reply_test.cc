#include "tunnel/path/inner_reply.h"

#include <gtest/gtest.h>

#include <vector>

#include "encap/address.h"
#include "encap/checksum.h"
#include "encap/wire/icmp.h"
#include "encap/wire/ipv4.h"

namespace tunnel {
namespace {

using encap::InnerError;

class Queue : public TunQueue {
 public:
  int fd() const override { return -1; }
  ReadResult ReadBatch(std::span<encap::PacketBuffer>) noexcept override {
    return {};
  }
  WriteResult Write(encap::PacketBuffer& packet) noexcept override {
    EXPECT_GE(packet.headroom(), kTunHeadroom);
    written.emplace_back(packet.data(), packet.data() + packet.size());
    return result;
  }
  std::vector<std::vector<uint8_t>> written;
  WriteResult result = WriteResult::kOk;
};

std::vector<uint8_t> Packet(const char* source, const char* destination) {
  std::vector<uint8_t> packet(1400, 1);
  encap::Ipv4Header ip(packet.data());
  std::fill_n(packet.begin(), 20, 0);
  packet[0] = 0x45;
  packet[8] = 64;
  packet[9] = 253;
  ip.set_total_length(1400);
  ip.set_fragment(true, false, 0);
  ip.set_source(*encap::IpAddress::Parse(source));
  ip.set_destination(*encap::IpAddress::Parse(destination));
  ip.set_checksum(encap::InternetChecksum({packet.data(), 20}));
  return packet;
}

class InnerReplyTest : public testing::Test {
 protected:
  bool Send(const std::vector<uint8_t>& payload, bool ethernet = false) {
    return reply_.Send({InnerError::Kind::kTooBig, 1300}, payload, ethernet,
                       bucket_, 1, queue_);
  }

  OwnedCounter writes_;
  InnerReply reply_{writes_};
  encap::TokenBucket bucket_{1, 2};
  Queue queue_;
};

TEST_F(InnerReplyTest, ComesFromTheInnerDestination) {
  ASSERT_TRUE(Send(Packet("10.9.0.1", "10.9.0.2")));
  ASSERT_EQ(queue_.written.size(), 1U);
  const std::vector<uint8_t>& answer = queue_.written[0];
  const encap::ConstIpv4Header ip(answer.data());
  EXPECT_EQ(ip.source().ToString(), "10.9.0.2");
  EXPECT_EQ(ip.destination().ToString(), "10.9.0.1");
  EXPECT_EQ(encap::ConstIcmpHeader(answer.data() + 20).next_hop_mtu4(), 1300);
}

TEST_F(InnerReplyTest, GivesNoMoreThanTheBucketHas) {
  const std::vector<uint8_t> packet = Packet("10.9.0.1", "10.9.0.2");
  EXPECT_TRUE(Send(packet));
  EXPECT_TRUE(Send(packet));
  EXPECT_FALSE(Send(packet));
  EXPECT_EQ(queue_.written.size(), 2U);
}

TEST_F(InnerReplyTest, WhatMayNotBeAnsweredCostsNothing) {
  EXPECT_FALSE(Send(Packet("10.9.0.1", "224.0.0.5")));
  EXPECT_FALSE(Send(Packet("0.0.0.0", "10.9.0.2")));
  EXPECT_FALSE(Send({0x45, 0, 0}));
  EXPECT_TRUE(queue_.written.empty());
  EXPECT_TRUE(Send(Packet("10.9.0.1", "10.9.0.2")));
  EXPECT_TRUE(Send(Packet("10.9.0.1", "10.9.0.2")));
}

TEST_F(InnerReplyTest, AFrameIsAnsweredOnItsVlan) {
  std::vector<uint8_t> frame = {2, 0, 0, 0,    0, 2, 2, 0,    0,
                                0, 0, 1, 0x81, 0, 0, 5, 0x08, 0};
  const std::vector<uint8_t> packet = Packet("10.9.0.1", "10.9.0.2");
  frame.insert(frame.end(), packet.begin(), packet.end());
  ASSERT_TRUE(Send(frame, true));
  const std::vector<uint8_t>& answer = queue_.written.at(0);
  const std::vector<uint8_t> link(answer.begin(), answer.begin() + 18);
  EXPECT_EQ(link, (std::vector<uint8_t>{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2,
                                        0x81, 0, 0, 5, 0x08, 0}));
  EXPECT_EQ(encap::ConstIcmpHeader(answer.data() + 38).next_hop_mtu4(), 1300);
  // A sender that is no single host, and a payload without IP.
  frame[6] |= 1;
  EXPECT_FALSE(Send(frame, true));
  frame[6] &= 0xfe;
  frame[17] = 6;
  EXPECT_FALSE(Send(frame, true));
}

TEST_F(InnerReplyTest, ADeviceThatRefusesIsTold) {
  queue_.result = TunQueue::WriteResult::kRefused;
  EXPECT_FALSE(Send(Packet("10.9.0.1", "10.9.0.2")));
}

}  // namespace
}  // namespace tunnel
