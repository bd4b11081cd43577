#include "ctl/change_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tunnel/base/error.h"

namespace tunnel::ctl {
namespace {

// Runs a job; how many jobs of this kind its thread has had. (The id of a
// thread that has ended may be that of a new one.)
int RunOne(ChangePool& pool) {
  static thread_local int jobs = 0;
  int count = 0;
  absl::Notification done;
  EXPECT_TRUE(pool.Run([&] {
                    count = ++jobs;
                    done.Notify();
                  })
                  .ok());
  done.WaitForNotification();
  return count;
}

TEST(ChangePool, AThreadIsUsedAgain) {
  ChangePool pool(8);
  int most = RunOne(pool);
  // A thread may not be there yet when the next job comes.
  for (int i = 0; i < 5000 && most < 2; ++i) {
    absl::SleepFor(absl::Milliseconds(1));
    most = RunOne(pool);
  }
  EXPECT_GE(most, 2);
}

TEST(ChangePool, JobsThatWaitHaveAThreadEachAndOneMoreIsRefused) {
  absl::Notification go, in[3];
  ChangePool pool(3);
  for (absl::Notification& one : in) {
    ASSERT_TRUE(pool.Run([&] {
                      one.Notify();
                      go.WaitForNotification();
                    })
                    .ok());
  }
  for (absl::Notification& one : in) one.WaitForNotification();
  const absl::Status refused = pool.Run([] { FAIL() << "is not called"; });
  EXPECT_EQ(GetReason(refused), Reason::kConfigLockQueueFull);
  go.Notify();
  absl::Notification later;
  while (!pool.Run([&] { later.Notify(); }).ok())
    absl::SleepFor(absl::Milliseconds(1));
  later.WaitForNotification();
  EXPECT_LE(pool.threads(), 3u);
}

TEST(ChangePool, ThreadsWithoutAJobEndButForSome) {
  absl::Notification go;
  ChangePool pool(8, 2);
  for (int i = 0; i < 8; ++i)
    ASSERT_TRUE(pool.Run([&] { go.WaitForNotification(); }).ok());
  EXPECT_EQ(pool.threads(), 8u);
  go.Notify();
  while (pool.threads() > 2) absl::SleepFor(absl::Milliseconds(1));
  for (int i = 0; i < 50; ++i) RunOne(pool);
  while (pool.threads() > 2) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(pool.threads(), 2u);
}

TEST(ChangePool, WhatAJobHoldsGoesWithIt) {
  ChangePool pool(8);
  const auto held = std::make_shared<int>(0);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(pool.Run([held] {}).ok());
    while (held.use_count() > 1) absl::SleepFor(absl::Milliseconds(1));
  }
}

TEST(ChangePool, TheEndWaitsForAllJobs) {
  std::atomic<int> ran{0};
  {
    ChangePool pool(16);
    for (int i = 0; i < 16; ++i) {
      ASSERT_TRUE(pool.Run([&] {
                        absl::SleepFor(absl::Milliseconds(2));
                        ran.fetch_add(1, std::memory_order_relaxed);
                      })
                      .ok());
    }
  }
  EXPECT_EQ(ran.load(std::memory_order_relaxed), 16);
}

// Threads come and go all the while.
TEST(ChangePool, NoJobIsLostWhileThreadsEnd) {
  std::atomic<int> ran{0};
  {
    ChangePool pool(64, 1);
    for (int i = 0; i < 2000; ++i) {
      while (!pool.Run([&] { ran.fetch_add(1, std::memory_order_relaxed); })
                  .ok()) {
        std::this_thread::yield();
      }
      if (i % 16 == 0) absl::SleepFor(absl::Microseconds(60));
    }
  }
  EXPECT_EQ(ran.load(std::memory_order_relaxed), 2000);
}

}  // namespace
}  // namespace tunnel::ctl
