#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tunnel/base/clock.h"
#include "tunnel/base/cpu.h"
#include "tunnel/base/fault.h"
#include "tunnel/base/latency_histogram.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/base/unique_fd.h"

namespace tunnel {
namespace {

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) >= 0; }
int OpenNull() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

TEST(UniqueFd, ClosesWhatItOwns) {
  const int raw = OpenNull();
  ASSERT_GE(raw, 0);
  {
    UniqueFd fd(raw);
    EXPECT_TRUE(fd.valid());
    EXPECT_TRUE(IsOpen(raw));
  }
  EXPECT_FALSE(IsOpen(raw));
}

TEST(UniqueFd, MovesAndReleases) {
  const int first = OpenNull(), second = OpenNull();
  UniqueFd a(first), b(second);
  a = std::move(b);
  EXPECT_FALSE(IsOpen(first));
  EXPECT_FALSE(b.valid());
  UniqueFd c(std::move(a));
  EXPECT_EQ(c.get(), second);
  EXPECT_EQ(c.release(), second);
  EXPECT_FALSE(c);
  EXPECT_TRUE(IsOpen(second));
  close(second);
}

TEST(UniqueFd, SurvivesMoveToItself) {
  UniqueFd fd(OpenNull());
  UniqueFd& same = fd;
  fd = std::move(same);
  EXPECT_TRUE(IsOpen(fd.get()));
}

absl::StatusOr<std::unique_ptr<int>> Half(int n) {
  if (n % 2 != 0) return absl::InvalidArgumentError("odd");
  return std::make_unique<int>(n / 2);
}

absl::StatusOr<int> Quarter(int n, int* evaluations) {
  ASSIGN_OR_RETURN(const std::unique_ptr<int> half, (++*evaluations, Half(n)));
  std::unique_ptr<int> quarter;
  ASSIGN_OR_RETURN(quarter, Half(*half));
  return *quarter;
}

absl::Status Check(int n, int* evaluations) {
  int unused = 0;
  RETURN_IF_ERROR((++*evaluations, Quarter(n, &unused).status()));
  return absl::OkStatus();
}

TEST(StatusMacros, ReturnTheFirstErrorAndEvaluateOnce) {
  int evaluations = 0;
  EXPECT_EQ(*Quarter(12, &evaluations), 3);
  EXPECT_EQ(evaluations, 1);
  EXPECT_EQ(Quarter(6, &evaluations).status().message(), "odd");
  EXPECT_EQ(Quarter(1, &evaluations).status().message(), "odd");
  evaluations = 0;
  EXPECT_TRUE(Check(4, &evaluations).ok());
  EXPECT_FALSE(Check(2, &evaluations).ok());
  EXPECT_EQ(evaluations, 2);
}

TEST(Cpu, PinsToEachAllowedCpu) {
  const std::vector<int> cpus = AllowedCpus();
  ASSERT_FALSE(cpus.empty());
  EXPECT_TRUE(std::is_sorted(cpus.begin(), cpus.end()));
  std::thread([&] {
    for (int cpu : cpus) {
      const absl::Status status = PinThread(cpu);
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_EQ(sched_getcpu(), cpu);
      EXPECT_EQ(AllowedCpus(), std::vector<int>{cpu});
    }
  }).join();
  EXPECT_EQ(AllowedCpus(), cpus);
}

TEST(Cpu, RefusesACpuThatIsNotThere) {
  for (int cpu : {-1, 1 << 16, 60'000}) {
    EXPECT_EQ(PinThread(cpu).code(), absl::StatusCode::kInvalidArgument) << cpu;
  }
}

TEST(Cpu, CutsLongThreadNames) {
  std::thread([] {
    SetThreadName("worker-0123456789abcdef");
    char name[16];
    ASSERT_EQ(pthread_getname_np(pthread_self(), name, sizeof(name)), 0);
    EXPECT_STREQ(name, "worker-01234567");
  }).join();
}

TEST(Clock, DeadlineDoesNotOverflow) {
  const SteadyTime now = SteadyNow();
  EXPECT_EQ(Deadline(now, std::chrono::milliseconds::max()), SteadyTime::max());
  EXPECT_EQ(Deadline(now, std::chrono::milliseconds(5)) - now,
            std::chrono::milliseconds(5));
  EXPECT_EQ(Since(now + std::chrono::hours(1)).count(), 0);
  EXPECT_GE(Since(now).count(), 0);
}

TEST(Clock, CoarseTimeIsTheWallClock) {
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  const int64_t coarse = static_cast<int64_t>(RealtimeCoarseNs());
  const int64_t exact = std::chrono::nanoseconds(wall).count();
  EXPECT_LT(std::abs(coarse - exact), int64_t{1'000'000'000});
}

TEST(Fault, NoneIsActiveUnlessAskedFor) {
  EXPECT_FALSE(FaultActive(Fault::kNoGracePeriod));
  EXPECT_FALSE(FaultActive(Fault::kPublishBeforePause));
}

#ifdef TUNNELD_SEEDED_FAULTS
TEST(FaultDeathTest, ReadsTheEnvironment) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  ASSERT_EQ(setenv("TUNNELD_FAULT", "no_grace_period", 1), 0);
  EXPECT_EXIT(std::exit(FaultActive(Fault::kNoGracePeriod) &&
                                !FaultActive(Fault::kPublishBeforePause)
                            ? 42
                            : 1),
              testing::ExitedWithCode(42), "");
  ASSERT_EQ(setenv("TUNNELD_FAULT", "misspelt", 1), 0);
  EXPECT_DEATH(FaultActive(Fault::kNone), "unknown fault \"misspelt\"");
  unsetenv("TUNNELD_FAULT");
}
#endif

TEST(LatencyHistogram, CountsEachSampleBelowItsBound) {
  using std::chrono::nanoseconds;
  LatencyHistogram histogram;
  const auto& bounds = LatencyHistogram::kBoundsNs;
  EXPECT_TRUE(std::is_sorted(bounds.begin(), bounds.end()));
  for (const int64_t bound : bounds) {
    histogram.Record(nanoseconds(bound));
    histogram.Record(nanoseconds(bound + 1));
  }
  // A bound belongs to what is below it.
  EXPECT_EQ(histogram.counts.front(), 1u);
  for (size_t i = 1; i < bounds.size(); ++i) {
    EXPECT_EQ(histogram.counts[i], 2u) << bounds[i];
  }
  EXPECT_EQ(histogram.counts.back(), 1u);
  EXPECT_EQ(histogram.total(), 2 * bounds.size());
  int64_t sum = 0;
  for (const int64_t bound : bounds) sum += 2 * bound + 1;
  EXPECT_EQ(histogram.sum.count(), sum);
  histogram.Record(nanoseconds(0));
  EXPECT_EQ(histogram.counts.front(), 2u);
}

}  // namespace
}  // namespace tunnel
