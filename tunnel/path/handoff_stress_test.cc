// Hand-offs under pressure: endpoints that go, steering that is switched and
// lanes that are resized while packets are on their way. fault_test runs it
// with each seeded fault of the hand-off.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "tunnel/path/handoff.h"
#include "tunnel/path/handoff_fixture.h"

namespace tunnel {
namespace {

using std::chrono::milliseconds;

class HandoffStress : public HandoffFixture {
 protected:
  explicit HandoffStress(Dispatch dispatch = Dispatch::kHybrid)
      : HandoffFixture(dispatch) {}

  // The other worker, until `stop` and until nothing waits: gives each slot to
  // `write` and then back.
  template <typename Write>
  std::thread StartReceiver(const std::atomic<bool>& stop, Write write) {
    return std::thread([this, &stop, write] {
      HandoffLane& lane = *receiver_.lane_from(0);
      while (!stop.load(std::memory_order_acquire) || lane.Waiting() != 0) {
        if (!receiver_.PrepareSleep()) lanes_->bell(1).Sleep(milliseconds(5));
        receiver_.Awake();
        WriteWaiting(lane, write);
      }
    });
  }
  template <typename Write>
  static void WriteWaiting(HandoffLane& lane, const Write& write) {
    const size_t count = std::min<size_t>(lane.Waiting(), 64);
    if (count == 0) return;
    lane.CountDepth();
    for (size_t i = 0; i < count; ++i) write(lane.at(i));
    lane.Done(count);
  }
};

// Whoever waits for the lanes may free an endpoint, and every packet arrives
// once and in order.
TEST_F(HandoffStress, AnEndpointMayGoWhenWhatWasHandedOverIsWritten) {
  constexpr int kEndpoints = 40;
  constexpr uint32_t kPackets = 500;
  std::atomic<bool> stop{false};
  uint64_t written = 0, disorder = 0;
  uint32_t next = 0;
  std::thread worker = StartReceiver(stop, [&](HandoffSlot& slot) {
    disorder += Number(slot) != next;
    next = Number(slot) + 1;
    slot.endpoint->counters(1).receive_packets.Add(1);
    ++written;
  });
  uint32_t number = 0;
  for (int round = 0; round < kEndpoints; ++round) {
    const auto endpoint = NewEndpoint();
    for (uint32_t i = 0; i < kPackets; ++i) {
      while (!sender_.Stage(1, 0, *endpoint, false, Packet(number), 0)) {
        sender_.Flush();
        std::this_thread::yield();
      }
      ++number;
      if (i % 16 == 0) sender_.Flush();
    }
    sender_.Flush();
    lanes_->WaitDelivered();
    EXPECT_EQ(endpoint->counters(1).receive_packets.value(), kPackets)
        << "not written yet";
  }
  stop.store(true, std::memory_order_release);
  worker.join();
  EXPECT_EQ(written, uint64_t{kEndpoints} * kPackets);
  EXPECT_EQ(disorder, 0u);
}

// What is written, in the order in which it is. Any thread.
class Log {
 public:
  static constexpr uint32_t kFlows = 8;

  explicit Log(size_t packets) : numbers_(packets) {}
  // Number n belongs to flow n % kFlows.
  void Write(uint32_t number) {
    numbers_.at(next_.fetch_add(1, std::memory_order_relaxed)) = number;
  }
  size_t size() const { return next_.load(std::memory_order_relaxed); }
  size_t Disorder() const {
    std::array<uint32_t, kFlows> next{};
    size_t disorder = 0;
    for (const uint32_t number : numbers_) {
      disorder += number / kFlows != next.at(number % kFlows);
      next[number % kFlows] = number / kFlows + 1;
    }
    return disorder;
  }

 private:
  std::vector<uint32_t> numbers_;
  std::atomic<size_t> next_{0};
};

class HandoffOrder : public HandoffStress,
                     public testing::WithParamInterface<Dispatch> {
 protected:
  HandoffOrder() : HandoffStress(GetParam()) {}

  // One more packet, as a worker does with it. A flow of either worker goes by
  // one number, and so does one of a tunnel that does not steer.
  void Receive(SteerMode mode, uint32_t number, Endpoint& endpoint, Log& log) {
    const uint32_t of_tunnel = number % Log::kFlows;
    const uint32_t flow = FlowAt(number % 2, of_tunnel / 2 % 2);
    if (of_tunnel >= Log::kFlows / 2) mode = SteerMode::kDirect;
    const size_t to = sender_.Route(mode, flow);
    if (to == Handoff::kHere) return log.Write(number);
    while (sender_.OwnLaneFirst(to, flow)) EndBatch(log);
    while (!sender_.Stage(to, flow, endpoint, false, Packet(number), 0)) {
      EndBatch(log);
      std::this_thread::yield();
    }
  }
  void EndBatch(Log& log) {
    sender_.Flush();
    HandoffLane* const own = sender_.lane_from(0);
    if (own == nullptr) return;
    WriteWaiting(*own, [&](HandoffSlot& slot) { log.Write(Number(slot)); });
  }

  // Numbers 0 to `count` - 1; steering is switched after each `period`. Returns
  // when all are written.
  void ReceiveAll(uint32_t count, uint32_t period, Endpoint& endpoint,
                  Log& log) {
    for (uint32_t i = 0; i < count; ++i) {
      const bool steered = i / period % 2 == 0;
      Receive(steered ? SteerMode::kSteered : SteerMode::kSettling, i, endpoint,
              log);
      if (i % 7 == 0) EndBatch(log);
    }
    while (log.size() < count) {
      EndBatch(log);
      std::this_thread::yield();
    }
  }
};

TEST_P(HandoffOrder, IsKeptWhileSteeringIsSwitched) {
  constexpr uint32_t kPackets = 40'000;
  const auto endpoint = NewEndpoint();
  Log log(kPackets);
  std::atomic<bool> stop{false};
  std::thread worker = StartReceiver(stop, [&](HandoffSlot& slot) {
    if (Number(slot) % 61 == 0) std::this_thread::yield();
    log.Write(Number(slot));
  });
  ReceiveAll(kPackets, 23, *endpoint, log);
  stop.store(true, std::memory_order_release);
  worker.join();
  EXPECT_EQ(log.Disorder(), 0u) << "flows out of order";
  const HandoffCounters handed = lanes_->Counters()[1];
  EXPECT_GT(handed.packets, 0u);
  EXPECT_LT(handed.packets, kPackets);
}

// A control thread changes the room all the while, as fast as it can.
TEST_P(HandoffOrder, IsKeptWhileLanesAreResized) {
  constexpr uint32_t kPackets = 40'000;
  const auto endpoint = NewEndpoint();
  Log log(kPackets);
  std::atomic<bool> stop{false}, sent{false};
  std::thread worker = StartReceiver(stop, [&](HandoffSlot& slot) {
    if (Number(slot) % 61 == 0) std::this_thread::yield();
    log.Write(Number(slot));
  });
  size_t resized = 0;
  std::thread control([&] {
    for (; !sent.load(std::memory_order_acquire) || resized < 300; ++resized) {
      ASSERT_TRUE(lanes_->Resize(size_t{16} << resized % 5).ok());
      if (resized % 7 == 0) lanes_->Reclaim();
      std::this_thread::yield();
    }
  });
  ReceiveAll(kPackets, 230, *endpoint, log);
  sent.store(true, std::memory_order_release);
  control.join();
  stop.store(true, std::memory_order_release);
  worker.join();
  EXPECT_EQ(log.Disorder(), 0u) << "flows out of order";
  EXPECT_GE(resized, 300u);
  EXPECT_EQ(lanes_->Counters()[1].depth, 0u);
}

INSTANTIATE_TEST_SUITE_P(Dispatch, HandoffOrder,
                         testing::Values(Dispatch::kHybrid,
                                         Dispatch::kDeferred),
                         [](const testing::TestParamInfo<Dispatch>& info) {
                           return info.param == Dispatch::kHybrid ? "Hybrid"
                                                                  : "Deferred";
                         });

}  // namespace
}  // namespace tunnel
