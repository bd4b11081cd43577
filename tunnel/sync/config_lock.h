// ConfigLock: the one global lock of all configuration. Interruptible, FIFO.
//
// Who may call: any thread; never a packet worker, never inside a ReadSection.
// Enter() waits in the order of arrival and leaves, with an error and nothing
// changed, as soon as its deadline passes, its caller cancels, an operator
// interrupts it or the lock is closed. Waiting follows the steady clock alone:
// a jump of the wall clock neither ends nor prolongs it. The holder may be
// interrupted until it calls CommitPoint(); after that it runs to the end.
// Proof: a function that changes configuration takes a `const ConfigSection&`,
// which Enter() alone can make. There is no recursion.
//
// Lock order of the project, in this one place:
//   ConfigLock => WorkerPool mailbox => EventBus
// No lock is taken inside a ReadSection, and no grace period is waited for
// while a leaf lock is held.

#ifndef TUNNEL_SYNC_CONFIG_LOCK_H_
#define TUNNEL_SYNC_CONFIG_LOCK_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tunnel/base/latency_histogram.h"

namespace tunnel {

// Who holds or waits.
struct LockParty {
  uint64_t id = 0;
  std::string operation;
  uint32_t uid = 0;
  int32_t pid = 0;
  std::chrono::nanoseconds age{0};  // held, or waited, so far
};

// The lock at one moment.
struct ConfigLockInfo {
  std::optional<LockParty> holder;
  std::string step;                // of the holder
  std::vector<LockParty> waiters;  // in the order in which they will get it
  uint64_t acquired_total = 0;
  uint64_t interrupted_total = 0;
  LatencyHistogram wait;  // of all that got the lock
  LatencyHistogram hold;  // of all that have given it back
};

// What one call spent at the lock.
struct LockTimes {
  std::chrono::nanoseconds wait{0};
  std::optional<std::chrono::nanoseconds> hold;  // nullopt: never had it
};

class ConfigLock;

// Proof that the lock is held. Movable, not copyable; its end releases the
// lock.
class ConfigSection {
 public:
  ConfigSection(ConfigSection&& other) noexcept;
  ConfigSection& operator=(ConfigSection&&) = delete;
  ConfigSection(const ConfigSection&) = delete;
  ~ConfigSection();

  // Names the step that the holder is in, for lock show. `step` must be a
  // literal.
  void SetStep(const char* step) const;

  // OK while the change may still be given up: not cancelled, not past its
  // deadline, not interrupted. Otherwise the error to return.
  absl::Status CheckInterrupt() const;

  // The commit line: the last CheckInterrupt(). After OK the holder can no
  // longer be interrupted, and CheckInterrupt() gives OK.
  absl::Status CommitPoint() const;

  std::chrono::nanoseconds lock_wait() const;
  uint64_t id() const;

 private:
  friend class ConfigLock;
  struct Node;
  ConfigSection(ConfigLock* lock, std::unique_ptr<Node> node);
  ConfigLock* lock_;
  std::unique_ptr<Node> node_;
};

class ConfigLock {
 public:
  // At most `max_waiters` may wait; one more gets CONFIG_LOCK_QUEUE_FULL.
  explicit ConfigLock(size_t max_waiters = 256);
  ~ConfigLock();  // nobody may hold or wait

  struct Request {
    std::string operation;
    uint32_t uid = 0;
    int32_t pid = 0;
    std::optional<std::chrono::steady_clock::time_point>
        deadline;                                           // DEADLINE_EXCEEDED
    std::optional<std::chrono::milliseconds> lock_timeout;  // CONFIG_LOCK_BUSY
    std::stop_token cancel;                                 // CANCELLED
    // If set: `wait` is filled when Enter() returns, whatever it returns, and
    // `hold` when the section ends, by the thread that ends it.
    LockTimes* times = nullptr;
  };

  // Errors: those above, CONFIG_LOCK_INTERRUPTED, CONFIG_LOCK_QUEUE_FULL,
  // SHUTTING_DOWN. CONFIG_LOCK_BUSY has metadata holder (operation) and
  // held_ms.
  absl::StatusOr<ConfigSection> Enter(const Request& request);

  ConfigLockInfo Info() const;

  // Interrupts the waiter, or the holder before its commit line, with this id.
  // LOCK_PARTY_NOT_FOUND when nobody has the id; INVALID_STATE when the holder
  // is past its commit line.
  absl::Status Interrupt(uint64_t id);

  // From now on Enter() fails with SHUTTING_DOWN, and all waiters leave with
  // it. Returns when nobody holds the lock.
  void Close();

 private:
  friend class ConfigSection;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tunnel

#endif  // TUNNEL_SYNC_CONFIG_LOCK_H_
