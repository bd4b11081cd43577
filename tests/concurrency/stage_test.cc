// Stages of a tunnel's output (a rate, captures) go in and out while one flow
// of numbered datagrams, single ones and super-packets, crosses it: what
// reaches the wire is each number once, in order, and so is what a capture
// gets, but for what it says it has lost.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "encap/bytes.h"
#include "tests/concurrency/lab.h"
#include "tunnel/base/clock.h"
#include "tunnel/endpoint/capture_types.h"

namespace tunnel {
namespace {

constexpr size_t kOuterHeaders = 24, kPiece = 32;
constexpr int kSteps = 150;

// `count` datagrams, the first with number `first`, as one UDP packet.
std::vector<uint8_t> Datagrams(uint32_t first, size_t count) {
  std::vector<uint8_t> p = InnerDatagram(4000, count * kPiece);
  for (size_t i = 0; i < count; ++i) {
    encap::Put32(&p[kInnerHeaderLen + i * kPiece],
                 static_cast<uint32_t>(first + i));
  }
  return p;
}

encap::SegmentHint HintFor(size_t count) {
  if (count == 1) return {};
  return {.gso_type = encap::GsoType::kUdp,
          .needs_checksum = true,
          .gso_size = kPiece,
          .header_len = kInnerHeaderLen,
          .checksum_start = 20,
          .checksum_offset = 6};
}

// 0 when it is no single datagram of this test, else its number plus one.
uint32_t NumberBehind(std::span<const uint8_t> outer) {
  constexpr size_t kHeaders = kOuterHeaders + kInnerHeaderLen;
  if (outer.size() != kHeaders + kPiece) return 0;
  return encap::Get32(&outer[kHeaders]) + 1;
}

// A capture of what is sent, as far as it has been read.
struct Reader {
  std::unique_ptr<TunnelManager::Capture> capture;
  uint64_t got = 0;
  uint64_t wrong = 0;  // not a datagram, or not behind the one before
  uint32_t last = 0;

  size_t Read() {
    return capture->Read(1000, 1 << 20, [&](const CapturedPacket& packet) {
      const uint32_t number = NumberBehind(packet.bytes);
      if (number <= last) ++wrong;
      last = number;
      ++got;
    });
  }
};

class StageTest : public ::testing::Test {
 protected:
  StageTest() : lab_(2), random_(Seed()) {
    EXPECT_TRUE(
        lab_.manager->CreateTunnel({}, GreConfig("t", 1, std::nullopt), {})
            .ok());
    // The workers that have the flow in turn share nothing here: a relaxed
    // order hides no race of theirs.
    lab_.wire.SetSink(
        [this](size_t, std::span<const uint8_t> packet, const SendRoute&) {
          const uint32_t due = sent_.load(std::memory_order_relaxed) + 1;
          if (NumberBehind(packet) != due)
            disorder_.fetch_add(1, std::memory_order_relaxed);
          sent_.store(due, std::memory_order_relaxed);
        });
  }

  // The host's side of the device: one flow, so one queue. What finds the queue
  // full is tried again.
  void Feed() {
    std::mt19937 random(1);
    while (!stop_.load(std::memory_order_relaxed)) {
      const size_t count = random() % 4 == 0 ? 1 + random() % 40 : 1;
      const std::vector<uint8_t> packet = Datagrams(fed_, count);
      while (!lab_.tun.Inject("t", 0, packet, HintFor(count)))
        std::this_thread::yield();
      fed_ += static_cast<uint32_t>(count);
    }
  }

  void Change(const std::function<void(EndpointConfig&)>& edit) {
    const auto result =
        lab_.manager->UpdateTunnel({}, "t",
                                   [&](const EndpointConfig& now) {
                                     EndpointConfig next = now;
                                     edit(next);
                                     return next;
                                   },
                                   {});
    ASSERT_TRUE(result.ok()) << result.status();
  }

  Reader Capture() {
    auto capture = lab_.manager->StartCapture({}, "t", {.outer = true});
    EXPECT_TRUE(capture.ok()) << capture.status();
    return {*std::move(capture)};
  }

  void SetRate() {
    // The lowest makes the flow wait.
    constexpr uint64_t kRates[] = {0, 20'000'000, 400'000'000, 10'000'000'000};
    constexpr uint32_t kBursts[] = {0, 1500, 65536};
    const uint64_t rate = kRates[random_() % 4];
    const uint32_t burst = rate == 0 ? 0 : kBursts[random_() % 3];
    Change([&](EndpointConfig& config) {
      config.rate = rate;
      config.burst = burst;
    });
  }

  void Step(std::vector<Reader>& readers) {
    switch (random_() % 6) {
      case 0:
      case 1:
        return SetRate();
      case 2:
        return Change([number = random_()](EndpointConfig& config) {
          config.encap.ttl = static_cast<uint8_t>(1 + number % 255);
          config.queues = number % 3;
        });
      case 3:
        // Beside the one that lasts.
        if (readers.size() + 1 < kMaxCapturesOfTunnel)
          readers.push_back(Capture());
        return;
      case 4:
        if (readers.empty()) return;
        Check(readers.back());
        return readers.pop_back();
      default:
        for (Reader& reader : readers) reader.Read();
    }
  }

  static void Check(Reader& reader) {
    while (reader.Read() > 0 && reader.got < 10'000) {
    }
    EXPECT_EQ(reader.wrong, 0u);
  }

  uint64_t sent() const { return sent_.load(std::memory_order_relaxed); }

  Lab lab_;
  std::mt19937 random_;
  std::atomic<bool> stop_{false};
  uint32_t fed_ = 0;  // the feeder's while it runs
  std::atomic<uint32_t> sent_{0};
  std::atomic<uint64_t> disorder_{0};
};

TEST_F(StageTest, NothingIsLostDoubledOrReordered) {
  Reader whole = Capture();
  std::atomic<bool> done{false};
  std::thread feeder([&] { Feed(); });
  std::thread drain([&] {
    while (!done.load()) {
      if (whole.Read() == 0) std::this_thread::yield();
    }
  });
  std::vector<Reader> readers;
  for (int i = 0; i < kSteps; ++i) Step(readers);
  stop_.store(true, std::memory_order_relaxed);
  Change([](EndpointConfig& config) { config.rate = config.burst = 0; });
  feeder.join();
  const SteadyTime start = SteadyNow();
  while (sent() < fed_ && Since(start) < std::chrono::minutes(1))
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  done.store(true);
  drain.join();
  EXPECT_EQ(sent(), fed_);
  EXPECT_EQ(disorder_.load(), 0u);
  EXPECT_GT(fed_, 1000u);
  // No section is open any more that could copy.
  Change([](EndpointConfig& config) { config.encap.ttl = 7; });
  while (whole.Read() > 0) {
  }
  EXPECT_EQ(whole.wrong, 0u);
  EXPECT_EQ(whole.got + whole.capture->lost(), fed_);
  EXPECT_GT(whole.got, 0u);
}

}  // namespace
}  // namespace tunnel
