// Snapshot: a pointer to an immutable value that workers read and the control
// side replaces.
//
// Readers: Load() inside a ReadSection; the value is good until the section
// ends. Writers: Publish() by one thread at a time (the holder of the
// configuration lock); after Qsbr::Wait() no reader has the value that it
// returned, and the caller may free it. Barriers: Publish() releases what was
// written to the value, Load() acquires it [S1]; both are seq_cst because they
// are the pointer half of [Q1] (see qsbr.h). On x86-64 and AArch64 a seq_cst
// load is the same instruction as an acquire load.
// The Snapshot does not own what it points to.

#ifndef TUNNEL_SYNC_SNAPSHOT_H_
#define TUNNEL_SYNC_SNAPSHOT_H_

#include <atomic>

#include "tunnel/base/fault.h"

namespace tunnel {

template <typename T>
class Snapshot {
 public:
  Snapshot() = default;
  explicit Snapshot(const T* first) noexcept : pointer_(first) {}
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  // The value last published, may be nullptr. Once a batch is enough.
  const T* Load() const noexcept {
    // Pairs with Publish() [S1] [Q1].
    return pointer_.load(std::memory_order_seq_cst);
  }

  // Makes `next` (may be nullptr) what Load() gives; returns what it was.
  const T* Publish(const T* next) noexcept {
    if (FaultActive(Fault::kSnapshotRelaxed))
      return pointer_.exchange(next, std::memory_order_relaxed);
    // Pairs with Load() [S1] [Q1].
    return pointer_.exchange(next, std::memory_order_seq_cst);
  }

 private:
  std::atomic<const T*> pointer_{nullptr};
};

}  // namespace tunnel

#endif  // TUNNEL_SYNC_SNAPSHOT_H_
