#include "tunnel/sync/qsbr.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tunnel/base/clock.h"
#include "tunnel/base/fault.h"
#include "tunnel/sync/snapshot.h"

namespace tunnel {
namespace {

using std::chrono::milliseconds;

static_assert(alignof(Qsbr::Reader) == 64 && sizeof(Qsbr::Reader) == 64);

TEST(Qsbr, WaitReturnsWhenNobodyReads) {
  Qsbr qsbr(4);
  EXPECT_EQ(qsbr.readers(), 4u);
  qsbr.Wait();
  { ReadSection section(qsbr.reader(2)); }
  qsbr.Wait();
  EXPECT_EQ(qsbr.waits(), 2u);
}

TEST(Qsbr, WaitOutlastsTheOpenSection) {
  if (FaultActive(Fault::kNoGracePeriod)) GTEST_SKIP() << "fault is on";
  Qsbr qsbr(2);
  qsbr.reader(1).Enter();
  auto wait = std::async(std::launch::async, [&] { qsbr.Wait(); });
  EXPECT_EQ(wait.wait_for(milliseconds(30)), std::future_status::timeout);
  qsbr.reader(1).Leave();
  wait.get();
}

TEST(Qsbr, WaitIsNotHeldUpByALaterSection) {
  Qsbr qsbr(1);
  std::atomic<bool> stop{false};
  // Always in some section, never in one for long.
  std::thread reader([&] {
    qsbr.reader(0).Enter();
    while (!stop.load(std::memory_order_relaxed)) {
      qsbr.reader(0).Leave();
      qsbr.reader(0).Enter();
    }
    qsbr.reader(0).Leave();
  });
  for (int i = 0; i < 1000; ++i) qsbr.Wait();
  stop.store(true);
  reader.join();
  EXPECT_EQ(qsbr.waits(), 1000u);
}

// A value that shows when it is read after its end or before its beginning.
struct Value {
  explicit Value(uint64_t n) { words.fill(n); }
  ~Value() { words.fill(~uint64_t{0}); }
  bool Whole() const {
    for (uint64_t word : words) {
      if (word != words[0] || word == ~uint64_t{0}) return false;
    }
    return true;
  }
  std::array<uint64_t, 16> words;
};

// Readers use what a snapshot gives; writers replace and free it. Returns the
// number of values that were not whole.
uint64_t ReplaceUnderReaders(milliseconds time) {
  constexpr size_t kReaders = 3, kWriters = 2;
  Qsbr qsbr(kReaders);
  std::array<Snapshot<Value>, kWriters> snapshots;
  for (auto& snapshot : snapshots) snapshot.Publish(new Value(1));
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> broken{0}, reads{0};
  std::vector<std::thread> threads;
  for (size_t r = 0; r < kReaders; ++r) {
    threads.emplace_back([&, r] {
      uint64_t bad = 0, count = 0;
      while (!stop.load(std::memory_order_relaxed)) {
        ReadSection section(qsbr.reader(r));
        for (auto& snapshot : snapshots) {
          const Value* value = snapshot.Load();
          bad += value->Whole() ? 0 : 1;
          ++count;
        }
      }
      broken += bad;
      reads += count;
    });
  }
  for (size_t w = 0; w < kWriters; ++w) {
    threads.emplace_back([&, w] {
      for (uint64_t n = 2; !stop.load(std::memory_order_relaxed); ++n) {
        const Value* old = snapshots[w].Publish(new Value(n));
        qsbr.Wait();
        delete old;
      }
    });
  }
  std::this_thread::sleep_for(time);
  stop.store(true);
  for (std::thread& thread : threads) thread.join();
  for (auto& snapshot : snapshots) delete snapshot.Publish(nullptr);
  EXPECT_GT(reads.load(), 0u);
  return broken.load();
}

TEST(Qsbr, NoReaderSeesAFreedOrHalfWrittenValue) {
  if (FaultActive(Fault::kNoGracePeriod)) GTEST_SKIP() << "fault is on";
  EXPECT_EQ(ReplaceUnderReaders(milliseconds(1500)), 0u);
}

#ifdef TUNNELD_SEEDED_FAULTS
// The same without the grace period must be found. In a process of its own,
// which ThreadSanitizer ends with 66 or the check with 1.
TEST(QsbrDeathTest, WithoutGracePeriodTheSameIsFound) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  ASSERT_EQ(setenv("TUNNELD_FAULT", "no_grace_period", 1), 0);
  EXPECT_EXIT(
      std::exit(ReplaceUnderReaders(milliseconds(3000)) == 0 ? 0 : 1),
      [](int status) {
        return !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
      },
      "");
  unsetenv("TUNNELD_FAULT");
}
#endif

}  // namespace
}  // namespace tunnel
