// The packet socket for sending, behind PacketSender, which gives the rest to
// the raw sockets.

#include "tunnel/underlay/link_sender.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <vector>

#include "encap/bytes.h"
#include "encap/checksum.h"
#include "gtest/gtest.h"
#include "tunnel/underlay/linux_transport_for_test.h"
#include "tunnel/underlay/socket_options.h"

namespace tunnel {
namespace {

using encap::DropReason;

constexpr uint16_t kDontFragment = 0x4000;

// As Outer(), with all that the kernel would fill in; DF is set.
Bytes Whole(const std::string& local, const std::string& remote, uint16_t flow,
            size_t text = 32) {
  Bytes b = Outer(local, remote, 47, GreWithKey(flow, text));
  if (b[0] >> 4 == 4) {
    encap::Put16(&b[6], kDontFragment);
    encap::StoreBe16(&b[10], encap::InternetChecksum(std::span(b).first(20)));
  }
  return b;
}

// Nothing but the next hop leads to these.
constexpr char kFarV4[] = "203.0.113.9";
constexpr char kFarV6[] = "2001:db8::9";

class LinkSenderTest : public LinuxTransportTest {
 protected:
  LinkSenderTest() : LinuxTransportTest({.send_on_link = true}) {}

  void SetUp() override {
    LinuxTransportTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    MakeWire();
    Open(1);
    hop_ = std::make_shared<NextHop>();
    hop_->Set(ToOtherEnd());
  }
  static LinkDestination ToOtherEnd() {
    LinkDestination to{.ifindex = IfIndex("va"), .mtu = 1500};
    const std::string text = MacOf("vb");
    for (size_t i = 0; i < to.address.size(); ++i) {
      to.address[i] =
          static_cast<uint8_t>(std::stoul(text.substr(3 * i, 2), nullptr, 16));
    }
    return to;
  }
  SendRoute To(const std::string& remote) const {
    return {.remote = Address(remote), .next_hop = hop_};
  }

  std::shared_ptr<NextHop> hop_;
};

TEST_F(LinkSenderTest, PacketGoesToTheNextHopAsItIs) {
  for (const auto& [local, remote] :
       {std::pair("10.0.0.1", kFarV4), std::pair("fd00::1", kFarV6)}) {
    const Bytes packet = Whole(local, remote, 1);
    EXPECT_EQ(SendTo(remote, packet), DropReason::kNoRoute) << remote;
    ASSERT_EQ(Send(packet, To(remote)), DropReason::kNone) << remote;
    const auto received = Receive(1);
    ASSERT_EQ(received.size(), 1U) << remote;
    EXPECT_EQ(received[0].bytes, packet);
    EXPECT_EQ(received[0].ifindex, IfIndex("vb"));
  }
}

TEST_F(LinkSenderTest, UnknownNextHopIsTheKernelsToFind) {
  hop_->Clear();
  EXPECT_EQ(Send(Whole("10.0.0.1", kFarV4, 1), To(kFarV4)),
            DropReason::kNoRoute);
  EXPECT_EQ(Send(Whole("10.0.0.1", "10.0.0.2", 1), To("10.0.0.2")),
            DropReason::kNone);
  EXPECT_EQ(Receive(1).size(), 1U);
}

TEST_F(LinkSenderTest, WhatTheKernelHasToFillInOrCutIsGivenToIt) {
  Bytes packet = Whole("10.0.0.1", "10.0.0.2", 1);
  encap::Put16(&packet[6], 0);  // may be fragmented, and has no identification
  ASSERT_EQ(Send(packet, To("10.0.0.2")), DropReason::kNone);
  auto received = Receive(1);
  ASSERT_EQ(received.size(), 1U);
  EXPECT_NE(encap::Get16(&received[0].bytes[4]), 0);
  ExpectSamePacket(received[0].bytes, packet);

  hop_->Set({.ifindex = 9999, .mtu = 1500});
  EXPECT_EQ(Send(Whole("10.0.0.1", "10.0.0.2", 2), To("10.0.0.2")),
            DropReason::kNone)
      << "a device that has gone";
  EXPECT_EQ(Receive(1).size(), 1U);
  hop_->Set(ToOtherEnd());
  EXPECT_EQ(Send(Whole("10.0.0.1", "10.0.0.2", 3, 2000), To("10.0.0.2")),
            DropReason::kTooBig);
}

TEST_F(LinkSenderTest, MixedBatchKeepsItsOrder) {
  const SendRoute by_link = To("10.0.0.2");
  const SendRoute by_kernel{.remote = Address("10.0.0.2")};
  const SendRoute nowhere{.remote = Address(kFarV4)};
  constexpr uint16_t kPackets = 150;
  std::vector<Bytes> storage;
  for (uint16_t i = 0; i < kPackets; ++i)
    storage.push_back(Whole("10.0.0.1", "10.0.0.2", i));
  std::vector<encap::PacketBuffer> packets;
  for (Bytes& bytes : storage) packets.emplace_back(bytes, 0, bytes.size());
  std::vector<OutgoingPacket> out;
  std::vector<uint16_t> want;
  for (uint16_t i = 0; i < kPackets; ++i) {
    const SendRoute* const route = i == 30           ? &nowhere
                                   : i / 10 % 3 == 1 ? &by_kernel
                                                     : &by_link;
    out.push_back({&packets[i], route, DropReason::kSendError});
    if (route != &nowhere) want.push_back(i);
  }
  workers_[0]->SendBatch(out);
  for (uint16_t i = 0; i < kPackets; ++i) {
    EXPECT_EQ(out[i].result, i == 30 ? DropReason::kNoRoute : DropReason::kNone)
        << i;
  }
  std::vector<uint16_t> got;
  for (const Received& packet : Receive(want.size()))
    got.push_back(encap::Get16(&packet.bytes[48]));
  EXPECT_EQ(got, want);
}

TEST_F(LinkSenderTest, BatchIsOneSystemCall) {
  const SendRoute route = To(kFarV4);
  std::vector<Bytes> storage(64, Whole("10.0.0.1", kFarV4, 1));
  std::vector<encap::PacketBuffer> packets;
  for (Bytes& bytes : storage) packets.emplace_back(bytes, 0, bytes.size());
  std::vector<OutgoingPacket> out;
  for (auto& packet : packets) out.push_back({&packet, &route});
  EXPECT_EQ(workers_[0]->SendBatch(out), 1U);
  EXPECT_EQ(Receive(64).size(), 64U);
}

TEST_F(LinkSenderTest, FullDeviceQueueIsReported) {
  ThrottleWire();
  size_t full = 0;
  for (int i = 0; i < 50; ++i) {
    if (Send(Whole("10.0.0.1", kFarV4, 1, 900), To(kFarV4)) ==
        DropReason::kQueueFull)
      ++full;
  }
  EXPECT_GT(full, 40U);
}

TEST_F(LinkSenderTest, WhoCapturesOnTheDeviceSeesPacketAndMark) {
  constexpr uint32_t kMarkOffset =
      static_cast<uint32_t>(SKF_AD_OFF) + SKF_AD_MARK;
  const std::vector<sock_filter> marked = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kMarkOffset),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 5, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX), BPF_STMT(BPF_RET | BPF_K, 0)};
  auto capture =
      OpenSocket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL), "capture of va");
  ASSERT_TRUE(capture.ok()) << capture.status();
  ASSERT_TRUE(AttachFilter(capture->get(), marked, "marked").ok());
  sockaddr_ll va{};
  va.sll_family = AF_PACKET;
  va.sll_protocol = htons(ETH_P_ALL);
  va.sll_ifindex = static_cast<int>(IfIndex("va"));
  ASSERT_EQ(
      bind(capture->get(), reinterpret_cast<const sockaddr*>(&va), sizeof(va)),
      0);
  const Bytes packet = Whole("10.0.0.1", kFarV4, 1);
  SendRoute route = To(kFarV4);
  for (const uint32_t mark : {0u, 6u, 5u}) {
    route.mark = mark;
    ASSERT_EQ(Send(packet, route), DropReason::kNone);
  }
  EXPECT_EQ(Receive(3).size(), 3U);
  Bytes seen(2000);
  const ssize_t size = recv(capture->get(), seen.data(), seen.size(), 0);
  ASSERT_EQ(size, static_cast<ssize_t>(packet.size()));
  seen.resize(packet.size());
  EXPECT_EQ(seen, packet);
  EXPECT_EQ(recv(capture->get(), seen.data(), seen.size(), 0), -1);
}

}  // namespace
}  // namespace tunnel
