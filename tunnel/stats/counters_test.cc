#include "tunnel/stats/counters.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "encap/drop_reason.h"
#include "tunnel/stats/depth_histogram.h"

namespace tunnel {
namespace {

using encap::DropReason;

// On the heap below: GCC 12 misplaces over-aligned objects on the fake stack of
// AddressSanitizer.
static_assert(alignof(TunnelWorkerCounters) == 64);
static_assert(alignof(WorkerCountersOwned) == 64);
static_assert(sizeof(TunnelWorkerCounters) % 64 == 0);

TEST(DepthHistogram, BucketsAreSpansOfPowersOfTwo) {
  EXPECT_EQ(DepthHistogram::Bucket(1), 0u);
  EXPECT_EQ(DepthHistogram::Bucket(2), 1u);
  EXPECT_EQ(DepthHistogram::Bucket(3), 1u);
  EXPECT_EQ(DepthHistogram::Bucket(4), 2u);
  EXPECT_EQ(DepthHistogram::Bucket(127), 6u);
  EXPECT_EQ(DepthHistogram::Bucket(128), 7u);
  EXPECT_EQ(DepthHistogram::Bucket(~size_t{0}), 7u);
}

TEST(DepthHistogram, CountsEachHandOverOnce) {
  DepthHistogram histogram;
  for (size_t depth = 0; depth <= 300; ++depth) histogram.Record(depth);
  BatchHistogram sum{};
  histogram.AddTo(sum);
  EXPECT_EQ(sum, (BatchHistogram{1, 2, 4, 8, 16, 32, 64, 173}));
  histogram.AddTo(sum);
  EXPECT_EQ(sum[0], 2u);
}

TEST(Counters, SumOverWorkersKeepsReasonsApart) {
  std::vector<TunnelWorkerCounters> workers(2);
  TunnelWorkerCounters &a = workers[0], &b = workers[1];
  a.receive_packets.Add(3);
  a.receive_bytes.Add(300);
  a.CountDropRx(DropReason::kNoTunnel);
  a.CountDropTx(DropReason::kTooBig, 4);
  b.receive_packets.Add(2);
  b.transmit_packets.Add(5);
  b.transmit_bytes.Add(500);
  b.CountDropTx(DropReason::kTooBig);
  TunnelCounters sum;
  AddTo(a, sum);
  AddTo(b, sum);
  EXPECT_EQ(sum.receive_packets, 5u);
  EXPECT_EQ(sum.receive_bytes, 300u);
  EXPECT_EQ(sum.transmit_packets, 5u);
  EXPECT_EQ(sum.transmit_bytes, 500u);
  EXPECT_EQ(sum.receive_drops[static_cast<size_t>(DropReason::kNoTunnel)], 1u);
  EXPECT_EQ(sum.transmit_drops[static_cast<size_t>(DropReason::kTooBig)], 5u);
  EXPECT_EQ(std::accumulate(sum.receive_drops.begin(), sum.receive_drops.end(),
                            uint64_t{0}),
            1u);
  EXPECT_EQ(sum.receive_drops[0], 0u);
  EXPECT_FALSE(sum.last_receive.has_value());
}

TEST(Counters, LastReceiveIsTheLatestOfAll) {
  std::vector<TunnelWorkerCounters> workers(3);
  TunnelWorkerCounters &a = workers[0], &b = workers[1], &never = workers[2];
  a.last_receive_ns.Set(2'000'000'000);
  b.last_receive_ns.Set(1'000'000'000);
  TunnelCounters sum;
  AddTo(a, sum);
  AddTo(b, sum);
  AddTo(never, sum);
  EXPECT_EQ(sum.last_receive, absl::FromUnixSeconds(2));
  TunnelCounters retired;
  retired.last_receive = absl::FromUnixSeconds(9);
  retired.transmit_packets = 1;
  retired.transmit_drops[1] = 2;
  AddTo(retired, sum);
  EXPECT_EQ(sum.last_receive, absl::FromUnixSeconds(9));
  EXPECT_EQ(sum.transmit_packets, 1u);
  EXPECT_EQ(sum.transmit_drops[1], 2u);
}

TEST(Counters, SumsAWorker) {
  const auto owned = std::make_unique<WorkerCountersOwned>();
  WorkerCountersOwned& from = *owned;
  from.wakeups.Add(1);
  from.receive_batches.Add(2);
  from.receive_packets.Add(3);
  from.transmit_batches.Add(4);
  from.transmit_packets.Add(5);
  from.socket_drops.Add(6);
  from.receive_batch.Record(8);
  from.transmit_batch.Record(1);
  from.CountUnmatched(DropReason::kWrongSource);
  from.calls(Syscall::kPoll).Add(7);
  from.calls(Syscall::kOther).Add(8);
  WorkerCounters sum;
  sum.worker = 1;
  sum.cpu = 2;
  AddTo(from, sum);
  EXPECT_EQ(sum.worker, 1);
  EXPECT_EQ(sum.cpu, 2);
  EXPECT_EQ(sum.wakeups, 1u);
  EXPECT_EQ(sum.receive_batches, 2u);
  EXPECT_EQ(sum.receive_packets, 3u);
  EXPECT_EQ(sum.transmit_batches, 4u);
  EXPECT_EQ(sum.transmit_packets, 5u);
  EXPECT_EQ(sum.socket_drops, 6u);
  EXPECT_EQ(sum.syscalls, (SyscallCounts{7, 0, 0, 0, 0, 0, 8}));
  EXPECT_EQ(sum.receive_batch[3], 1u);
  EXPECT_EQ(sum.transmit_batch[0], 1u);
  DropCounts unmatched{};
  AddTo(from.unmatched_drops, unmatched);
  EXPECT_EQ(unmatched[static_cast<size_t>(DropReason::kWrongSource)], 1u);
}

TEST(Counters, AReaderNeverSeesACounterFall) {
  const auto owned = std::make_unique<TunnelWorkerCounters>();
  TunnelWorkerCounters& counters = *owned;
  std::atomic<bool> stop{false};
  std::thread owner([&] {
    for (int i = 0; i < 200'000; ++i) counters.transmit_packets.Add(3);
    stop.store(true);
  });
  uint64_t last = 0;
  while (!stop.load()) {
    const uint64_t now = counters.transmit_packets.value();
    EXPECT_GE(now, last);
    EXPECT_EQ(now % 3, 0u);
    last = now;
  }
  owner.join();
  EXPECT_EQ(counters.transmit_packets.value(), 600'000u);
}

}  // namespace
}  // namespace tunnel
