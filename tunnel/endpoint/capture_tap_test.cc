#include "tunnel/endpoint/capture_tap.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

namespace tunnel {
namespace {

using encap::DropReason;
using Layer = CapturedPacket::Layer;

constexpr size_t kAll = ~size_t{0};

struct Copied {
  CapturedPacket packet;
  std::vector<uint8_t> bytes;
};

std::vector<Copied> DrainAll(CaptureTap& tap, size_t max_packets = kAll,
                             size_t max_bytes = kAll) {
  std::vector<Copied> out;
  tap.Drain(max_packets, max_bytes, [&](const CapturedPacket& packet) {
    out.push_back({packet, {packet.bytes.begin(), packet.bytes.end()}});
  });
  return out;
}

CapturedPacket Packet(const std::vector<uint8_t>& bytes, uint64_t time_ns = 1) {
  return {.time_ns = time_ns,
          .transmit = true,
          .length = static_cast<uint32_t>(bytes.size()),
          .bytes = bytes};
}

TEST(CaptureTapTest, KeepsWhatItIsGivenUpToTheSnapLength) {
  CaptureTap tap({.outer = true, .snap_length = 100}, 1);
  const std::vector<uint8_t> small(60, 7), large(3000, 8);
  tap.Copy(0, {.time_ns = 5,
               .layer = Layer::kInner,
               .transmit = false,
               .drop = DropReason::kTooBig,
               .length = 60,
               .bytes = small});
  tap.Copy(0, Packet(large, 6));
  const std::vector<Copied> got = DrainAll(tap);
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0].bytes, small);
  EXPECT_EQ(got[0].packet.layer, Layer::kInner);
  EXPECT_FALSE(got[0].packet.transmit);
  EXPECT_EQ(got[0].packet.drop, DropReason::kTooBig);
  EXPECT_EQ(got[1].bytes, std::vector<uint8_t>(100, 8));
  EXPECT_EQ(got[1].packet.length, 3000u);
  EXPECT_TRUE(DrainAll(tap).empty());
}

TEST(CaptureTapTest, MergesTheLanesByTime) {
  CaptureTap tap({.outer = true}, 3);
  const std::vector<uint8_t> bytes(20);
  for (const auto& [worker, ns] : std::vector<std::pair<size_t, uint64_t>>{
           {0, 1}, {0, 4}, {1, 2}, {1, 6}, {2, 3}, {2, 5}})
    tap.Copy(worker, Packet(bytes, ns));
  uint64_t last = 0;
  for (const Copied& copied : DrainAll(tap))
    EXPECT_EQ(copied.packet.time_ns, ++last);
  EXPECT_EQ(last, 6u);
}

TEST(CaptureTapTest, FullLaneLosesAndCountsAndGoesOn) {
  CaptureTap tap({.outer = true}, 2);
  const std::vector<uint8_t> bytes(64), large(60'000);
  uint64_t copies = 0;
  for (; tap.lost() == 0; ++copies) tap.Copy(0, Packet(bytes));
  for (int i = 0; i < 9; ++i) tap.Copy(0, Packet(bytes));
  EXPECT_EQ(tap.lost(), 10u);
  // The other kind of buffers, and the other lane, are free.
  tap.Copy(0, Packet(large));
  tap.Copy(1, Packet(bytes));
  EXPECT_EQ(tap.lost(), 10u);
  EXPECT_EQ(DrainAll(tap).size(), copies - 1 + 2);
  tap.Copy(0, Packet(bytes));
  EXPECT_EQ(DrainAll(tap).size(), 1u);
  EXPECT_EQ(tap.lost(), 10u);
}

TEST(CaptureTapTest, DrainStopsAtItsLimits) {
  CaptureTap tap({.outer = true}, 1);
  const std::vector<uint8_t> bytes(1000);
  for (int i = 0; i < 10; ++i) tap.Copy(0, Packet(bytes));
  EXPECT_EQ(DrainAll(tap, 3).size(), 3u);
  EXPECT_EQ(DrainAll(tap, kAll, 1500).size(), 2u);
  EXPECT_EQ(DrainAll(tap).size(), 5u);
}

TEST(CaptureTapTest, CountsTheHandOff) {
  CaptureTap tap({.outer = true}, 2);
  const std::vector<uint8_t> bytes(100);
  for (int i = 0; i < 100; ++i) tap.Copy(0, Packet(bytes));
  for (int i = 0; i < 3; ++i) tap.Copy(1, Packet(bytes));
  EXPECT_EQ(tap.Waiting(), 103u);
  HandoffCounters now = tap.Counters();
  EXPECT_EQ(now.packets, 103u);
  EXPECT_EQ(now.depth, 103u);
  EXPECT_EQ(now.reads, 0u);
  EXPECT_GE(now.capacity, 2 * 2048u);
  EXPECT_EQ(DrainAll(tap, 2).size(), 2u);
  EXPECT_EQ(tap.Waiting(), 101u);
  EXPECT_EQ(DrainAll(tap).size(), 101u);
  now = tap.Counters();
  EXPECT_EQ(now.packets, 103u);
  EXPECT_EQ(now.batches, 103u);
  EXPECT_EQ(now.batch[0], 103u);
  EXPECT_EQ(now.depth, 0u);
  EXPECT_EQ(now.high_watermark, 100u);
  // Of the first lane 2, 64 and 34 packets; 3 of the second.
  EXPECT_EQ(now.reads, 4u);
  EXPECT_EQ(now.depth_sum, 100u + 98u + 34u + 3u);
  EXPECT_EQ(now.depths, (BatchHistogram{0, 1, 0, 0, 0, 1, 2, 0}));
  EXPECT_EQ(now.wakeups, 0u);
  EXPECT_EQ(now.drops, 0u);
  while (tap.lost() == 0) tap.Copy(1, Packet(bytes));
  EXPECT_EQ(tap.Counters().drops, 1u);
}

TEST(TapSetTest, EachTapGetsItsSides) {
  auto outer = std::make_shared<CaptureTap>(CaptureOptions{.outer = true}, 1);
  auto inner = std::make_shared<CaptureTap>(CaptureOptions{.inner = true}, 1);
  auto drops = std::make_shared<CaptureTap>(CaptureOptions{.drops = true}, 1);
  const TapSet set({outer, inner, drops});
  const std::vector<uint8_t> a(1), b(2), c(3);
  set.Outer(0, true, a);
  set.Inner(0, false, b);
  set.Drop(0, true, DropReason::kRecursion, Layer::kInner, c);
  const auto from_outer = DrainAll(*outer), from_inner = DrainAll(*inner),
             from_drops = DrainAll(*drops);
  ASSERT_EQ(from_outer.size(), 1u);
  EXPECT_EQ(from_outer[0].bytes, a);
  EXPECT_GT(from_outer[0].packet.time_ns, 0u);
  ASSERT_EQ(from_inner.size(), 1u);
  EXPECT_EQ(from_inner[0].bytes, b);
  EXPECT_EQ(from_inner[0].packet.layer, Layer::kInner);
  ASSERT_EQ(from_drops.size(), 1u);
  EXPECT_EQ(from_drops[0].packet.drop, DropReason::kRecursion);
}

// Two workers and a reader at once: nothing torn, all accounted for, each lane
// in order.
TEST(CaptureTapTest, WorkersAndReaderAtOnce) {
  constexpr uint32_t kPackets = 20'000;
  CaptureTap tap({.outer = true}, 2);
  std::atomic<int> running{2};
  std::vector<std::thread> workers;
  for (uint8_t worker = 0; worker < 2; ++worker) {
    workers.emplace_back([&tap, &running, worker] {
      std::vector<uint8_t> bytes(64);
      for (uint32_t i = 1; i <= kPackets; ++i) {
        std::memset(bytes.data(), static_cast<int>(i & 0xff), bytes.size());
        std::memcpy(bytes.data(), &i, sizeof i);
        bytes[4] = worker;
        tap.Copy(worker, Packet(bytes, i));
      }
      running.fetch_sub(1);
    });
  }
  uint32_t last[2] = {0, 0};
  uint64_t got = 0, torn = 0;
  const auto check = [&](const CapturedPacket& packet) {
    uint32_t number = 0;
    std::memcpy(&number, packet.bytes.data(), sizeof number);
    uint32_t& before = last[packet.bytes[4]];
    if (number <= before || packet.time_ns != number) ++torn;
    for (size_t i = 5; i < packet.bytes.size(); ++i)
      torn += packet.bytes[i] != (number & 0xff);
    before = number;
    ++got;
  };
  while (running.load() > 0) tap.Drain(64, kAll, check);
  for (std::thread& worker : workers) worker.join();
  while (tap.Drain(64, kAll, check) > 0) {
  }
  EXPECT_EQ(torn, 0u);
  EXPECT_GT(got, 0u);
  EXPECT_EQ(got + tap.lost(), 2u * kPackets);
}

}  // namespace
}  // namespace tunnel
