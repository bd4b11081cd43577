// Qsbr: grace periods. Tells when no worker can still hold what was
// unpublished.
//
// Readers: each worker owns one Reader and brackets each batch with a
// ReadSection; sections do not nest. Pointers got from a Snapshot or a table
// inside a section are good until it ends. A reader neither waits nor does an
// atomic read-modify-write.
// Writers: unpublish, Wait(), free. Any thread outside a section may call
// Wait(), several at once. It takes no lock, and must not be called while a
// leaf lock is held. It ends when every section that had begun before it has
// ended; a reader that is outside a section (asleep in epoll) costs nothing.
//
// Barriers. A section counter is odd inside, even outside.
//  [Q1] Enter() stores the odd counter, then the reader loads a published
//       pointer; the writer exchanges that pointer, then Wait() loads the
//       counter. All four are seq_cst, so they have one order: either the
//       reader loads the new pointer or Wait() sees the odd counter
//       (store-load, as in Dekker's algorithm). A fence would do on the
//       machine, but ThreadSanitizer does not see fences.
//  [Q2] Leave() releases and Wait() acquires the counter: what the reader did
//       with the old value happens before the writer frees it.

#ifndef TUNNEL_SYNC_QSBR_H_
#define TUNNEL_SYNC_QSBR_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "tunnel/base/fault.h"

namespace tunnel {

class Qsbr {
 public:
  // One a worker; Enter() and Leave() by its owner alone.
  class alignas(64) Reader {
   public:
    void Enter() noexcept {
      // Pairs with the load in Wait() [Q1]. The owner alone writes, so this is
      // no read-modify-write.
      counter_.store(counter_.load(std::memory_order_relaxed) + 1,
                     std::memory_order_seq_cst);
    }
    void Leave() noexcept {
      if (FaultActive(Fault::kLeaveRelaxed)) {
        counter_.store(counter_.load(std::memory_order_relaxed) + 1,
                       std::memory_order_relaxed);
        return;
      }
      // Pairs with the load in Wait() [Q2].
      counter_.store(counter_.load(std::memory_order_relaxed) + 1,
                     std::memory_order_release);
    }

   private:
    friend class Qsbr;
    std::atomic<uint64_t> counter_{0};
  };

  explicit Qsbr(size_t readers);
  Qsbr(const Qsbr&) = delete;
  Qsbr& operator=(const Qsbr&) = delete;

  // `i` < readers(). Lives as long as the Qsbr.
  Reader& reader(size_t i) { return readers_[i]; }
  size_t readers() const { return count_; }

  // Returns when every section that was open at the call has ended.
  void Wait();

  // Number of finished Wait() calls.
  uint64_t waits() const { return waits_.load(std::memory_order_relaxed); }

 private:
  static void WaitFor(const Reader& reader);

  const size_t count_;
  const std::unique_ptr<Reader[]> readers_;
  std::atomic<uint64_t> waits_{0};  // a statistic; orders nothing
};

// One section of one reader, for the lifetime of the object.
class ReadSection {
 public:
  explicit ReadSection(Qsbr::Reader& reader) noexcept : reader_(reader) {
    reader_.Enter();
  }
  ~ReadSection() { reader_.Leave(); }
  ReadSection(const ReadSection&) = delete;
  ReadSection& operator=(const ReadSection&) = delete;

 private:
  Qsbr::Reader& reader_;
};

}  // namespace tunnel

#endif  // TUNNEL_SYNC_QSBR_H_
