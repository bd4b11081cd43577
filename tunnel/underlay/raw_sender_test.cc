#include "tunnel/underlay/raw_sender.h"

#include <array>
#include <cerrno>
#include <string>

#include "encap/bytes.h"
#include "gtest/gtest.h"
#include "tunnel/underlay/linux_transport_for_test.h"

namespace tunnel {
namespace {

using encap::DropReason;
using encap::IpAddress;

TEST_F(LinuxTransportTest, InterfaceAndMarkOfTheRouteAreObeyed) {
  MakeWire();
  MakeVeth("vc", "vd");
  Ip("addr add 10.1.0.1/24 dev vc");
  Ip("addr add fd01::1/64 dev vc nodad");
  for (const std::string remote : {"10.0.0.2", "fd00::2"}) {
    Neighbour(remote, "vc", "vd");
    const std::string family = remote == "fd00::2" ? "-6 " : "";
    const std::string length = remote == "fd00::2" ? "/128" : "/32";
    Ip(family + "route add " + remote + length + " dev vc table 7");
    Ip(family + "route add " + remote + length + " dev vc metric 4000");
    Ip(family + "rule add fwmark 5 table 7");
  }
  // A host route through va, so that vc is chosen by nothing but the request.
  Ip("route add 10.0.0.2/32 dev va metric 1");
  Ip("-6 route add fd00::2/128 dev va metric 1");
  Open(1);
  for (const auto& [local, remote] :
       {std::pair("10.0.0.1", "10.0.0.2"), std::pair("fd00::1", "fd00::2")}) {
    const Bytes packet = Outer(local, remote, 47, GreWithKey(1));
    const auto arrives_by = [&](const SendRoute& route) {
      EXPECT_EQ(Send(packet, route), DropReason::kNone);
      const auto received = Receive(1);
      EXPECT_EQ(received.size(), 1U);
      return received.empty() ? 0 : received[0].ifindex;
    };
    const IpAddress to = Address(remote);
    EXPECT_EQ(arrives_by({.remote = to}), IfIndex("vb")) << remote;
    EXPECT_EQ(arrives_by({.remote = to, .ifindex = IfIndex("vc")}),
              IfIndex("vd"))
        << remote;
    EXPECT_EQ(arrives_by({.remote = to, .mark = 5}), IfIndex("vd")) << remote;
    EXPECT_EQ(arrives_by({.remote = to, .mark = 6}), IfIndex("vb")) << remote;
    EXPECT_EQ(Send(packet, {.remote = to, .ifindex = 9999}),
              DropReason::kNoRoute);
  }
}

TEST_F(LinuxTransportTest, SourceAddressChoosesTheRoutingRule) {
  MakeWire();
  MakeVeth("vc", "vd");
  Ip("addr add 10.9.9.9/32 dev lo");
  Ip("route add 10.0.0.2/32 dev vc table 7");
  Ip("rule add from 10.9.9.9 table 7");
  Ip("addr add 10.1.0.1/24 dev vc");
  Neighbour("10.0.0.2", "vc", "vd");
  Open(1);
  ASSERT_EQ(
      SendTo("10.0.0.2", Outer("10.9.9.9", "10.0.0.2", 47, GreWithKey(1))),
      DropReason::kNone);
  const auto received = Receive(1);
  ASSERT_EQ(received.size(), 1U);
  EXPECT_EQ(received[0].ifindex, IfIndex("vd"));
}

TEST_F(LinuxTransportTest, LinkLocalRemoteNeedsTheInterface) {
  MakeWire();
  Ip("addr add fe80::11/64 dev va nodad");
  Neighbour("fe80::22", "va", "vb");
  Open(1);
  const Bytes sent = Outer("fe80::11", "fe80::22", 47, GreWithKey(1));
  ASSERT_EQ(
      Send(sent, {.remote = Address("fe80::22"), .ifindex = IfIndex("va")}),
      DropReason::kNone);
  const auto received = Receive(1);
  ASSERT_EQ(received.size(), 1U);
  EXPECT_EQ(received[0].bytes, sent);
}

TEST_F(LinuxTransportTest, OneRefusedPacketDoesNotHoldUpTheRest) {
  MakeWire();
  Open(1);
  const std::array<SendRoute, 2> v4 = {SendRoute{.remote = Address("10.0.0.2")},
                                       SendRoute{.remote = Address("9.9.9.9")}};
  const std::array<SendRoute, 2> v6 = {SendRoute{.remote = Address("fd00::2")},
                                       SendRoute{.remote = Address("fd99::9")}};
  std::vector<Bytes> storage = {
      Outer("10.0.0.1", "10.0.0.2", 47, GreWithKey(0)),
      Outer("10.0.0.1", "9.9.9.9", 47, GreWithKey(1)),
      Outer("10.0.0.1", "10.0.0.2", 47, GreWithKey(2)),
      Outer("fd00::1", "fd00::2", 47, GreWithKey(3)),
      Outer("fd00::1", "fd99::9", 47, GreWithKey(4)),
      Outer("fd00::77", "fd00::2", 47, GreWithKey(5)),
      Outer("fd00::1", "fd00::2", 47, GreWithKey(6)),
      Outer("10.0.0.1", "10.0.0.2", 47, GreWithKey(7, 2000)),
      Outer("10.0.0.1", "10.0.0.2", 47, GreWithKey(8)),
  };
  const std::array<const SendRoute*, 9> routes = {
      &v4[0], &v4[1], &v4[0], &v6[0], &v6[1], &v6[0], &v6[0], &v4[0], &v4[0]};
  std::vector<encap::PacketBuffer> packets;
  for (Bytes& bytes : storage) packets.emplace_back(bytes, 0, bytes.size());
  std::vector<OutgoingPacket> out;
  for (size_t i = 0; i < packets.size(); ++i) {
    out.push_back({&packets[i], routes[i], DropReason::kSendError});
  }
  EXPECT_GE(workers_[0]->SendBatch(out), 3U);
  const std::array<DropReason, 9> want = {
      DropReason::kNone, DropReason::kNoRoute, DropReason::kNone,
      DropReason::kNone, DropReason::kNoRoute, DropReason::kNoRoute,
      DropReason::kNone, DropReason::kTooBig,  DropReason::kNone};
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ(out[i].result, want[i])
        << i << " " << encap::DropReasonName(out[i].result);
  }
  EXPECT_EQ(Receive(5).size(), 5U);
}

TEST_F(LinuxTransportTest, LargeBatchGoesOutInOrder) {
  Open(1);
  constexpr uint16_t kPackets = 200;
  std::vector<Bytes> storage;
  for (uint16_t i = 0; i < kPackets; ++i) {
    storage.push_back(Outer("127.0.0.1", "127.0.0.1", 47, GreWithKey(i)));
  }
  const SendRoute route{.remote = Address("127.0.0.1")};
  std::vector<encap::PacketBuffer> packets;
  for (Bytes& bytes : storage) packets.emplace_back(bytes, 0, bytes.size());
  std::vector<OutgoingPacket> out;
  for (auto& packet : packets) out.push_back({&packet, &route});
  EXPECT_EQ(workers_[0]->SendBatch(out), 4U) << "64 packets a system call";
  const auto received = Receive(kPackets);
  ASSERT_EQ(received.size(), kPackets);
  for (uint16_t i = 0; i < kPackets; ++i) {
    EXPECT_EQ(encap::Get16(&received[i].bytes[48]), i);
  }
}

TEST_F(LinuxTransportTest, FullDeviceQueueIsReported) {
  MakeWire();
  ThrottleWire();
  Open(1);
  size_t full = 0;
  for (int i = 0; i < 50; ++i) {
    for (const auto& [local, remote] :
         {std::pair("10.0.0.1", "10.0.0.2"), std::pair("fd00::1", "fd00::2")}) {
      const DropReason result =
          SendTo(remote, Outer(local, remote, 47, GreWithKey(1, 900)));
      if (result == DropReason::kQueueFull) ++full;
    }
  }
  EXPECT_GT(full, 80U);
}

TEST(SendErrorReasonTest, MapsEachErrno) {
  EXPECT_EQ(SendErrorReason(0, false), DropReason::kNone);
  for (const int error : {ENOBUFS, EAGAIN, ENOMEM}) {
    EXPECT_EQ(SendErrorReason(error, false), DropReason::kQueueFull);
  }
  for (const int error : {ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, ENETDOWN,
                          ENXIO, ENODEV, EHOSTDOWN}) {
    EXPECT_EQ(SendErrorReason(error, true), DropReason::kNoRoute);
  }
  EXPECT_EQ(SendErrorReason(EMSGSIZE, false), DropReason::kTooBig);
  EXPECT_EQ(SendErrorReason(EINVAL, true), DropReason::kNoRoute);
  EXPECT_EQ(SendErrorReason(EINVAL, false), DropReason::kSendError);
  EXPECT_EQ(SendErrorReason(EPERM, false), DropReason::kSendError);
}

}  // namespace
}  // namespace tunnel
