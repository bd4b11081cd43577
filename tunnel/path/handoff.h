// Handoff: inner packets go from the worker that has decapsulated them to the
// one that their flow belongs to.
//
// Between each two workers a lane: a ring of slots with room for a packet each,
// so that nothing is allocated on the way; with Dispatch::kDeferred also one
// from each worker to itself. What a worker stages is published in batches,
// with one look whether the other worker sleeps [D1]. The other worker writes
// the packets and then gives the slots back.
//
// Order: what one worker receives of a flow goes by one lane, or is written by
// that worker itself. A flow leaves the lane of another worker only while
// Settled(): all of it that was there is written. What it has in the lane of
// the worker to itself that worker writes before it hands on (OwnLaneFirst()).
// Lifetime: a slot names an Endpoint and no Variant. It may be used until
// WaitDelivered(), called after a grace period, has returned.

#ifndef TUNNEL_PATH_HANDOFF_H_
#define TUNNEL_PATH_HANDOFF_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "encap/packet.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/endpoint/endpoint.h"
#include "tunnel/endpoint/variant.h"
#include "tunnel/path/dispatch.h"
#include "tunnel/stats/depth_histogram.h"
#include "tunnel/stats/owned_counter.h"
#include "tunnel/stats/stats_snapshot.h"
#include "tunnel/sync/doorbell.h"
#include "tunnel/sync/ring.h"

namespace tunnel {

// Memory that is mapped, and not touched until it is used.
class MappedBytes {
 public:
  // Errors: FD_LIMIT when there is no memory to map.
  static absl::StatusOr<std::unique_ptr<MappedBytes>> Map(size_t bytes);
  ~MappedBytes();
  MappedBytes(const MappedBytes&) = delete;
  MappedBytes& operator=(const MappedBytes&) = delete;

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  MappedBytes(uint8_t* data, size_t size) : data_(data), size_(size) {}

  uint8_t* const data_;
  const size_t size_;  // bytes
};

// A packet on its way. `room` is the slot's for good.
struct HandoffSlot {
  std::span<uint8_t> room;
  std::unique_ptr<MappedBytes> rooms;  // of all slots; the first one has it
  encap::PacketBuffer packet;
  Endpoint* endpoint = nullptr;
  bool ethernet = false;
  uint64_t receive_ns = 0;  // RealtimeCoarseNs()
};

// From one worker to another.
class HandoffLane {
 public:
  // Memory for so many slots. Errors: FD_LIMIT.
  static absl::StatusOr<std::unique_ptr<MappedBytes>> MapRooms(size_t slots);
  // Errors: FD_LIMIT.
  static absl::StatusOr<std::unique_ptr<HandoffLane>> Create(size_t slots);
  HandoffLane(const HandoffLane&) = delete;
  HandoffLane& operator=(const HandoffLane&) = delete;

  // ---- the worker that receives ----
  // Copies a packet of flow `flow`, its hash; false when the lane is full.
  bool Stage(uint32_t flow, Endpoint& endpoint, bool ethernet,
             const encap::PacketBuffer& packet, uint64_t receive_ns) noexcept;
  size_t staged() const noexcept { return staged_; }
  // What is staged stays in its storage: Resize() comes into force with the
  // first packet of a batch.
  bool IsFull() noexcept {
    return staged_ == 0 ? ring_.Claim(1) == 0
                        : ring_.ClaimMore(staged_ + 1) <= staged_;
  }
  // Hands over what was staged; false when that was nothing.
  bool Publish() noexcept;
  // Everything of the flow that was ever staged has been written.
  bool Settled(uint32_t flow) const noexcept;
  void CountWakeUp() noexcept { wakeups_.Add(1); }

  // ---- the worker that writes ----
  size_t Waiting() noexcept { return ring_.Available(); }
  // Of all that wait; remembered.
  void CountDepth() noexcept;
  HandoffSlot& at(size_t i) noexcept { return ring_.at(i); }
  // The first `count` have been written, or dropped.
  void Done(size_t count) noexcept;

  // ---- control ----
  // Room for `slots` packets, from the next batch on; what waits is written
  // first. `rooms`: MapRooms(slots).
  void Resize(size_t slots, std::unique_ptr<MappedBytes> rooms);
  // Frees what Resize() has replaced and nobody uses any more.
  void Reclaim() { ring_.Reclaim(); }

  // ---- any thread ----
  size_t capacity() const noexcept { return ring_.capacity(); }
  uint64_t accepted() const noexcept;
  // What was done with these packets is seen by the caller.
  uint64_t delivered() const noexcept;
  void AddTo(HandoffCounters& sum) const;

 private:
  // Flows with one number are taken for one.
  static constexpr size_t kFlows = 256;

  explicit HandoffLane(size_t slots) : ring_(slots) {}

  SpscRing<HandoffSlot> ring_;
  // The receiving worker's.
  size_t staged_ = 0;
  // accepted() when the last packet of the flow will have been.
  std::array<uint64_t, kFlows> last_of_flow_{};
  std::atomic<uint64_t> accepted_{0};
  OwnedCounter batches_, wakeups_, full_drops_;
  DepthHistogram batch_;
  // The writing worker's.
  alignas(64) std::atomic<uint64_t> delivered_{0};
  OwnedCounter reads_, depth_sum_, high_watermark_;
  DepthHistogram depth_;
};

// All lanes of a pool, and the doorbell of each worker.
class HandoffLanes {
 public:
  // Packets of one lane.
  static constexpr size_t kLeastSlots = 16;
  static constexpr size_t kMostSlots = 16384;

  // `slots`: of each lane, 0: fewer where there are many lanes. Errors:
  // FIELD_INVALID, FD_LIMIT.
  static absl::StatusOr<std::unique_ptr<HandoffLanes>> Create(size_t workers,
                                                              Dispatch dispatch,
                                                              size_t slots = 0);

  size_t workers() const { return bells_.size(); }
  Dispatch dispatch() const { return dispatch_; }
  // nullptr where the policy has none: all with kDirect, and where `from` is
  // `to` with kHybrid.
  HandoffLane* lane(size_t from, size_t to) const {
    return lanes_[from * workers() + to].get();
  }
  Doorbell& bell(size_t worker) const { return *bells_[worker]; }

  // Control side, after a grace period: returns when all that was handed over
  // before it has been written. The workers must be running.
  void WaitDelivered() const;
  // Control side: each lane has room for `slots` packets, from its next batch
  // on. No packet is lost or overtaken. Errors, nothing has changed then:
  // FIELD_INVALID, INVALID_STATE (no lanes), FD_LIMIT.
  absl::Status Resize(size_t slots);
  // Packets that a lane holds; 0: no lanes.
  size_t slots() const;
  // Control side: frees what Resize() has replaced, where workers are done with
  // it.
  void Reclaim() const;
  // When all workers have stopped: forgets what nobody writes any more.
  void Discard();

  // One entry for each worker that writes.
  std::vector<HandoffCounters> Counters() const;

 private:
  explicit HandoffLanes(Dispatch dispatch) : dispatch_(dispatch) {}

  const Dispatch dispatch_;
  std::vector<UniqueFd> fds_;
  std::vector<std::unique_ptr<Doorbell>> bells_;
  std::vector<std::unique_ptr<HandoffLane>> lanes_;
};

// The lanes as one worker sees them.
class Handoff {
 public:
  // Route(): by no lane.
  static constexpr size_t kHere = static_cast<size_t>(-1);
  // So many staged packets are enough to Flush() before the batch ends.
  static constexpr size_t kBatch = 64;

  Handoff(HandoffLanes& lanes, size_t worker)
      : lanes_(lanes), worker_(worker), staged_(lanes.workers()) {}

  // False: packets of such a tunnel go kHere, whatever their flow is.
  bool Concerns(SteerMode mode) const noexcept {
    return lanes_.dispatch() == Dispatch::kDeferred ||
           (lanes_.dispatch() == Dispatch::kHybrid &&
            mode != SteerMode::kDirect);
  }
  // A number that all packets of an inner flow share.
  static uint32_t FlowOf(const encap::PacketBuffer& packet,
                         bool ethernet) noexcept;
  // The worker by whose lane the next packet of the flow goes, this one in
  // turn; or kHere, and this worker writes it.
  size_t Route(SteerMode mode, uint32_t flow) const noexcept;

  // `to` as Route() gives it. False when the lane is full.
  bool Stage(size_t to, uint32_t flow, Endpoint& endpoint, bool ethernet,
             const encap::PacketBuffer& packet, uint64_t receive_ns) noexcept {
    staged_[to] = 1;
    any_staged_ = true;
    return lanes_.lane(worker_, to)
        ->Stage(flow, endpoint, ethernet, packet, receive_ns);
  }
  // The caller must write what waits in the worker's own lane before it stages
  // a packet of the flow there (nobody else makes room), or by the lane of
  // another worker (it must not overtake what is here).
  bool OwnLaneFirst(size_t to, uint32_t flow) const noexcept {
    HandoffLane* const own = lanes_.lane(worker_, worker_);
    if (to == worker_) return own->IsFull();
    return own != nullptr && !own->Settled(flow);
  }
  bool BatchIsFull(size_t to) const noexcept {
    return lanes_.lane(worker_, to)->staged() >= kBatch;
  }
  // At the end of each batch. What this worker has written itself must be out.
  // Returns the number of system calls.
  size_t Flush() noexcept;

  // Before a poll that has bell_fd() in it: true when the worker must not
  // sleep. Awake() after the poll.
  bool PrepareSleep() noexcept;
  void Awake() noexcept { lanes_.bell(worker_).Cancel(); }
  // bell_fd() was readable.
  void ClearBell() noexcept;
  int bell_fd() const { return lanes_.bell(worker_).fd(); }

  // The lanes that lead here; nullptr where there is none.
  size_t lane_count() const { return lanes_.workers(); }
  HandoffLane* lane_from(size_t from) const {
    return lanes_.lane(from, worker_);
  }

 private:
  HandoffLanes& lanes_;
  const size_t worker_;
  std::vector<char> staged_;  // by worker; not 0: something may be
  bool any_staged_ = false;
};

}  // namespace tunnel

#endif  // TUNNEL_PATH_HANDOFF_H_
