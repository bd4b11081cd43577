#include "tunnel/sync/config_lock.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <future>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tunnel/base/clock.h"
#include "tunnel/base/error.h"
#include "tunnel/sync/mutex.h"

namespace tunnel {
namespace {

using std::chrono::milliseconds;

static_assert(std::is_move_constructible_v<ConfigSection>);
static_assert(!std::is_copy_constructible_v<ConfigSection>);
static_assert(!std::is_move_assignable_v<ConfigSection>);

ConfigLock::Request Ask(std::string operation) {
  ConfigLock::Request request;
  request.operation = std::move(operation);
  return request;
}

// Enter() in a thread of its own; keeps the section until Take().
class Party {
 public:
  Party(ConfigLock& lock, ConfigLock::Request request) {
    request.cancel = stop_.get_token();
    result_ = std::async(
        std::launch::async,
        [&lock, request = std::move(request)] { return lock.Enter(request); });
  }
  void Cancel() { stop_.request_stop(); }
  bool Waits() {
    return result_.wait_for(milliseconds(0)) != std::future_status::ready;
  }
  absl::StatusOr<ConfigSection> Take() { return result_.get(); }

 private:
  std::stop_source stop_;
  std::future<absl::StatusOr<ConfigSection>> result_;
};

void AwaitWaiters(const ConfigLock& lock, size_t count) {
  while (lock.Info().waiters.size() != count) {
    std::this_thread::sleep_for(milliseconds(1));
  }
}

std::vector<std::string> WaitingOperations(const ConfigLock& lock) {
  std::vector<std::string> operations;
  for (const LockParty& party : lock.Info().waiters) {
    operations.push_back(party.operation);
  }
  return operations;
}

TEST(ConfigLock, ShowsHolderStepAndWaiters) {
  ConfigLock lock;
  EXPECT_FALSE(lock.Info().holder.has_value());
  ConfigLock::Request request = Ask("CreateTunnel gre0");
  request.uid = 7;
  request.pid = 8;
  auto section = lock.Enter(request);
  ASSERT_TRUE(section.ok());
  section->SetStep("prepare");
  Party waiter(lock, Ask("DeleteTunnel gif0"));
  AwaitWaiters(lock, 1);
  const ConfigLockInfo info = lock.Info();
  ASSERT_TRUE(info.holder.has_value());
  EXPECT_EQ(info.holder->operation, "CreateTunnel gre0");
  EXPECT_EQ(info.holder->uid, 7u);
  EXPECT_EQ(info.holder->pid, 8);
  EXPECT_EQ(info.holder->id, section->id());
  EXPECT_GT(info.holder->age.count(), 0);
  EXPECT_EQ(info.step, "prepare");
  EXPECT_EQ(info.waiters[0].operation, "DeleteTunnel gif0");
  EXPECT_NE(info.waiters[0].id, section->id());
  EXPECT_EQ(info.acquired_total, 1u);
  { ConfigSection done = *std::move(section); }
  auto next = waiter.Take();
  ASSERT_TRUE(next.ok());
  EXPECT_GT(next->lock_wait().count(), 0);
  EXPECT_EQ(lock.Info().acquired_total, 2u);
}

TEST(ConfigLock, ServesInOrderOfArrival) {
  ConfigLock lock;
  auto holder = std::make_unique<ConfigSection>(*lock.Enter(Ask("first")));
  std::vector<std::unique_ptr<Party>> parties;
  for (int i = 0; i < 20; ++i) {
    parties.push_back(
        std::make_unique<Party>(lock, Ask("waiter " + std::to_string(i))));
    AwaitWaiters(lock, parties.size());
  }
  for (int i = 0; i < 20; ++i) {
    holder.reset();
    auto next = parties[i]->Take();
    ASSERT_TRUE(next.ok()) << next.status();
    const ConfigLockInfo info = lock.Info();
    EXPECT_EQ(info.holder->operation, "waiter " + std::to_string(i));
    EXPECT_EQ(info.waiters.size(), 19u - i);
    holder = std::make_unique<ConfigSection>(*std::move(next));
  }
}

TEST(ConfigLock, MovedFromSectionReleasesNothing) {
  ConfigLock lock;
  std::optional<ConfigSection> kept;
  {
    auto first = lock.Enter(Ask("first"));
    kept.emplace(*std::move(first));
  }
  EXPECT_TRUE(lock.Info().holder.has_value());
  EXPECT_TRUE(kept->CommitPoint().ok());
  kept.reset();
  EXPECT_FALSE(lock.Info().holder.has_value());
}

TEST(ConfigLock, LeavesAtItsDeadline) {
  ConfigLock lock;
  auto holder = lock.Enter(Ask("holder"));
  ConfigLock::Request request = Ask("late");
  request.deadline = SteadyNow() + milliseconds(30);
  const auto start = SteadyNow();
  const auto got = lock.Enter(request);
  EXPECT_GE(Since(start), milliseconds(29));
  EXPECT_EQ(GetReason(got.status()), Reason::kDeadlineExceeded);
  EXPECT_TRUE(lock.Info().waiters.empty());
  // Also when the lock is free: the change may not begin.
  { ConfigSection done = *std::move(holder); }
  EXPECT_EQ(GetReason(lock.Enter(request).status()), Reason::kDeadlineExceeded);
  EXPECT_FALSE(lock.Info().holder.has_value());
}

TEST(ConfigLock, NamesTheHolderWhenLockTimeoutPasses) {
  ConfigLock lock;
  auto holder = lock.Enter(Ask("UpdateTunnel gre7"));
  ConfigLock::Request request = Ask("impatient");
  request.lock_timeout = milliseconds(25);
  request.deadline = SteadyNow() + std::chrono::hours(1);
  const auto got = lock.Enter(request);
  const auto detail = GetErrorDetail(got.status());
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->reason, Reason::kConfigLockBusy);
  EXPECT_EQ(detail->metadata.at("holder"), "UpdateTunnel gre7");
  EXPECT_GE(std::stoi(detail->metadata.at("held_ms")), 24);
  // Zero: have it at once or not at all.
  request.lock_timeout = milliseconds(0);
  EXPECT_EQ(GetReason(lock.Enter(request).status()), Reason::kConfigLockBusy);
  { ConfigSection done = *std::move(holder); }
  EXPECT_TRUE(lock.Enter(request).ok());
}

TEST(ConfigLock, TheEarlierOfDeadlineAndTimeoutIsTheCause) {
  ConfigLock lock;
  auto holder = lock.Enter(Ask("holder"));
  ConfigLock::Request request = Ask("both");
  request.lock_timeout = milliseconds(-1);
  request.deadline = SteadyNow() + milliseconds(1);
  std::this_thread::sleep_for(milliseconds(2));
  EXPECT_EQ(GetReason(lock.Enter(request).status()), Reason::kDeadlineExceeded);
  request.deadline = SteadyNow() + milliseconds(5);
  request.lock_timeout = std::chrono::milliseconds::max();
  EXPECT_EQ(GetReason(lock.Enter(request).status()), Reason::kDeadlineExceeded);
}

TEST(ConfigLock, CancelledCallerNeverGetsIn) {
  ConfigLock lock;
  std::stop_source stop;
  stop.request_stop();
  ConfigLock::Request request = Ask("gone");
  request.cancel = stop.get_token();
  EXPECT_EQ(GetReason(lock.Enter(request).status()), Reason::kCancelled);
  EXPECT_FALSE(lock.Info().holder.has_value());
}

TEST(ConfigLock, CancelledWaiterLeavesAndTheOthersKeepTheirPlaces) {
  ConfigLock lock;
  auto holder = lock.Enter(Ask("holder"));
  std::vector<std::unique_ptr<Party>> parties;
  for (const char* name : {"a", "b", "c"}) {
    parties.push_back(std::make_unique<Party>(lock, Ask(name)));
    AwaitWaiters(lock, parties.size());
  }
  parties[1]->Cancel();
  EXPECT_EQ(GetReason(parties[1]->Take().status()), Reason::kCancelled);
  EXPECT_EQ(WaitingOperations(lock), (std::vector<std::string>{"a", "c"}));
  { ConfigSection done = *std::move(holder); }
  { EXPECT_TRUE(parties[0]->Take().ok()); }
  EXPECT_TRUE(parties[2]->Take().ok());
}

TEST(ConfigLock, CancelledHolderLearnsItAtTheNextCheck) {
  ConfigLock lock;
  std::stop_source stop;
  ConfigLock::Request request = Ask("holder");
  request.cancel = stop.get_token();
  auto section = lock.Enter(request);
  ASSERT_TRUE(section.ok());
  EXPECT_TRUE(section->CheckInterrupt().ok());
  stop.request_stop();
  EXPECT_EQ(GetReason(section->CheckInterrupt()), Reason::kCancelled);
  EXPECT_EQ(GetReason(section->CommitPoint()), Reason::kCancelled);
}

TEST(ConfigLock, RefusesMoreWaitersThanItsLimit) {
  ConfigLock lock(2);
  auto holder = lock.Enter(Ask("holder"));
  Party a(lock, Ask("a"));
  AwaitWaiters(lock, 1);
  Party b(lock, Ask("b"));
  AwaitWaiters(lock, 2);
  const auto got = lock.Enter(Ask("c"));
  EXPECT_EQ(GetReason(got.status()), Reason::kConfigLockQueueFull);
  EXPECT_EQ(got.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(WaitingOperations(lock).size(), 2u);
  { ConfigSection done = *std::move(holder); }
  { EXPECT_TRUE(a.Take().ok()); }
  EXPECT_TRUE(b.Take().ok());
}

TEST(ConfigLock, OperatorInterruptsAWaiter) {
  ConfigLock lock;
  auto holder = lock.Enter(Ask("holder"));
  Party waiter(lock, Ask("waiter"));
  AwaitWaiters(lock, 1);
  const uint64_t id = lock.Info().waiters[0].id;
  EXPECT_TRUE(lock.Interrupt(id).ok());
  EXPECT_TRUE(lock.Info().waiters.empty());
  EXPECT_EQ(GetReason(waiter.Take().status()), Reason::kConfigLockInterrupted);
  EXPECT_EQ(lock.Info().interrupted_total, 1u);
  EXPECT_EQ(GetReason(lock.Interrupt(id)), Reason::kLockPartyNotFound);
  EXPECT_TRUE(holder->CommitPoint().ok());
}

TEST(ConfigLock, OperatorInterruptsTheHolderBeforeTheCommitLine) {
  ConfigLock lock;
  auto holder = lock.Enter(Ask("holder"));
  EXPECT_TRUE(lock.Interrupt(holder->id()).ok());
  EXPECT_TRUE(lock.Interrupt(holder->id()).ok());
  EXPECT_EQ(lock.Info().interrupted_total, 1u);
  EXPECT_EQ(GetReason(holder->CheckInterrupt()),
            Reason::kConfigLockInterrupted);
  EXPECT_EQ(GetReason(holder->CommitPoint()), Reason::kConfigLockInterrupted);
  EXPECT_TRUE(lock.Info().holder.has_value());
}

TEST(ConfigLock, NothingEndsTheHolderPastTheCommitLine) {
  ConfigLock lock;
  std::stop_source stop;
  ConfigLock::Request request = Ask("holder");
  request.cancel = stop.get_token();
  request.deadline = SteadyNow() + milliseconds(200);
  auto holder = lock.Enter(request);
  ASSERT_TRUE(holder.ok());
  ASSERT_TRUE(holder->CommitPoint().ok());
  holder->SetStep("pause");
  const absl::Status refused = lock.Interrupt(holder->id());
  EXPECT_EQ(GetReason(refused), Reason::kInvalidState);
  EXPECT_EQ(GetErrorDetail(refused)->metadata.at("step"), "pause");
  stop.request_stop();
  std::this_thread::sleep_until(*request.deadline);
  EXPECT_TRUE(holder->CheckInterrupt().ok());
  EXPECT_EQ(lock.Info().interrupted_total, 0u);
}

TEST(ConfigLock, CloseEndsWaitersAndWaitsForTheHolder) {
  ConfigLock lock;
  auto holder = std::make_unique<ConfigSection>(*lock.Enter(Ask("holder")));
  Party waiter(lock, Ask("waiter"));
  AwaitWaiters(lock, 1);
  auto closing = std::async(std::launch::async, [&] { lock.Close(); });
  EXPECT_EQ(GetReason(waiter.Take().status()), Reason::kShuttingDown);
  EXPECT_EQ(GetReason(lock.Enter(Ask("late")).status()), Reason::kShuttingDown);
  EXPECT_EQ(closing.wait_for(milliseconds(20)), std::future_status::timeout);
  EXPECT_TRUE(holder->CommitPoint().ok());
  holder.reset();
  closing.get();
  lock.Close();
}

// The release grants the lock to a waiter while its caller cancels. Whoever
// comes first, the lock is free or held afterwards, never lost.
TEST(ConfigLock, GrantAndCancelAtOneMomentLoseNothing) {
  ConfigLock lock;
  int entered = 0, cancelled = 0;
  for (int round = 0; round < 300; ++round) {
    auto holder = std::make_unique<ConfigSection>(*lock.Enter(Ask("holder")));
    Party waiter(lock, Ask("waiter"));
    AwaitWaiters(lock, 1);
    std::atomic<bool> go{false};
    std::thread cancel([&] {
      while (!go.load(std::memory_order_acquire)) {
      }
      std::this_thread::sleep_for(std::chrono::microseconds(round % 10 * 20));
      waiter.Cancel();
    });
    go.store(true, std::memory_order_release);
    holder.reset();
    {
      auto got = waiter.Take();
      ++(got.ok() ? entered : cancelled);
      if (!got.ok()) {
        EXPECT_EQ(GetReason(got.status()), Reason::kCancelled);
      }
    }
    cancel.join();
    ConfigLock::Request probe = Ask("probe");
    probe.lock_timeout = milliseconds(0);
    ASSERT_TRUE(lock.Enter(probe).ok()) << "lock lost in round " << round;
  }
  std::printf("entered %d, cancelled %d\n", entered, cancelled);
  EXPECT_EQ(entered + cancelled, 300);
}

// What each caller is told about its time at the lock adds up to what the
// histograms say of all.
TEST(ConfigLock, CountsWaitAndHold) {
  ConfigLock lock;
  LockTimes holder_times, waiter_times, busy_times;
  ConfigLock::Request request = Ask("holder");
  request.times = &holder_times;
  auto holder = std::make_unique<ConfigSection>(*lock.Enter(request));
  EXPECT_FALSE(holder_times.hold.has_value());
  ConfigLock::Request waiting = Ask("waiter");
  waiting.times = &waiter_times;
  Party waiter(lock, waiting);
  AwaitWaiters(lock, 1);
  ConfigLock::Request busy = Ask("busy");
  busy.times = &busy_times;
  busy.lock_timeout = milliseconds(5);
  EXPECT_EQ(GetReason(lock.Enter(busy).status()), Reason::kConfigLockBusy);
  EXPECT_GE(busy_times.wait, milliseconds(5));
  EXPECT_FALSE(busy_times.hold.has_value());
  ConfigLockInfo info = lock.Info();
  EXPECT_EQ(info.wait.total(), 1u);
  EXPECT_EQ(info.hold.total(), 0u);
  holder.reset();
  { const auto section = waiter.Take(); }
  info = lock.Info();
  EXPECT_EQ(info.wait.total(), info.acquired_total);
  EXPECT_EQ(info.hold.total(), 2u);
  ASSERT_TRUE(holder_times.hold && waiter_times.hold);
  EXPECT_GE(*holder_times.hold, milliseconds(5));
  EXPECT_EQ(info.hold.sum, *holder_times.hold + *waiter_times.hold);
  EXPECT_GE(waiter_times.wait, milliseconds(5));
  EXPECT_GE(info.wait.sum, milliseconds(5));
}

}  // namespace
}  // namespace tunnel
