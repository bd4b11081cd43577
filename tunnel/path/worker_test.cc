// How a worker watches its sockets: one that gives many packets at once is
// polled until it has none, and is not watched by epoll meanwhile.

#include "tunnel/path/worker.h"

#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tunnel {
namespace {

// One socket, which gives packets that belong to no tunnel. Packets are put
// there by the test, and taken by the worker.
class Wire : public Transport {
 public:
  static constexpr size_t kMost = 8;  // packets in a batch

  std::vector<int> receive_fds() const override { return {fd_.get()}; }

  std::span<IncomingPacket> ReceiveBatch(size_t) noexcept override {
    uint64_t count = waiting_.load();
    const size_t taken = std::min<uint64_t>(count, kMost);
    if (!endless_.load()) {
      waiting_.fetch_sub(taken);
      if (count == taken) {
        // Not readable any more, unless a packet comes meanwhile.
        (void)!::read(fd_.get(), &count, sizeof count);
        if (waiting_.load() != 0) Ring();
      }
    }
    for (size_t i = 0; i < taken; ++i) {
      packets_[i].packet = encap::PacketBuffer(bytes_[i], 64, 20);
      packets_[i].packet.data()[0] = 0x45;
    }
    batches_.fetch_add(1);
    return std::span(packets_).first(taken);
  }
  size_t SendBatch(std::span<OutgoingPacket>) noexcept override { return 0; }
  uint64_t receive_drops() noexcept override { return 0; }

  void Put(size_t packets) {
    waiting_.fetch_add(packets);
    Ring();
  }
  // From now on, or no more, each batch is a full one.
  void SetEndless(bool endless) { endless_.store(endless); }
  uint64_t waiting() const { return waiting_.load(); }
  uint64_t batches() const { return batches_.load(); }
  int fd() const { return fd_.get(); }

 private:
  void Ring() {
    const uint64_t one = 1;
    (void)!::write(fd_.get(), &one, sizeof one);
  }

  const UniqueFd fd_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  // Sequentially consistent: with each other, for want of a reason for less.
  std::atomic<uint64_t> waiting_{0}, batches_{0};
  std::atomic<bool> endless_{false};
  std::array<std::array<uint8_t, 2048>, kMost> bytes_{};
  std::array<IncomingPacket, kMost> packets_;
};

// Whether an epoll of this process watches it.
bool IsWatched(int fd) {
  DIR* const all = opendir("/proc/self/fdinfo");
  bool found = false;
  while (const dirent* entry = readdir(all)) {
    std::ifstream info(absl::StrCat("/proc/self/fdinfo/", entry->d_name));
    std::string word;
    int watched = -1;
    while (info >> word)
      if (word == "tfd:" && info >> watched && watched == fd) found = true;
  }
  closedir(all);
  return found;
}

class WorkerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto wire = std::make_unique<Wire>();
    wire_ = wire.get();
    worker_ =
        std::make_unique<Worker>(0, -1, table_, qsbr_.reader(0), *lanes_,
                                 std::move(wire), std::chrono::nanoseconds(0));
    ASSERT_TRUE(worker_->Start().ok());
  }

  template <typename Condition>
  static bool Becomes(Condition condition) {
    for (int i = 0; i < 10'000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  }
  uint64_t received() const {
    return worker_->counters().receive_packets.value();
  }

  EndpointTable table_;
  Qsbr qsbr_{1};
  const std::unique_ptr<HandoffLanes> lanes_ =
      *HandoffLanes::Create(1, Dispatch::kHybrid);
  Wire* wire_ = nullptr;
  std::unique_ptr<Worker> worker_;
};

TEST_F(WorkerTest, BusySocketIsNotWatchedUntilItHasNoPackets) {
  EXPECT_TRUE(IsWatched(wire_->fd()));
  wire_->SetEndless(true);
  wire_->Put(Wire::kMost);
  ASSERT_TRUE(Becomes([&] { return wire_->batches() > 3; }));
  EXPECT_FALSE(IsWatched(wire_->fd()));
  wire_->SetEndless(false);
  EXPECT_TRUE(Becomes([&] { return IsWatched(wire_->fd()); }));
  EXPECT_EQ(wire_->waiting(), 0u);
}

TEST_F(WorkerTest, FewPacketsKeepItWatched) {
  for (size_t i = 1; i <= 100; ++i) {
    wire_->Put(i % 2 + 1);
    ASSERT_TRUE(Becomes([&] { return wire_->waiting() == 0; }));
    EXPECT_TRUE(IsWatched(wire_->fd()));
  }
}

TEST_F(WorkerTest, NoPacketIsLeftLyingAroundThePolling) {
  uint64_t put = 0;
  for (size_t i = 0; i < 5000; ++i) {
    wire_->Put(i % 11 + 1);
    put += i % 11 + 1;
    // Sometimes it gets to the end, sometimes it does not.
    if (i % 7 == 0) std::this_thread::yield();
    if (i % 13 == 0) {
      ASSERT_TRUE(Becomes([&] { return received() == put; })) << i;
    }
  }
  EXPECT_TRUE(Becomes([&] { return received() == put; }));
  EXPECT_TRUE(Becomes([&] { return IsWatched(wire_->fd()); }));
}

TEST_F(WorkerTest, SleepsOnceTheRushIsOver) {
  wire_->Put(100);
  ASSERT_TRUE(Becomes([&] { return IsWatched(wire_->fd()); }));
  ASSERT_TRUE(Becomes([&] { return received() == 100; }));
  const uint64_t batches = wire_->batches();
  const auto polls = [&] {
    return worker_->counters()
        .syscalls[static_cast<size_t>(Syscall::kPoll)]
        .value();
  };
  const uint64_t before = polls();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_EQ(wire_->batches(), batches);
  EXPECT_LE(polls(), before + 1) << "it goes round and round";
}

TEST_F(WorkerTest, CommandsAndTheEndAreNotHeldUp) {
  wire_->SetEndless(true);
  wire_->Put(Wire::kMost);
  ASSERT_TRUE(Becomes([&] { return wire_->batches() > 3; }));
  QueueContext queue;
  queue.gone = true;  // it has no device
  worker_->Post(Worker::Verb::kUnpark, &queue);
  worker_->WaitDone();
  worker_->Stop();
}

TEST_F(WorkerTest, WakeUpsAreCountedWhereItCouldSleep) {
  wire_->SetEndless(true);
  wire_->Put(Wire::kMost);
  ASSERT_TRUE(Becomes([&] { return wire_->batches() > 1000; }));
  EXPECT_LT(worker_->counters().wakeups.value(), 10u);
  EXPECT_GT(worker_->counters().receive_batches.value(), 900u);
}

}  // namespace
}  // namespace tunnel
