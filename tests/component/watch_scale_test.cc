// A thousand watchers over the real socket, of which a hundred never read: no
// thread more, no memory that grows, no writer that waits, and all the others
// end in the final state.

#include <dirent.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/component/daemon.h"
#include "tests/concurrency/sanitizers.h"

namespace tunnel::ctl {
namespace {

// A sanitizer looks for other things, and has them after a part of it.
constexpr bool kMemoryIsOurs = !kHasAsan && !kHasTsan;
constexpr int kPart = kMemoryIsOurs ? 1 : 4;

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using Response = v1::WatchTunnelsResponse;

constexpr int kWatchers = 1000 / kPart;
constexpr int kStopped = 100 / kPart;
constexpr int kStreamsAConnection = 100;  // what the server allows
constexpr int kTunnels = 4;

// One stream without a thread. A stopped one never asks for a message.
class Watcher final : public grpc::ClientReadReactor<Response> {
 public:
  Watcher(v1::TunnelService::Stub& stub, const v1::WatchTunnelsRequest& request,
          bool reads)
      : request_(request) {
    stub.async()->WatchTunnels(&context_, &request_, this);
    if (reads) StartRead(&response_);
    // A stopped one is kept by a hold, or it would end with nothing under way.
    if (!reads) AddHold();
    holds_ = !reads;
    StartCall();
  }
  ~Watcher() override {
    context_.TryCancel();
    if (holds_) RemoveHold();
    std::unique_lock lock(mu_);
    changed_.wait(lock, [this] { return done_; });
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    {
      std::lock_guard lock(mu_);
      Take(response_);
    }
    changed_.notify_all();
    StartRead(&response_);
  }
  void OnDone(const grpc::Status& status) override {
    std::lock_guard lock(mu_);
    status_ = status;
    done_ = true;
    changed_.notify_all();
  }

  // NAME -> etag, as seen so far.
  std::map<std::string, std::string> State() {
    std::lock_guard lock(mu_);
    return state_;
  }
  bool synced() {
    std::lock_guard lock(mu_);
    return synced_;
  }
  size_t events() {
    std::lock_guard lock(mu_);
    return events_;
  }
  std::pair<std::string, uint64_t> position() {
    std::lock_guard lock(mu_);
    return {epoch_, revision_};
  }
  // The status of a stream that ends within 20 s.
  grpc::Status AwaitEnd() {
    std::unique_lock lock(mu_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(20),
                                  [this] { return done_; }));
    return status_;
  }

 private:
  void Take(const Response& event) {
    EXPECT_GE(event.revision(), revision_);
    epoch_ = event.epoch();
    revision_ = event.revision();
    if (event.has_heartbeat()) return;
    ++events_;
    if (event.has_added()) state_[event.added().name()] = event.added().etag();
    if (event.has_modified()) {
      state_[event.modified().name()] = event.modified().etag();
    }
    if (!event.deleted().empty()) state_.erase(event.deleted());
    if (event.has_synced()) synced_ = true;
  }

  const v1::WatchTunnelsRequest request_;
  grpc::ClientContext context_;
  Response response_;
  bool holds_ = false;
  std::mutex mu_;
  std::condition_variable changed_;
  std::map<std::string, std::string> state_;
  bool synced_ = false;
  bool done_ = false;
  size_t events_ = 0;
  std::string epoch_;
  uint64_t revision_ = 0;
  grpc::Status status_;
};

size_t Threads() {
  size_t n = 0;
  DIR* tasks = opendir("/proc/self/task");
  while (const dirent* entry = readdir(tasks)) n += entry->d_name[0] != '.';
  closedir(tasks);
  return n;
}

double ResidentMiB() {
  std::ifstream file("/proc/self/statm");
  double size = 0, resident = 0;
  file >> size >> resident;
  return resident * 4096 / (1 << 20);
}

bool Await(const std::function<bool()>& condition) {
  const auto limit = Clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (Clock::now() > limit) return false;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return true;
}

struct Latency {
  double p50 = 0, p99 = 0;  // ms
};

class WatchScaleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < kTunnels; ++i) {
      grpc::ClientContext context;
      v1::TunnelChange change;
      ASSERT_TRUE(
          daemon_.tunnels()
              .CreateTunnel(&context, GreRequest(Name(i), 2 + i), &change)
              .ok());
    }
  }
  static std::string Name(int i) { return absl::StrCat("t", i); }

  void Open(int watchers, int stopped) {
    for (int i = 0; i < watchers; ++i) {
      if (i % kStreamsAConnection == 0) {
        stubs_.push_back(v1::TunnelService::NewStub(daemon_.Connect()));
      }
      // Among the others on each connection, so that they share its fate.
      const bool reads = stopped == 0 || i % (watchers / stopped) != 0;
      auto watcher = std::make_unique<Watcher>(
          *stubs_.back(), v1::WatchTunnelsRequest(), reads);
      (reads ? live_ : stopped_).push_back(std::move(watcher));
    }
  }

  // Makes `n` changes, one after the other; how long each took.
  Latency Change(int n) {
    std::vector<double> times;
    for (int i = 0; i < n; ++i) {
      v1::UpdateTunnelRequest request;
      request.mutable_tunnel()->set_name(Name(i % kTunnels));
      request.mutable_tunnel()->set_ttl(1 + next_ttl_++ % 250);
      grpc::ClientContext context;
      v1::TunnelChange change;
      const auto start = Clock::now();
      EXPECT_TRUE(
          daemon_.tunnels().UpdateTunnel(&context, request, &change).ok());
      EXPECT_FALSE(change.no_op());
      times.push_back(
          std::chrono::duration<double, std::milli>(Clock::now() - start)
              .count());
    }
    std::sort(times.begin(), times.end());
    return {times[times.size() / 2], times[times.size() * 99 / 100]};
  }

  std::map<std::string, std::string> Committed() {
    std::map<std::string, std::string> state;
    for (const TunnelView& view : daemon_.manager().List().tunnels) {
      state[view.config.name] = view.etag;
    }
    return state;
  }

  TestDaemon daemon_;
  int next_ttl_ = 0;
  std::vector<std::unique_ptr<v1::TunnelService::Stub>> stubs_;
  std::vector<std::unique_ptr<Watcher>> live_, stopped_;
};

TEST_F(WatchScaleTest, ThousandWatchersOfWhichAHundredNeverRead) {
  Open(20, 2);  // whatever gRPC starts with its first streams is there now
  Change(100);
  live_.clear();
  stopped_.clear();
  stubs_.clear();
  const Latency alone = Change(300);
  const size_t threads = Threads();

  Open(kWatchers, kStopped);
  ASSERT_EQ(stopped_.size(), static_cast<size_t>(kStopped));
  ASSERT_TRUE(Await([&] {
    return std::all_of(live_.begin(), live_.end(),
                       [](const auto& watcher) { return watcher->synced(); });
  }));
  // What flow control lets a stopped reader leave unread (64 KiB a stream, here
  // at both ends, in pieces) fills up at first.
  const Latency watched = Change(1200 / kPart);
  const double memory = ResidentMiB();
  const Latency later = Change(1000 / kPart);
  const double memory_later = ResidentMiB();
  const size_t threads_later = Threads();
  std::printf(
      "threads %zu -> %zu; memory %.1f -> %.1f MiB; a change takes %.2f ms "
      "(p99 %.2f) alone, %.2f (p99 %.2f) and %.2f (p99 %.2f) watched\n",
      threads, threads_later, memory, memory_later, alone.p50, alone.p99,
      watched.p50, watched.p99, later.p50, later.p99);

  const auto final_state = Committed();
  EXPECT_TRUE(Await([&] {
    return std::all_of(live_.begin(), live_.end(), [&](const auto& watcher) {
      return watcher->State() == final_state;
    });
  }));
  size_t events = 0;
  for (const auto& watcher : live_) events += watcher->events();
  std::printf("%zu events for %zu live watchers of %d changes\n", events,
              live_.size(), 2200 / kPart);
  // The client of this process has no thread a stream either.
  EXPECT_LE(threads_later, threads + 16);
  if (kMemoryIsOurs) {
    EXPECT_LT(memory_later, memory * 1.15 + 2);
  } else {
    std::printf("memory is not judged: a sanitizer keeps what is freed\n");
  }
  EXPECT_LT(later.p50, alone.p50 * 40 + 5);
  EXPECT_LT(later.p99, alone.p99 * 40 + 50);

  // Those who have never read can still be served, with the last state.
  const auto resumed_from = live_.front()->position();
  live_.front().reset();
  Change(1);
  v1::WatchTunnelsRequest request;
  request.set_epoch(resumed_from.first);
  request.set_since_revision(resumed_from.second);
  Watcher resumed(daemon_.tunnels(), request, true);
  EXPECT_TRUE(Await([&] { return resumed.synced(); }));
  EXPECT_EQ(resumed.State().size(), 1u) << "only what has changed since";
  live_.erase(live_.begin());
}

TEST_F(WatchScaleTest, AnOldRevisionIsToldToStartAnew) {
  Open(1, 0);
  ASSERT_TRUE(Await([&] { return live_[0]->synced(); }));
  const auto [epoch, revision] = live_[0]->position();
  const auto apply = [&](const TunnelManager::EditAll& edit) {
    const auto result = daemon_.manager().Apply({}, edit, {});
    EXPECT_TRUE(result.ok()) << result.status();
  };
  const auto add_and_delete = [&](int round) {
    apply([round](const TunnelManager::Configs& current) {
      TunnelManager::Configs next = current;
      for (uint32_t key = 0; key < 1000; ++key) {
        EndpointConfig config = current.at(Name(0));
        config.name = absl::StrCat("r", round, "k", key);
        config.encap.input_key = config.encap.output_key = key;
        config.queues = 1;
        next[config.name] = config;
      }
      return next;
    });
    apply([](const TunnelManager::Configs& current) {
      TunnelManager::Configs next;
      for (int i = 0; i < kTunnels; ++i) next[Name(i)] = current.at(Name(i));
      return next;
    });
  };
  v1::WatchTunnelsRequest request;
  request.set_epoch(epoch);
  request.set_since_revision(revision);
  add_and_delete(0);
  {
    // Known still: each deletion is told.
    Watcher resumed(daemon_.tunnels(), request, true);
    EXPECT_TRUE(Await([&] { return resumed.synced(); }));
    EXPECT_EQ(resumed.events(), 1001u);
  }
  for (int round = 1; round < 5; ++round) add_and_delete(round);
  // More deletions than the daemon remembers.
  Watcher late(daemon_.tunnels(), request, true);
  const grpc::Status status = late.AwaitEnd();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(ReasonOf(status), "REVISION_EXPIRED");
  // Who has kept up has the final state.
  const auto final_state = Committed();
  EXPECT_TRUE(Await([&] { return live_[0]->State() == final_state; }));
}

}  // namespace
}  // namespace tunnel::ctl
