#include "tunnel/underlay/memory_transport.h"

#include <poll.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "encap/bytes.h"
#include "gtest/gtest.h"
#include "tunnel/base/error.h"

namespace tunnel {
namespace {

using encap::DropReason;
using Bytes = std::vector<uint8_t>;

// GRE over IPv4 with an inner IPv4 UDP packet of `flow` as source port.
Bytes Gre(uint16_t flow) {
  Bytes b(20 + 4 + 28, 0);
  b[0] = 0x45;
  encap::Put16(&b[2], static_cast<uint16_t>(b.size()));
  b[8] = 64;
  b[9] = 47;
  encap::Put32(&b[12], 0xc0000201);
  encap::Put32(&b[16], 0xc0000202);
  encap::Put16(&b[22], 0x0800);
  b[24] = 0x45;
  encap::Put16(&b[26], 28);
  b[33] = 17;
  encap::Put32(&b[36], 0x0a000001);
  encap::Put32(&b[40], 0x0a000002);
  encap::Put16(&b[44], flow);
  encap::Put16(&b[48], 8);
  return b;
}

bool Readable(int fd) {
  pollfd p{fd, POLLIN, 0};
  return poll(&p, 1, 0) == 1;
}

size_t Drain(Transport& transport) {
  size_t n = 0;
  while (true) {
    const auto batch = transport.ReceiveBatch(0);
    if (batch.empty()) return n;
    n += batch.size();
  }
}

DropReason Send(Transport& transport, Bytes bytes) {
  encap::PacketBuffer packet(bytes, 0, bytes.size());
  const SendRoute route{.remote = encap::IpAddress::Parse("192.0.2.2").value(),
                        .ifindex = 7};
  OutgoingPacket out{&packet, &route};
  EXPECT_EQ(transport.SendBatch({&out, 1}), 1U);
  return out.result;
}

TEST(MemoryTransportTest, InjectedPacketWaitsForItsWorker) {
  MemoryTransportFactory factory;
  auto workers = factory.Open(2).value();
  const Bytes bytes = Gre(1);
  ASSERT_TRUE(factory.Inject(1, bytes, 5));
  EXPECT_FALSE(factory.Inject(2, bytes));
  EXPECT_FALSE(Readable(workers[0]->receive_fds().at(0)));
  EXPECT_TRUE(Readable(workers[1]->receive_fds().at(0)));
  const auto batch = workers[1]->ReceiveBatch(0);
  ASSERT_EQ(batch.size(), 1U);
  EXPECT_TRUE(std::ranges::equal(batch[0].packet.bytes(), bytes));
  EXPECT_EQ(batch[0].ifindex, 5U);
  EXPECT_GE(batch[0].packet.headroom(), encap::kMaxEncapHeadroom);
  EXPECT_FALSE(Readable(workers[1]->receive_fds().at(0)));
}

TEST(MemoryTransportTest, SinkSeesWhatWasSent) {
  MemoryTransportFactory factory;
  auto workers = factory.Open(2).value();
  size_t worker = 99;
  Bytes seen;
  uint32_t ifindex = 0;
  factory.SetSink(
      [&](size_t w, std::span<const uint8_t> packet, const SendRoute& route) {
        worker = w;
        seen.assign(packet.begin(), packet.end());
        ifindex = route.ifindex;
      });
  EXPECT_EQ(Send(*workers[1], Gre(3)), DropReason::kNone);
  EXPECT_EQ(worker, 1U);
  EXPECT_EQ(seen, Gre(3));
  EXPECT_EQ(ifindex, 7U);
  EXPECT_EQ(factory.sent(), 1U);
}

TEST(MemoryTransportTest, ConnectedFactorySpreadsByInnerFlow) {
  MemoryTransportFactory a, b;
  auto from = a.Open(1).value();
  auto to = b.Open(4).value();
  a.ConnectTo(b);
  for (uint16_t flow = 0; flow < 256; ++flow) {
    EXPECT_EQ(Send(*from[0], Gre(flow)), DropReason::kNone);
  }
  size_t sum = 0;
  for (const auto& transport : to) {
    const size_t n = Drain(*transport);
    EXPECT_GT(n, 256U / 16);
    sum += n;
  }
  EXPECT_EQ(sum, 256U);
  // One flow stays on one worker.
  for (int i = 0; i < 50; ++i) Send(*from[0], Gre(7));
  EXPECT_EQ(
      std::ranges::count_if(
          to, [](const auto& transport) { return Drain(*transport) > 0; }),
      1);
}

TEST(MemoryTransportTest, ConnectedToItselfLoopsBack) {
  MemoryTransportFactory factory;
  auto workers = factory.Open(1).value();
  factory.ConnectTo(factory);
  Send(*workers[0], Gre(1));
  EXPECT_EQ(Drain(*workers[0]), 1U);
}

TEST(MemoryTransportTest, InjectsFaults) {
  MemoryTransportFactory factory;
  factory.FailOpen(MakeError(Reason::kFdLimit, "injected"));
  EXPECT_EQ(GetReason(factory.Open(1).status()), Reason::kFdLimit);
  auto workers = factory.Open(1).value();
  factory.FailSends(2, DropReason::kQueueFull);
  EXPECT_EQ(Send(*workers[0], Gre(1)), DropReason::kQueueFull);
  EXPECT_EQ(Send(*workers[0], Gre(1)), DropReason::kQueueFull);
  EXPECT_EQ(Send(*workers[0], Gre(1)), DropReason::kNone);
  EXPECT_EQ(factory.sent(), 1U);
}

TEST(MemoryTransportTest, CountsWhatTheQueueCanNotTake) {
  MemoryTransportFactory factory;
  auto workers = factory.Open(1).value();
  for (size_t i = 0; i < MemoryTransportFactory::kQueueLimit; ++i) {
    ASSERT_TRUE(factory.Inject(0, Gre(1)));
  }
  EXPECT_FALSE(factory.Inject(0, Gre(1)));
  EXPECT_EQ(workers[0]->receive_drops(), 1U);
  EXPECT_EQ(Drain(*workers[0]), MemoryTransportFactory::kQueueLimit);
}

TEST(MemoryTransportTest, ManyThreadsLoseNothing) {
  constexpr size_t kThreads = 4, kPackets = 2000;
  MemoryTransportFactory factory;
  auto workers = factory.Open(1).value();
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&factory] {
      for (size_t i = 0; i < kPackets; ++i) {
        while (!factory.Inject(0, Gre(1))) std::this_thread::yield();
      }
    });
  }
  size_t received = 0;
  while (received < kThreads * kPackets) {
    pollfd p{workers[0]->receive_fds().at(0), POLLIN, 0};
    ASSERT_EQ(poll(&p, 1, 5000), 1);
    received += workers[0]->ReceiveBatch(0).size();
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(received, kThreads * kPackets);
}

}  // namespace
}  // namespace tunnel
