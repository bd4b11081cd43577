// Runs of outer UDP packets through the kernel: what arrives is what would have
// come from a raw socket, merged or not.

#include "tunnel/underlay/packet_sender.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "encap/bytes.h"
#include "encap/checksum.h"
#include "encap/merged_udp.h"
#include "encap/wire/udp.h"
#include "gtest/gtest.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/underlay/linux_transport_for_test.h"

namespace tunnel {
namespace {

using encap::DropReason;
using encap::IpFamily;

constexpr uint16_t kPort = 4754;
constexpr uint16_t kSource = 50123;

struct Wish {
  uint8_t tos = 0x29;
  uint8_t ttl = 33;
  bool dont_fragment = true;
  uint32_t label = 0xabcde;
  bool checksum = true;
  uint16_t source_port = kSource;
};

// A finished outer packet from 10.0.0.1 or fd00::1 with GRE and `text` bytes in
// an inner packet that tells `number`.
Bytes Packet(bool v6, uint16_t number, size_t text, const Wish& wish = {}) {
  Bytes udp(8);
  const Bytes gre = GreWithKey(number, text);
  udp.insert(udp.end(), gre.begin(), gre.end());
  encap::Put16(&udp[0], wish.source_port);
  encap::Put16(&udp[2], kPort);
  encap::Put16(&udp[4], static_cast<uint16_t>(udp.size()));
  Bytes b =
      Outer(v6 ? "fd00::1" : "10.0.0.1", v6 ? "fd00::2" : "10.0.0.2", 17, udp);
  if (v6) {
    encap::Put32(&b[0], 0x60000000u | uint32_t{wish.tos} << 20 | wish.label);
    b[7] = wish.ttl;
  } else {
    b[1] = wish.tos;
    encap::Put16(&b[6], wish.dont_fragment ? 0x4000 : 0);
    b[8] = wish.ttl;
  }
  if (!wish.checksum) return b;
  const size_t at = v6 ? 40 : 20;
  const auto len = static_cast<uint16_t>(udp.size());
  const uint16_t pseudo =
      v6 ? encap::PseudoHeaderSumV6(&b[8], &b[24], encap::kProtoUdp, len)
         : encap::PseudoHeaderSumV4(&b[12], &b[16], encap::kProtoUdp, len);
  encap::StoreBe16(&b[at + 6],
                   encap::ChecksumFromSum(encap::AddSums(
                       encap::PartialSum(std::span(b).subspan(at)), pseudo)));
  return b;
}

class PacketSenderTest : public LinuxTransportTest {
 protected:
  void SetUp() override {
    LinuxTransportTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    MakeWire();
    Open(1);
    for (const IpFamily family : {IpFamily::kV4, IpFamily::kV6})
      ASSERT_TRUE(factory_.TakeUdpPort({family, kPort}).ok());
    auto sender = PacketSender::Open(/*by_link=*/false);
    ASSERT_TRUE(sender.ok()) << sender.status();
    sender_ = std::move(sender).value();
  }

  // Every packet leaves by itself, with whole checksums.
  void WithoutOffloads() {
    ASSERT_EQ(std::system("ethtool -K va tx off tso off gso off "
                          "tx-udp-segmentation off >/dev/null"),
              0);
  }

  std::vector<DropReason> SendAll(std::vector<Bytes> storage) {
    std::vector<encap::PacketBuffer> packets;
    for (Bytes& bytes : storage) packets.emplace_back(bytes, 0, bytes.size());
    std::vector<OutgoingPacket> out;
    for (size_t i = 0; i < packets.size(); ++i) {
      out.push_back({&packets[i], storage[i][0] >> 4 == 6 ? &v6_ : &v4_,
                     DropReason::kSendError});
    }
    calls_ = sender_->SendBatch(out);
    std::vector<DropReason> results;
    for (const OutgoingPacket& packet : out) results.push_back(packet.result);
    return results;
  }

  // What comes for the port, merged packets taken apart: UDP payloads.
  std::vector<Bytes> Payloads(bool v6, size_t n) {
    std::vector<Bytes> all;
    merged_ = 0;
    for (int tries = 0; tries < 400 && all.size() < n; ++tries) {
      for (IncomingPacket& in : workers_[0]->ReceiveBatch(v6 ? 1 : 0)) {
        TakeApart(in.packet, v6 ? 48 : 28, all);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return all;
  }

  const SendRoute v4_{.remote = Address("10.0.0.2")};
  const SendRoute v6_{.remote = Address("fd00::2")};
  std::unique_ptr<PacketSender> sender_;
  size_t calls_ = 0;
  size_t merged_ = 0;  // packets that came as part of a super-packet

 private:
  void TakeApart(encap::PacketBuffer& packet, size_t headers,
                 std::vector<Bytes>& all) {
    encap::MergedUdp parts;
    if (!encap::MergedUdp::Start(packet, {.any_udp_port = true}, parts)) {
      const auto bytes = packet.bytes().subspan(headers);
      all.emplace_back(bytes.begin(), bytes.end());
      return;
    }
    while (!parts.done()) {
      encap::PacketBuffer part;
      encap::OuterInfo info;
      EXPECT_EQ(parts.Next(part, info), DropReason::kNone);
      const auto bytes = part.bytes().subspan(headers);
      all.emplace_back(bytes.begin(), bytes.end());
      ++merged_;
    }
  }
};

std::vector<Bytes> PacketRun(bool v6, size_t n, const Wish& wish = {}) {
  std::vector<Bytes> run;
  for (size_t i = 0; i < n; ++i) {
    run.push_back(
        Packet(v6, static_cast<uint16_t>(i), i + 1 == n ? 700 : 1000, wish));
  }
  return run;
}

size_t Sent(const std::vector<DropReason>& results) {
  size_t n = 0;
  for (const DropReason result : results) n += result == DropReason::kNone;
  return n;
}

TEST_F(PacketSenderTest, RunArrivesAsItWasMade) {
  WithoutOffloads();
  Wish plain;
  plain.tos = 0;
  plain.label = 0;
  Wish fragments;
  fragments.dont_fragment = false;
  uint16_t port = kSource;
  for (Wish wish : {Wish{}, plain, fragments}) {
    for (const bool v6 : {false, true}) {
      wish.source_port = port++;
      const std::vector<Bytes> run = PacketRun(v6, 10, wish);
      EXPECT_EQ(Sent(SendAll(run)), run.size());
      EXPECT_EQ(calls_, 1U);
      const auto received = Receive(run.size());
      ASSERT_EQ(received.size(), run.size());
      for (size_t i = 0; i < run.size(); ++i)
        ExpectSamePacket(received[i].bytes, run[i]);
      // Alone it takes the same way.
      EXPECT_EQ(Sent(SendAll({run[3]})), 1U);
      const auto alone = Receive(1);
      ASSERT_EQ(alone.size(), 1U);
      ExpectSamePacket(alone[0].bytes, run[3]);
    }
  }
  EXPECT_EQ(sender_->udp().open_sockets(), 6U);
}

TEST_F(PacketSenderTest, SuperPacketCrossesToTheReceiverWhole) {
  for (const bool v6 : {false, true}) {
    const std::vector<Bytes> run = PacketRun(v6, 44);
    EXPECT_EQ(Sent(SendAll(run)), run.size());
    EXPECT_EQ(calls_, 1U);
    const auto payloads = Payloads(v6, run.size());
    ASSERT_EQ(payloads.size(), run.size());
    for (size_t i = 0; i < run.size(); ++i)
      EXPECT_EQ(payloads[i],
                Bytes(run[i].begin() + (v6 ? 48 : 28), run[i].end()));
    EXPECT_EQ(merged_, run.size());
  }
}

TEST_F(PacketSenderTest, KernelMergesForThePort) {
  // Single packets on the wire; each waits a little for the next.
  ASSERT_EQ(std::system("ethtool -K va tso off tx-udp-segmentation off "
                        ">/dev/null && ethtool -K vb gro on && "
                        "unshare -m sh -c 'mount -t sysfs sysfs /sys && echo "
                        "20000000 > /sys/class/net/vb/gro_flush_timeout'"),
            0);
  for (const bool v6 : {false, true}) {
    const std::vector<Bytes> run = PacketRun(v6, 20);
    EXPECT_EQ(Sent(SendAll(run)), run.size());
    const auto payloads = Payloads(v6, run.size());
    ASSERT_EQ(payloads.size(), run.size());
    for (size_t i = 0; i < run.size(); ++i)
      EXPECT_EQ(payloads[i],
                Bytes(run[i].begin() + (v6 ? 48 : 28), run[i].end()));
    EXPECT_GT(merged_, run.size() / 2);
  }
}

TEST_F(PacketSenderTest, OrderAndResultsHoldInAMixedBatch) {
  WithoutOffloads();
  std::vector<Bytes> batch;
  Wish none;
  none.checksum = false;
  Wish other;
  other.source_port = 50999;
  for (uint16_t i = 0; i < 3; ++i) batch.push_back(Packet(false, i, 100));
  batch.push_back(Packet(false, 3, 100, none));
  batch.push_back(Outer("10.0.0.1", "10.0.0.2", 47, GreWithKey(4, 100)));
  batch.push_back(Packet(false, 5, 100, other));
  batch.push_back(Packet(false, 6, 2000));  // more than the link takes
  batch.push_back(Packet(false, 7, 100));
  batch.push_back(Packet(false, 8, 100));
  const auto results = SendAll(batch);
  for (size_t i = 0; i < batch.size(); ++i) {
    EXPECT_EQ(results[i], i == 6 ? DropReason::kTooBig : DropReason::kNone)
        << i;
  }
  batch.erase(batch.begin() + 6);
  const auto received = Receive(batch.size());
  ASSERT_EQ(received.size(), batch.size());
  for (size_t i = 0; i < batch.size(); ++i)
    ExpectSamePacket(received[i].bytes, batch[i]);
}

TEST_F(PacketSenderTest, RefusedRunsLeaveByTheRawSocket) {
  WithoutOffloads();
  // The port is another program's.
  const UniqueFd holder(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = htons(kSource);
  ASSERT_EQ(bind(holder.get(), reinterpret_cast<sockaddr*>(&any), sizeof(any)),
            0);
  EXPECT_EQ(Sent(SendAll(PacketRun(false, 5))), 5U);
  EXPECT_EQ(sender_->udp().open_sockets(), 0U);
  EXPECT_EQ(Receive(5).size(), 5U);
  // The source address is none of this host: a raw socket sends it all the
  // same.
  Wish wish;
  wish.source_port = 50500;
  std::vector<Bytes> run = PacketRun(false, 5, wish);
  for (Bytes& bytes : run) bytes[15] = 77;
  EXPECT_EQ(Sent(SendAll(run)), 5U);
  EXPECT_EQ(calls_, 2U) << "refused once";
  EXPECT_EQ(Receive(5).size(), 5U);
  EXPECT_EQ(Sent(SendAll(run)), 5U);
  EXPECT_EQ(calls_, 1U) << "and not asked again";
}

TEST_F(PacketSenderTest, SourcePortDoesNotStandInTheWayOfATunnel) {
  EXPECT_EQ(Sent(SendAll(PacketRun(false, 2))), 2U);
  EXPECT_EQ(sender_->udp().open_sockets(), 1U);
  EXPECT_TRUE(factory_.TakeUdpPort({IpFamily::kV4, kSource}).ok());
  const UniqueFd other(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ASSERT_EQ(setsockopt(other.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)),
            0);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = htons(kSource);
  EXPECT_NE(bind(other.get(), reinterpret_cast<sockaddr*>(&any), sizeof(any)),
            0)
      << "the tunnel shares it with nobody";
}

TEST_F(PacketSenderTest, FullDeviceQueueIsReported) {
  ThrottleWire();
  size_t full = 0;
  for (int i = 0; i < 20; ++i) {
    for (const DropReason result : SendAll(PacketRun(false, 4)))
      full += result == DropReason::kQueueFull;
  }
  EXPECT_GT(full, 60U);
}

TEST(UdpSocketsTest, NumberIsBounded) {
  UdpSockets sockets;
  uint64_t now = 5'000'000'000;
  for (uint16_t i = 0; i < 1000; ++i) {
    sockets.FindOrOpen({false, true, static_cast<uint16_t>(20000 + i)}, now);
  }
  EXPECT_LE(sockets.open(), UdpSockets::kMaxSockets);
  EXPECT_GT(sockets.open(), UdpSockets::kMaxSockets / 2);
  EXPECT_LT(sockets.FindOrOpen({false, true, 21500}, now), 0) << "all in use";
  now += UdpSockets::kIdleNs;
  const int fd = sockets.FindOrOpen({false, true, 21500}, now);
  EXPECT_GE(fd, 0) << "one gives way";
  EXPECT_EQ(sockets.Find({false, true, 21500}, now), fd);
  EXPECT_LT(sockets.Find({false, false, 21500}, now), 0) << "DF is part of it";
  sockets.Refuse({false, true, 21500}, now);
  EXPECT_LT(sockets.FindOrOpen({false, true, 21500}, now), 0);
  now += UdpSockets::kRefusedNs;
  EXPECT_EQ(sockets.FindOrOpen({false, true, 21500}, now), fd);
  now += UdpSockets::kUnusedNs;
  sockets.Sweep(now);
  EXPECT_EQ(sockets.open(), 0U);
}

}  // namespace
}  // namespace tunnel
