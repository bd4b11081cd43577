#include "tunnel/path/handoff.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "encap/flow_hash.h"
#include "tunnel/base/error.h"
#include "tunnel/base/fault.h"
#include "tunnel/base/status_macros.h"

namespace tunnel {
namespace {

// A packet of up to 64 KB with the headroom that writing it may need.
constexpr size_t kRoomBytes = encap::kMaxEncapHeadroom + 65536 + 64;

// Of one lane where nothing else is asked for; fewer where there are many.
constexpr size_t kMostByDefault = 1024;
constexpr size_t kLeastByDefault = 32;
constexpr size_t kSlotsOfAWorker = 4096;

// Another than those of source ports and flow labels, so that what these have
// spread already is spread again.
constexpr uint64_t kSeed = 0x5eed'0f'57ee'12;

// Of the i-th slot.
std::span<uint8_t> RoomOf(const MappedBytes& rooms, size_t i) {
  return {rooms.data() + i * kRoomBytes, kRoomBytes};
}

absl::Status CheckSlots(size_t slots) {
  if (slots >= HandoffLanes::kLeastSlots && slots <= HandoffLanes::kMostSlots)
    return absl::OkStatus();
  const std::string wrong =
      absl::StrCat(slots, "; want ", HandoffLanes::kLeastSlots, " to ",
                   HandoffLanes::kMostSlots);
  return MakeError(Reason::kFieldInvalid, absl::StrCat("packets: ", wrong), {},
                   {{"packets", wrong}});
}

}  // namespace

absl::StatusOr<std::unique_ptr<MappedBytes>> MappedBytes::Map(size_t bytes) {
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return MakeError(Reason::kFdLimit,
                     "worker: no memory left for a hand-off lane");
  }
  return std::unique_ptr<MappedBytes>(
      new MappedBytes(static_cast<uint8_t*>(memory), bytes));
}

MappedBytes::~MappedBytes() { ::munmap(data_, size_); }

absl::StatusOr<std::unique_ptr<MappedBytes>> HandoffLane::MapRooms(
    size_t slots) {
  return MappedBytes::Map(SpscRing<HandoffSlot>::SlotsFor(slots) * kRoomBytes);
}

absl::StatusOr<std::unique_ptr<HandoffLane>> HandoffLane::Create(size_t slots) {
  ASSIGN_OR_RETURN(std::unique_ptr<MappedBytes> rooms, MapRooms(slots));
  std::unique_ptr<HandoffLane> lane(new HandoffLane(slots));
  // No slot is claimed yet.
  const size_t count = lane->ring_.Claim(lane->ring_.capacity());
  for (size_t i = 0; i < count; ++i)
    lane->ring_.slot(i).room = RoomOf(*rooms, i);
  lane->ring_.slot(0).rooms = std::move(rooms);
  return lane;
}

void HandoffLane::Resize(size_t slots, std::unique_ptr<MappedBytes> rooms) {
  MappedBytes& memory = *rooms;
  ring_.Resize(slots, [&](size_t i, HandoffSlot& slot) {
    slot.room = RoomOf(memory, i);
    if (i == 0) slot.rooms = std::move(rooms);
  });
}

bool HandoffLane::Stage(uint32_t flow, Endpoint& endpoint, bool ethernet,
                        const encap::PacketBuffer& packet,
                        uint64_t receive_ns) noexcept {
  if (IsFull() || packet.size() > kRoomBytes - encap::kMaxEncapHeadroom) {
    full_drops_.Add(1);
    return false;
  }
  HandoffSlot& slot = ring_.slot(staged_++);
  slot.packet =
      encap::PacketBuffer(slot.room, encap::kMaxEncapHeadroom, packet.size());
  slot.packet.hint() = packet.hint();
  std::memcpy(slot.packet.data(), packet.data(), packet.size());
  slot.endpoint = &endpoint;
  slot.ethernet = ethernet;
  slot.receive_ns = receive_ns;
  last_of_flow_[flow % kFlows] = accepted() + staged_;
  return true;
}

bool HandoffLane::Publish() noexcept {
  if (staged_ == 0) return false;
  // Seen by WaitDelivered() through the grace period before it [Q2].
  accepted_.store(accepted() + staged_, std::memory_order_relaxed);
  batches_.Add(1);
  batch_.Record(staged_);
  ring_.Publish(std::exchange(staged_, 0));
  return true;
}

bool HandoffLane::Settled(uint32_t flow) const noexcept {
  if (FaultActive(Fault::kHandoffUnsettled)) return true;
  return delivered() >= last_of_flow_[flow % kFlows];
}

void HandoffLane::CountDepth() noexcept {
  const size_t depth = ring_.Depth();
  depth_.Record(depth);
  depth_sum_.Add(depth);
  if (depth > high_watermark_.value()) high_watermark_.Set(depth);
  reads_.Add(1);
}

void HandoffLane::Done(size_t count) noexcept {
  ring_.Release(count);
  const uint64_t delivered = delivered_.load(std::memory_order_relaxed) + count;
  if (FaultActive(Fault::kHandoffDoneRelaxed)) {
    delivered_.store(delivered, std::memory_order_relaxed);
    return;
  }
  // Pairs with delivered() [H1].
  delivered_.store(delivered, std::memory_order_release);
}

uint64_t HandoffLane::accepted() const noexcept {
  return accepted_.load(std::memory_order_relaxed);
}

uint64_t HandoffLane::delivered() const noexcept {
  // Pairs with Done() [H1].
  return delivered_.load(std::memory_order_acquire);
}

void HandoffLane::AddTo(HandoffCounters& sum) const {
  const uint64_t done = delivered();
  const uint64_t taken = accepted();
  sum.packets += taken;
  sum.depth += taken > done ? taken - done : 0;
  sum.capacity += ring_.capacity();
  sum.high_watermark = std::max(sum.high_watermark, high_watermark_.value());
  sum.batches += batches_.value();
  sum.reads += reads_.value();
  sum.depth_sum += depth_sum_.value();
  sum.wakeups += wakeups_.value();
  sum.drops += full_drops_.value();
  batch_.AddTo(sum.batch);
  depth_.AddTo(sum.depths);
}

absl::StatusOr<std::unique_ptr<HandoffLanes>> HandoffLanes::Create(
    size_t workers, Dispatch dispatch, size_t slots) {
  if (slots == 0) {
    slots =
        std::clamp(kSlotsOfAWorker / workers, kLeastByDefault, kMostByDefault);
  }
  RETURN_IF_ERROR(CheckSlots(slots));
  std::unique_ptr<HandoffLanes> all(new HandoffLanes(dispatch));
  for (size_t i = 0; i < workers; ++i) {
    all->fds_.emplace_back(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!all->fds_.back()) {
      return MakeError(Reason::kFdLimit,
                       "worker: no file descriptor left for hand-offs");
    }
    all->bells_.push_back(std::make_unique<Doorbell>(all->fds_.back().get()));
  }
  for (size_t i = 0; i < workers * workers; ++i) {
    std::unique_ptr<HandoffLane> lane;
    const bool to_itself = i / workers == i % workers;
    if (dispatch == Dispatch::kDeferred ||
        (dispatch == Dispatch::kHybrid && !to_itself)) {
      ASSIGN_OR_RETURN(lane, HandoffLane::Create(slots));
    }
    all->lanes_.push_back(std::move(lane));
  }
  return all;
}

absl::Status HandoffLanes::Resize(size_t slots) {
  RETURN_IF_ERROR(CheckSlots(slots));
  if (this->slots() == 0) {
    return MakeError(Reason::kInvalidState,
                     "handoff: there are no rings: the daemon has one worker, "
                     "or is told --dispatch=direct");
  }
  // All that can fail comes first.
  std::vector<std::unique_ptr<MappedBytes>> rooms(lanes_.size());
  for (size_t i = 0; i < lanes_.size(); ++i) {
    if (lanes_[i] == nullptr) continue;
    ASSIGN_OR_RETURN(rooms[i], HandoffLane::MapRooms(slots));
  }
  for (size_t i = 0; i < lanes_.size(); ++i) {
    if (lanes_[i] != nullptr) lanes_[i]->Resize(slots, std::move(rooms[i]));
  }
  return absl::OkStatus();
}

size_t HandoffLanes::slots() const {
  for (const auto& lane : lanes_) {
    if (lane != nullptr) return lane->capacity();
  }
  return 0;
}

void HandoffLanes::Reclaim() const {
  for (const auto& lane : lanes_) {
    if (lane != nullptr) lane->Reclaim();
  }
}

void HandoffLanes::WaitDelivered() const {
  if (FaultActive(Fault::kHandoffNotAwaited)) return;
  for (const auto& lane : lanes_) {
    if (lane == nullptr) continue;
    const uint64_t until = lane->accepted();
    for (int round = 0; lane->delivered() < until; ++round) {
      if (round < 100) {
        std::this_thread::yield();
      } else {
        std::this_thread::sleep_for(std::chrono::microseconds(50));
      }
    }
  }
}

void HandoffLanes::Discard() {
  for (const auto& lane : lanes_) {
    if (lane == nullptr) continue;
    lane->Publish();
    while (const size_t n = lane->Waiting()) lane->Done(n);
  }
}

std::vector<HandoffCounters> HandoffLanes::Counters() const {
  std::vector<HandoffCounters> all(workers());
  for (size_t to = 0; to < workers(); ++to) {
    for (size_t from = 0; from < workers(); ++from) {
      if (const HandoffLane* one = lane(from, to)) one->AddTo(all[to]);
    }
  }
  return all;
}

uint32_t Handoff::FlowOf(const encap::PacketBuffer& packet,
                         bool ethernet) noexcept {
  return ethernet ? encap::FrameFlowHash(packet.bytes(), kSeed)
                  : encap::FlowHash(packet.bytes(), kSeed);
}

size_t Handoff::Route(SteerMode mode, uint32_t flow) const noexcept {
  const size_t home =
      lanes_.lane(worker_, worker_) == nullptr ? kHere : worker_;
  const size_t own = uint64_t{flow} * lanes_.workers() >> 32;
  if (own == worker_) return home;
  switch (mode) {
    case SteerMode::kDirect:
      break;
    case SteerMode::kSteered:
      return own;
    case SteerMode::kSettling:
      return lanes_.lane(worker_, own)->Settled(flow) ? home : own;
  }
  return home;
}

size_t Handoff::Flush() noexcept {
  if (!any_staged_) return 0;
  any_staged_ = false;
  size_t calls = 0;
  for (size_t to = 0; to < staged_.size(); ++to) {
    if (staged_[to] == 0) continue;
    staged_[to] = 0;
    HandoffLane& lane = *lanes_.lane(worker_, to);
    // It looks at its own lane by itself.
    if (!lane.Publish() || to == worker_ || !lanes_.bell(to).Ring()) continue;
    lane.CountWakeUp();
    ++calls;
  }
  return calls;
}

void Handoff::ClearBell() noexcept {
  uint64_t rung;
  (void)!::read(bell_fd(), &rung, sizeof rung);
}

bool Handoff::PrepareSleep() noexcept {
  if (lanes_.dispatch() == Dispatch::kDirect) return false;
  lanes_.bell(worker_).PrepareSleep();
  for (size_t from = 0; from < lanes_.workers(); ++from) {
    HandoffLane* const lane = lane_from(from);
    if (lane != nullptr && lane->Waiting() != 0) return true;
  }
  return false;
}

}  // namespace tunnel
