#include "tunnel/path/handoff.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <set>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"
#include "tunnel/path/handoff_fixture.h"

namespace tunnel {
namespace {

constexpr size_t kHere = Handoff::kHere;

class HandoffTest : public HandoffFixture {
 protected:
  explicit HandoffTest(Dispatch dispatch = Dispatch::kHybrid)
      : HandoffFixture(dispatch) {}
  bool Stage(Handoff& from, size_t to, Endpoint& endpoint, uint32_t number,
             uint32_t flow = 0) {
    return from.Stage(to, flow, endpoint, false, Packet(number), 0);
  }
};

TEST_F(HandoffTest, HasALaneBetweenEachTwoWorkers) {
  EXPECT_EQ(lanes_->lane(0, 0), nullptr);
  EXPECT_EQ(receiver_.lane_from(0), lanes_->lane(0, 1));
  EXPECT_NE(lanes_->lane(1, 0), lanes_->lane(0, 1));
}

TEST_F(HandoffTest, PacketsArriveWhenTheyArePublished) {
  const auto endpoint = NewEndpoint();
  HandoffLane& lane = *receiver_.lane_from(0);
  encap::PacketBuffer packet = Packet(7, 60'000);
  packet.hint().gso_size = 1400;
  ASSERT_TRUE(sender_.Stage(1, 5, *endpoint, false, packet, 99));
  EXPECT_EQ(lane.Waiting(), 0u);
  sender_.Flush();
  std::memset(storage_.data(), 0xff, storage_.size());
  ASSERT_EQ(lane.Waiting(), 1u);
  HandoffSlot& slot = lane.at(0);
  EXPECT_EQ(Number(slot), 7u);
  EXPECT_EQ(slot.packet.size(), 60'000u);
  EXPECT_EQ(slot.packet.hint().gso_size, 1400);
  EXPECT_GE(slot.packet.headroom(), kTunHeadroom);
  EXPECT_EQ(slot.endpoint, endpoint.get());
  EXPECT_EQ(slot.receive_ns, 99u);
  lane.Done(1);
}

TEST_F(HandoffTest, AFlowIsSettledWhenAllOfItIsWritten) {
  const auto endpoint = NewEndpoint();
  HandoffLane& lane = *receiver_.lane_from(0);
  EXPECT_TRUE(lane.Settled(5));
  ASSERT_TRUE(Stage(sender_, 1, *endpoint, 0, 5));
  EXPECT_FALSE(lane.Settled(5));
  EXPECT_TRUE(lane.Settled(6));
  ASSERT_TRUE(Stage(sender_, 1, *endpoint, 0, 6));
  sender_.Flush();
  ASSERT_EQ(lane.Waiting(), 2u);
  EXPECT_FALSE(lane.Settled(5)) << "taken is not yet written";
  lane.Done(1);
  EXPECT_TRUE(lane.Settled(5));
  EXPECT_FALSE(lane.Settled(6));
  lane.Done(1);
  EXPECT_TRUE(lane.Settled(6));
}

TEST_F(HandoffTest, AFullLaneRefusesAndCounts) {
  const auto endpoint = NewEndpoint();
  const uint64_t capacity = lanes_->Counters()[1].capacity;
  for (uint64_t i = 0; i < capacity; ++i)
    ASSERT_TRUE(Stage(sender_, 1, *endpoint, i));
  EXPECT_FALSE(Stage(sender_, 1, *endpoint, 0));
  sender_.Flush();
  EXPECT_FALSE(Stage(sender_, 1, *endpoint, 0));
  HandoffLane& lane = *receiver_.lane_from(0);
  lane.CountDepth();
  lane.Done(lane.Waiting());
  EXPECT_TRUE(Stage(sender_, 1, *endpoint, 0));
  const HandoffCounters counters = lanes_->Counters()[1];
  EXPECT_EQ(counters.packets, capacity);
  EXPECT_EQ(counters.drops, 2u);
  EXPECT_EQ(counters.batches, 1u);
  EXPECT_EQ(counters.reads, 1u);
  EXPECT_EQ(counters.depth_sum, capacity);
  EXPECT_EQ(counters.high_watermark, capacity);
  EXPECT_EQ(counters.depth, 0u);
  EXPECT_EQ(counters.wakeups, 0u) << "nobody has slept";
  EXPECT_EQ(lanes_->Counters()[0].packets, 0u);
}

TEST_F(HandoffTest, AResizeWaitsForTheBatchAndTakesWhatWaitsFirst) {
  const auto endpoint = NewEndpoint();
  HandoffLane& lane = *receiver_.lane_from(0);
  ASSERT_TRUE(lanes_->Resize(16).ok());
  EXPECT_EQ(lanes_->slots(), 16u);
  // The receiver turns to a new storage when it looks for packets there.
  ASSERT_TRUE(Stage(sender_, 1, *endpoint, 0));
  sender_.Flush();
  ASSERT_EQ(lane.Waiting(), 1u);
  lane.Done(1);
  const uint32_t first = 1;
  uint32_t number = first;
  for (int i = 0; i < 10; ++i)
    ASSERT_TRUE(Stage(sender_, 1, *endpoint, number++));
  // The batch that has begun ends where it is.
  ASSERT_TRUE(lanes_->Resize(100).ok());
  EXPECT_EQ(lanes_->slots(), 128u);
  EXPECT_EQ(lanes_->Counters()[1].capacity, 128u);
  for (int i = 0; i < 6; ++i)
    ASSERT_TRUE(Stage(sender_, 1, *endpoint, number++));
  EXPECT_FALSE(Stage(sender_, 1, *endpoint, 0)) << "the old room is full";
  sender_.Flush();
  for (int i = 0; i < 128; ++i)
    ASSERT_TRUE(Stage(sender_, 1, *endpoint, number++, 5));
  EXPECT_FALSE(Stage(sender_, 1, *endpoint, 0));
  sender_.Flush();
  // Back again: in force when the receiver has left the first storage.
  ASSERT_TRUE(lanes_->Resize(16).ok());
  EXPECT_FALSE(Stage(sender_, 1, *endpoint, 0));
  EXPECT_EQ(lanes_->Counters()[1].depth, 144u);
  for (uint32_t next = first; next < number; ++next) {
    ASSERT_GT(lane.Waiting(), 0u);
    EXPECT_EQ(Number(lane.at(0)), next);
    EXPECT_EQ(lane.Settled(5), false);
    lane.Done(1);
  }
  EXPECT_EQ(lane.Waiting(), 0u);
  EXPECT_TRUE(lane.Settled(5));
  lanes_->WaitDelivered();
  lanes_->Reclaim();
  for (int i = 0; i < 16; ++i)
    ASSERT_TRUE(Stage(sender_, 1, *endpoint, number++));
  EXPECT_FALSE(Stage(sender_, 1, *endpoint, 0));
  lanes_->Discard();
}

TEST_F(HandoffTest, AResizeOutOfBoundsChangesNothing) {
  const size_t before = lanes_->slots();
  for (const size_t slots : {size_t{0}, size_t{15}, size_t{16385}}) {
    const absl::Status status = lanes_->Resize(slots);
    EXPECT_EQ(GetReason(status), Reason::kFieldInvalid);
    EXPECT_EQ(status.message(),
              absl::StrCat("packets: ", slots, "; want 16 to 16384"));
  }
  EXPECT_EQ(lanes_->slots(), before);
  EXPECT_EQ(GetReason(HandoffLanes::Create(2, Dispatch::kHybrid, 5).status()),
            Reason::kFieldInvalid);
  for (const auto& none : {HandoffLanes::Create(1, Dispatch::kHybrid),
                           HandoffLanes::Create(2, Dispatch::kDirect)}) {
    EXPECT_EQ((*none)->slots(), 0u);
    EXPECT_EQ(GetReason((*none)->Resize(64)), Reason::kInvalidState);
  }
}

TEST_F(HandoffTest, ASleepingWorkerIsRungForOnceABatch) {
  const auto endpoint = NewEndpoint();
  EXPECT_FALSE(receiver_.PrepareSleep());
  for (uint32_t i = 0; i < 9; ++i) ASSERT_TRUE(Stage(sender_, 1, *endpoint, i));
  EXPECT_FALSE(sender_.BatchIsFull(1));
  EXPECT_FALSE(sender_.OwnLaneFirst(1, 0)) << "there is none";
  sender_.Flush();
  sender_.Flush();
  EXPECT_EQ(lanes_->Counters()[1].wakeups, 1u);
  EXPECT_TRUE(receiver_.PrepareSleep()) << "there is something to do";
  receiver_.Awake();
  lanes_->Discard();
  EXPECT_EQ(receiver_.lane_from(0)->Waiting(), 0u);
}

TEST_F(HandoffTest, ABatchIsFullBeforeItsLane) {
  const auto endpoint = NewEndpoint();
  for (uint32_t i = 0; i < Handoff::kBatch; ++i) {
    EXPECT_FALSE(sender_.BatchIsFull(1));
    ASSERT_TRUE(Stage(sender_, 1, *endpoint, i));
  }
  EXPECT_TRUE(sender_.BatchIsFull(1));
  EXPECT_FALSE(sender_.OwnLaneFirst(1, 0)) << "there is none";
  sender_.Flush();
  EXPECT_FALSE(sender_.BatchIsFull(1));
}

TEST_F(HandoffTest, FlowsHaveAWorkerEach) {
  std::set<size_t> routes;
  for (uint8_t source = 0; source < 32; ++source) {
    encap::PacketBuffer packet = Packet(0);
    packet.data()[3] = 28;
    packet.data()[15] = source;
    const uint32_t flow = Handoff::FlowOf(packet, false);
    const size_t route = sender_.Route(SteerMode::kSteered, flow);
    EXPECT_EQ(receiver_.Route(SteerMode::kSteered, flow) == kHere, route == 1);
    routes.insert(route);
  }
  EXPECT_EQ(routes, (std::set<size_t>{1, kHere}));
}

TEST_F(HandoffTest, HybridGoesDirectWhereNothingOfTheFlowIsQueued) {
  const auto endpoint = NewEndpoint();
  const uint32_t own = FlowAt(0), other = FlowAt(1);
  EXPECT_FALSE(sender_.Concerns(SteerMode::kDirect));
  EXPECT_TRUE(sender_.Concerns(SteerMode::kSettling));
  EXPECT_EQ(sender_.Route(SteerMode::kSteered, own), kHere);
  EXPECT_EQ(sender_.Route(SteerMode::kSteered, other), 1u);
  EXPECT_EQ(sender_.Route(SteerMode::kSettling, other), kHere);
  ASSERT_TRUE(Stage(sender_, 1, *endpoint, 0, other));
  EXPECT_EQ(sender_.Route(SteerMode::kSettling, other), 1u);
  EXPECT_EQ(sender_.Route(SteerMode::kSettling, FlowAt(1, 1)), kHere);
  sender_.Flush();
  ASSERT_EQ(receiver_.lane_from(0)->Waiting(), 1u);
  receiver_.lane_from(0)->Done(1);
  EXPECT_EQ(sender_.Route(SteerMode::kSettling, other), kHere);
}

class DeferredHandoffTest : public HandoffTest {
 protected:
  DeferredHandoffTest() : HandoffTest(Dispatch::kDeferred) {}
};

TEST_F(DeferredHandoffTest, EveryPacketGoesByALane) {
  const auto endpoint = NewEndpoint();
  const uint32_t other = FlowAt(1);
  EXPECT_TRUE(sender_.Concerns(SteerMode::kDirect));
  EXPECT_EQ(sender_.Route(SteerMode::kDirect, other), 0u);
  EXPECT_EQ(sender_.Route(SteerMode::kSteered, FlowAt(0)), 0u);
  EXPECT_EQ(sender_.Route(SteerMode::kSteered, other), 1u);
  EXPECT_EQ(sender_.Route(SteerMode::kSettling, other), 0u);
  // On its way there a flow waits for what this worker itself writes; on its
  // way back it stays until the other one has written all of it.
  ASSERT_TRUE(Stage(sender_, 0, *endpoint, 0, other));
  EXPECT_EQ(sender_.Route(SteerMode::kSteered, other), 1u);
  EXPECT_TRUE(sender_.OwnLaneFirst(1, other));
  EXPECT_FALSE(sender_.OwnLaneFirst(0, other));
  sender_.Flush();
  EXPECT_TRUE(sender_.OwnLaneFirst(1, other));
  ASSERT_EQ(sender_.lane_from(0)->Waiting(), 1u);
  sender_.lane_from(0)->Done(1);
  EXPECT_FALSE(sender_.OwnLaneFirst(1, other));
  ASSERT_TRUE(Stage(sender_, 1, *endpoint, 0, other));
  EXPECT_EQ(sender_.Route(SteerMode::kSettling, other), 1u);
}

// Two flows that one number stands for, one of each worker.
TEST_F(DeferredHandoffTest, AFlowStaysWithItsWorkerWhateverAnotherOneDoes) {
  const auto endpoint = NewEndpoint();
  const uint32_t other = FlowAt(1);
  ASSERT_TRUE(Stage(sender_, 1, *endpoint, 0, other));
  ASSERT_TRUE(Stage(sender_, 0, *endpoint, 1, FlowAt(0)));
  EXPECT_EQ(sender_.Route(SteerMode::kSteered, other), 1u);
}

TEST_F(DeferredHandoffTest, AWorkerMakesRoomInItsOwnLane) {
  const auto endpoint = NewEndpoint();
  while (!sender_.OwnLaneFirst(0, 0))
    ASSERT_TRUE(Stage(sender_, 0, *endpoint, 0));
  EXPECT_FALSE(Stage(sender_, 0, *endpoint, 0));
  sender_.Flush();
  sender_.lane_from(0)->Done(1);
  EXPECT_FALSE(sender_.OwnLaneFirst(0, 0));
  EXPECT_TRUE(Stage(sender_, 0, *endpoint, 0));
}

TEST_F(DeferredHandoffTest, AWorkerSeesItsOwnLaneBeforeItSleeps) {
  const auto endpoint = NewEndpoint();
  EXPECT_FALSE(sender_.PrepareSleep());
  ASSERT_TRUE(Stage(sender_, 0, *endpoint, 0));
  sender_.Flush();
  EXPECT_EQ(lanes_->Counters()[0].wakeups, 0u) << "no system call";
  EXPECT_TRUE(sender_.PrepareSleep());
}

TEST(HandoffDispatch, DirectHasNoLanes) {
  const auto lanes = *HandoffLanes::Create(2, Dispatch::kDirect);
  Handoff worker(*lanes, 0);
  for (const SteerMode mode :
       {SteerMode::kDirect, SteerMode::kSteered, SteerMode::kSettling}) {
    EXPECT_FALSE(worker.Concerns(mode));
  }
  EXPECT_EQ(worker.lane_from(1), nullptr);
  EXPECT_FALSE(worker.PrepareSleep());
  lanes->WaitDelivered();
  EXPECT_EQ(lanes->Counters()[0].capacity, 0u);
}

}  // namespace
}  // namespace tunnel
