#include "tunnel/sync/config_lock.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tunnel/base/clock.h"
#include "tunnel/base/error.h"
#include "tunnel/base/fault.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/sync/mutex.h"

namespace tunnel {
namespace {

// Why a party leaves without having changed anything.
enum class Cause { kNone, kShutdown, kInterrupt, kCancel, kDeadline, kTimeout };

int64_t Milliseconds(std::chrono::nanoseconds time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
}

}  // namespace

// A party, from its Enter() to the end of its section. A waiter sleeps on a
// condition variable of its own, so that whoever ends its wait wakes it alone.
// All but the fields above the line is guarded by State::mu.
//
//   kWaiting -> kHolding -> (released)
//      `-> kEnded (cause)
struct ConfigSection::Node {
  explicit Node(const ConfigLock::Request& r)
      : request(r), entered(SteadyNow()) {}

  const ConfigLock::Request request;
  const SteadyTime entered;
  // ----
  uint64_t id = 0;  // in the order of arrival; never changes once in the queue
  enum class Phase { kWaiting, kHolding, kEnded } phase = Phase::kWaiting;
  Cause cause = Cause::kNone;  // of kEnded
  SteadyTime acquired;         // of kHolding
  bool interrupted = false;
  bool committed = false;
  const char* step = "";
  CondVar changed;  // phase is no longer kWaiting
};

struct ConfigLock::State {
  using Node = ConfigSection::Node;

  explicit State(size_t limit) : max_waiters(limit) {}

  // What ends `node` now; kNone while it may go on. lock_timeout is no cause
  // here: it bounds the wait alone.
  Cause CauseOf(const Node& node) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    if (node.interrupted) return Cause::kInterrupt;
    if (node.request.cancel.stop_requested()) return Cause::kCancel;
    if (node.request.deadline && SteadyNow() >= *node.request.deadline) {
      return Cause::kDeadline;
    }
    return Cause::kNone;
  }

  // Takes a waiter out of the queue.
  void End(Node& node, Cause cause) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    queue.remove(&node);
    node.phase = Node::Phase::kEnded;
    node.cause = cause;
    // Under the mutex: afterwards the node may be gone.
    node.changed.NotifyOne();
  }

  void Grant(Node& node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    holder = &node;
    node.phase = Node::Phase::kHolding;
    node.acquired = SteadyNow();
    node.changed.NotifyOne();
  }

  // The lock goes to the first waiter that nothing has ended; those before it
  // leave now. Afterwards there is a holder or the queue is empty.
  void HandOver() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    holder = nullptr;
    while (!queue.empty()) {
      Node& next = *queue.front();
      if (const Cause cause = CauseOf(next); cause != Cause::kNone) {
        End(next, cause);
        continue;
      }
      if (FaultActive(Fault::kFifoBroken)) {
        Node& last = *queue.back();
        queue.pop_back();
        return Grant(last);
      }
      queue.pop_front();
      Grant(next);
      return;
    }
    idle.NotifyAll();
  }

  // Sleeps until `node` is granted or ended.
  void WaitForTurn(Node& node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    const SteadyTime deadline =
        node.request.deadline.value_or(SteadyTime::max());
    const SteadyTime timeout =
        node.request.lock_timeout
            ? Deadline(node.entered, *node.request.lock_timeout)
            : SteadyTime::max();
    const SteadyTime until = std::min(deadline, timeout);
    while (node.phase == Node::Phase::kWaiting) {
      // A stop is announced by the callback in Enter(), which needs mu: it
      // comes before this check or after the wait has begun.
      Cause cause = CauseOf(node);
      // Of two that have passed, the one that passed first is the cause.
      if ((cause == Cause::kNone || timeout < deadline) &&
          (cause == Cause::kNone || cause == Cause::kDeadline) &&
          SteadyNow() >= timeout) {
        cause = Cause::kTimeout;
      }
      if (cause != Cause::kNone) {
        End(node, cause);
      } else {
        node.changed.WaitUntil(mu, until);
      }
    }
  }

  // Returns when `node` has the lock or has ended; CONFIG_LOCK_QUEUE_FULL when
  // there is no place for it.
  absl::Status AwaitTurn(Node& node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    if (holder == nullptr) {
      Grant(node);
      return absl::OkStatus();
    }
    if (queue.size() >= max_waiters) {
      return MakeError(
          Reason::kConfigLockQueueFull,
          absl::StrCat("configuration lock: want less than ", max_waiters,
                       " waiters, got ", queue.size()),
          {{"max_waiters", absl::StrCat(max_waiters)}});
    }
    queue.push_back(&node);
    WaitForTurn(node);
    return absl::OkStatus();
  }

  absl::Status Error(const Node& node, Cause cause) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  LockParty Party(const Node& node, SteadyTime since) const;

  const size_t max_waiters;
  mutable Mutex mu;
  Node* holder ABSL_GUARDED_BY(mu) = nullptr;
  std::list<Node*> queue ABSL_GUARDED_BY(mu);  // front: next to get the lock
  bool closed ABSL_GUARDED_BY(mu) = false;
  CondVar idle;  // holder became nullptr
  uint64_t last_id ABSL_GUARDED_BY(mu) = 0;
  uint64_t acquired_total ABSL_GUARDED_BY(mu) = 0;
  uint64_t interrupted_total ABSL_GUARDED_BY(mu) = 0;
  LatencyHistogram wait ABSL_GUARDED_BY(mu);
  LatencyHistogram hold ABSL_GUARDED_BY(mu);
};

absl::Status ConfigLock::State::Error(const Node& node, Cause cause) const {
  const std::string subject =
      absl::StrCat("configuration lock (", node.id, ")");
  switch (cause) {
    case Cause::kNone:
      return absl::OkStatus();
    case Cause::kShutdown:
      return MakeError(Reason::kShuttingDown, "the daemon is stopping");
    case Cause::kInterrupt:
      return MakeError(Reason::kConfigLockInterrupted,
                       absl::StrCat(subject, ": ended by an operator"),
                       {{"id", absl::StrCat(node.id)}});
    case Cause::kCancel:
      return MakeError(Reason::kCancelled,
                       absl::StrCat(subject, ": the caller has cancelled"));
    case Cause::kDeadline:
      return MakeError(Reason::kDeadlineExceeded,
                       absl::StrCat(subject, ": the deadline has passed"));
    case Cause::kTimeout:
      break;
  }
  // A waiter that times out was in the queue, so there is a holder.
  const int64_t timeout_ms = node.request.lock_timeout->count();
  const int64_t held_ms = Milliseconds(Since(holder->acquired));
  return MakeError(
      Reason::kConfigLockBusy,
      absl::StrCat(subject, ": want it within ", timeout_ms, " ms, held by ",
                   holder->request.operation, " for ", held_ms, " ms"),
      {{"holder", holder->request.operation},
       {"held_ms", absl::StrCat(held_ms)},
       {"lock_timeout_ms", absl::StrCat(timeout_ms)}});
}

LockParty ConfigLock::State::Party(const Node& node, SteadyTime since) const {
  return {node.id, node.request.operation, node.request.uid, node.request.pid,
          Since(since)};
}

ConfigLock::ConfigLock(size_t max_waiters)
    : state_(std::make_unique<State>(max_waiters)) {}

ConfigLock::~ConfigLock() {
  MutexLock lock(state_->mu);
  assert(state_->holder == nullptr && state_->queue.empty());
}

absl::StatusOr<ConfigSection> ConfigLock::Enter(const Request& request) {
  State& s = *state_;
  auto node = std::make_unique<ConfigSection::Node>(request);
  using Phase = ConfigSection::Node::Phase;
  // Made before, and destroyed after, mu is held: it may run in this thread,
  // and its destructor waits for one that runs in another.
  std::stop_callback on_cancel(request.cancel, [&s, &node = *node] {
    MutexLock lock(s.mu);
    if (node.phase == Phase::kWaiting) node.changed.NotifyOne();
  });
  MutexLock lock(s.mu);
  node->id = ++s.last_id;
  if (s.closed) return s.Error(*node, Cause::kShutdown);
  if (const Cause cause = s.CauseOf(*node); cause != Cause::kNone) {
    return s.Error(*node, cause);
  }
  RETURN_IF_ERROR(s.AwaitTurn(*node));
  if (request.times != nullptr) request.times->wait = Since(node->entered);
  if (node->phase == Phase::kEnded) {
    if (!FaultActive(Fault::kInterruptedWaiterProceeds))
      return s.Error(*node, node->cause);
    return ConfigSection(this, std::move(node));
  }
  // Granted and ended at one moment: the lock must not be lost.
  if (const Cause cause = s.CauseOf(*node); cause != Cause::kNone) {
    if (!FaultActive(Fault::kLockLostOnCancel)) s.HandOver();
    return s.Error(*node, cause);
  }
  ++s.acquired_total;
  s.wait.Record(node->acquired - node->entered);
  return ConfigSection(this, std::move(node));
}

ConfigLockInfo ConfigLock::Info() const {
  const State& s = *state_;
  MutexLock lock(s.mu);
  ConfigLockInfo info;
  if (s.holder != nullptr) {
    info.holder = s.Party(*s.holder, s.holder->acquired);
    info.step = s.holder->step;
  }
  info.waiters.reserve(s.queue.size());
  for (const ConfigSection::Node* node : s.queue) {
    info.waiters.push_back(s.Party(*node, node->entered));
  }
  info.acquired_total = s.acquired_total;
  info.interrupted_total = s.interrupted_total;
  info.wait = s.wait;
  info.hold = s.hold;
  return info;
}

absl::Status ConfigLock::Interrupt(uint64_t id) {
  State& s = *state_;
  MutexLock lock(s.mu);
  ConfigSection::Node* node = nullptr;
  if (s.holder != nullptr && s.holder->id == id) {
    node = s.holder;
    if (node->committed && !FaultActive(Fault::kInterruptPastCommit)) {
      return MakeError(
          Reason::kInvalidState,
          absl::StrCat("configuration lock (", id,
                       "): want a change before its commit line, got ",
                       node->request.operation, " in step \"", node->step,
                       "\""),
          {{"id", absl::StrCat(id)}, {"step", node->step}});
    }
  } else {
    const auto it = std::find_if(
        s.queue.begin(), s.queue.end(),
        [id](const ConfigSection::Node* waiter) { return waiter->id == id; });
    if (it != s.queue.end()) node = *it;
  }
  if (node == nullptr) {
    return MakeError(
        Reason::kLockPartyNotFound,
        absl::StrCat("configuration lock: nobody holds or waits for it as ",
                     id),
        {{"id", absl::StrCat(id)}});
  }
  if (!node->interrupted) ++s.interrupted_total;
  node->interrupted = true;
  if (node != s.holder) s.End(*node, Cause::kInterrupt);
  return absl::OkStatus();
}

void ConfigLock::Close() {
  State& s = *state_;
  MutexLock lock(s.mu);
  s.closed = true;
  while (!s.queue.empty()) s.End(*s.queue.front(), Cause::kShutdown);
  while (s.holder != nullptr) s.idle.Wait(s.mu);
}

ConfigSection::ConfigSection(ConfigLock* lock, std::unique_ptr<Node> node)
    : lock_(lock), node_(std::move(node)) {}

ConfigSection::ConfigSection(ConfigSection&& other) noexcept
    : lock_(std::exchange(other.lock_, nullptr)),
      node_(std::move(other.node_)) {}

ConfigSection::~ConfigSection() {
  if (lock_ == nullptr) return;
  ConfigLock::State& s = *lock_->state_;
  MutexLock lock(s.mu);
  assert(s.holder == node_.get());
  const std::chrono::nanoseconds held = Since(node_->acquired);
  s.hold.Record(held);
  if (node_->request.times != nullptr) node_->request.times->hold = held;
  s.HandOver();
}

void ConfigSection::SetStep(const char* step) const {
  MutexLock lock(lock_->state_->mu);
  node_->step = step;
}

absl::Status ConfigSection::CheckInterrupt() const {
  const ConfigLock::State& s = *lock_->state_;
  MutexLock lock(s.mu);
  if (node_->committed) return absl::OkStatus();
  return s.Error(*node_, s.CauseOf(*node_));
}

absl::Status ConfigSection::CommitPoint() const {
  const ConfigLock::State& s = *lock_->state_;
  MutexLock lock(s.mu);
  if (node_->committed) return absl::OkStatus();
  const Cause cause = s.CauseOf(*node_);
  if (cause != Cause::kNone) return s.Error(*node_, cause);
  node_->committed = true;
  return absl::OkStatus();
}

std::chrono::nanoseconds ConfigSection::lock_wait() const {
  // Set when the lock was granted, before Enter() returned.
  return node_->acquired - node_->entered;
}

uint64_t ConfigSection::id() const { return node_->id; }

}  // namespace tunnel
