// The rings beside other queues between threads: packets a second through one
// queue, from one producer and from two, by batches of 1, 8 and 64; and in one
// thread alone (producers:0).
//
// Each run moves the same number of items from all producers to one consumer;
// who finds the queue full or empty spins for a while, then yields. At the end
// a table with the gain over a locked queue.

#include <benchmark/benchmark.h>
#include <concurrentqueue/concurrentqueue.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/lockfree/queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tunnel/sync/mpsc_ring.h"
#include "tunnel/sync/ring.h"

namespace tunnel {
namespace {

// What a hand-off passes on: where a packet is, and what is known of it.
struct Handle {
  void* packet = nullptr;
  uint32_t bytes = 0;
  uint32_t flow = 0;
};

constexpr size_t kCapacity = 1024;
constexpr size_t kItems = 200'000;
constexpr size_t kMostBatch = 64;

// Each adaptor: Push() and Pop() of a batch, the number that went through.
class LockedDeque {
 public:
  size_t Push(std::span<Handle> items) {
    const std::lock_guard lock(mu_);
    const size_t n = std::min(items.size(), kCapacity - queue_.size());
    queue_.insert(queue_.end(), items.begin(), items.begin() + n);
    return n;
  }
  size_t Pop(std::span<Handle> items) {
    const std::lock_guard lock(mu_);
    const size_t n = std::min(items.size(), queue_.size());
    std::copy_n(queue_.begin(), n, items.begin());
    queue_.erase(queue_.begin(), queue_.begin() + n);
    return n;
  }

 private:
  std::mutex mu_;
  std::deque<Handle> queue_;
};

// A lock for each packet, however many there are: the classic interface queue.
class LockedEach {
 public:
  size_t Push(std::span<Handle> items) {
    size_t n = 0;
    while (n < items.size() && queue_.Push(items.subspan(n, 1)) == 1) ++n;
    return n;
  }
  size_t Pop(std::span<Handle> items) {
    size_t n = 0;
    while (n < items.size() && queue_.Pop(items.subspan(n, 1)) == 1) ++n;
    return n;
  }

 private:
  LockedDeque queue_;
};

template <typename Ring>
class OurRing {
 public:
  size_t Push(std::span<Handle> items) { return ring_.PushBatch(items); }
  size_t Pop(std::span<Handle> items) { return ring_.PopBatch(items); }

 private:
  Ring ring_{kCapacity};
};
using Spsc = OurRing<SpscRing<Handle>>;
using Mpsc = OurRing<MpscRing<Handle>>;

// The design that SpscRing was not built on: a full flag in each slot, and no
// index that is shared.
class FlagRing {
 public:
  size_t Push(std::span<Handle> items) {
    size_t n = 0;
    for (; n < items.size(); ++n, ++tail_) {
      Slot& slot = slots_[tail_ % kCapacity];
      if (slot.full.load(std::memory_order_acquire)) break;
      slot.item = items[n];
      slot.full.store(true, std::memory_order_release);
    }
    return n;
  }
  size_t Pop(std::span<Handle> items) {
    size_t n = 0;
    for (; n < items.size(); ++n, ++head_) {
      Slot& slot = slots_[head_ % kCapacity];
      if (!slot.full.load(std::memory_order_acquire)) break;
      items[n] = slot.item;
      slot.full.store(false, std::memory_order_release);
    }
    return n;
  }

 private:
  struct Slot {
    std::atomic<bool> full{false};
    Handle item;
  };
  std::array<Slot, kCapacity> slots_;
  alignas(64) size_t tail_ = 0;
  alignas(64) size_t head_ = 0;
};

class BoostSpsc {
 public:
  size_t Push(std::span<Handle> items) {
    return queue_.push(items.data(), items.size());
  }
  size_t Pop(std::span<Handle> items) {
    return queue_.pop(items.data(), items.size());
  }

 private:
  boost::lockfree::spsc_queue<Handle, boost::lockfree::capacity<kCapacity>>
      queue_;
};

class BoostQueue {
 public:
  size_t Push(std::span<Handle> items) {
    size_t n = 0;
    while (n < items.size() && queue_.bounded_push(items[n])) ++n;
    return n;
  }
  size_t Pop(std::span<Handle> items) {
    size_t n = 0;
    while (n < items.size() && queue_.pop(items[n])) ++n;
    return n;
  }

 private:
  boost::lockfree::queue<Handle> queue_{kCapacity};
};

// Without bound in this form: it never refuses.
class Moodycamel {
 public:
  size_t Push(std::span<Handle> items) {
    thread_local const moodycamel::ProducerToken token(queue_);
    queue_.enqueue_bulk(token, items.data(), items.size());
    return items.size();
  }
  size_t Pop(std::span<Handle> items) {
    return queue_.try_dequeue_bulk(items.data(), items.size());
  }

 private:
  moodycamel::ConcurrentQueue<Handle> queue_{kCapacity};
};

// Spins for a while, then gives the CPU away.
class Patience {
 public:
  void Wait() {
    if (++rounds_ % 64 == 0) std::this_thread::yield();
  }

 private:
  unsigned rounds_ = 0;
};

template <typename Queue>
void Produce(Queue& queue, size_t items, size_t batch) {
  std::array<Handle, kMostBatch> handles;
  Patience patience;
  for (size_t sent = 0; sent < items;) {
    const size_t n = std::min(batch, items - sent);
    for (size_t i = 0; i < n; ++i)
      handles[i].flow = static_cast<uint32_t>(sent + i);
    const size_t taken = queue.Push(std::span(handles).first(n));
    sent += taken;
    if (taken == 0) patience.Wait();
  }
}

// Items through `queue` from `producers` threads; seconds.
template <typename Queue>
double Move(Queue& queue, size_t producers, size_t batch) {
  std::atomic<bool> go{false};
  std::vector<std::thread> threads;
  for (size_t p = 0; p < producers; ++p) {
    threads.emplace_back([&] {
      while (!go.load(std::memory_order_acquire)) std::this_thread::yield();
      Produce(queue, kItems / producers, batch);
    });
  }
  const auto begin = std::chrono::steady_clock::now();
  go.store(true, std::memory_order_release);
  std::array<Handle, kMostBatch> handles;
  Patience patience;
  for (size_t got = 0; got < kItems / producers * producers;) {
    const size_t n = queue.Pop(std::span(handles).first(batch));
    benchmark::DoNotOptimize(handles);
    got += n;
    if (n == 0) patience.Wait();
  }
  const auto end = std::chrono::steady_clock::now();
  for (std::thread& thread : threads) thread.join();
  return std::chrono::duration<double>(end - begin).count();
}

// CPU time of the calling thread.
double ThreadSeconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) +
         static_cast<double>(time.tv_nsec) * 1e-9;
}

// The same in one thread, which pushes a batch and pops it: what the queue
// costs where nobody is met, in CPU time. In a thread of its own, as Moodycamel
// keeps tokens.
template <typename Queue>
double MoveAlone(Queue& queue, size_t batch) {
  double seconds = 0;
  std::thread([&] {
    std::array<Handle, kMostBatch> handles;
    const std::span<Handle> some = std::span(handles).first(batch);
    const double begin = ThreadSeconds();
    for (size_t moved = 0; moved < kItems; moved += batch) {
      queue.Push(some);
      queue.Pop(some);
      benchmark::DoNotOptimize(handles);
    }
    seconds = ThreadSeconds() - begin;
  }).join();
  return seconds;
}

template <typename Queue>
void BM_Queue(benchmark::State& state) {
  const auto producers = static_cast<size_t>(state.range(0));
  const auto batch = static_cast<size_t>(state.range(1));
  for (auto _ : state) {
    const auto queue = std::make_unique<Queue>();
    state.SetIterationTime(producers == 0 ? MoveAlone(*queue, batch)
                                          : Move(*queue, producers, batch));
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * kItems);
}

#define QUEUE(type, most_producers)                                        \
  BENCHMARK_TEMPLATE(BM_Queue, type)                                       \
      ->ArgNames({"producers", "batch"})                                   \
      ->ArgsProduct(                                                       \
          {benchmark::CreateDenseRange(0, most_producers, 1), {1, 8, 64}}) \
      ->UseManualTime()                                                    \
      ->Iterations(1)                                                      \
      ->Repetitions(20)
QUEUE(LockedEach, 2);
QUEUE(LockedDeque, 2);
QUEUE(Spsc, 1);
QUEUE(FlagRing, 1);
QUEUE(BoostSpsc, 1);
QUEUE(Mpsc, 2);
QUEUE(BoostQueue, 2);
QUEUE(Moodycamel, 2);
#undef QUEUE

// Keeps the best of the repetitions: what another program took from a run is no
// property of the queue.
class Table : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) {
      if (run.run_type != Run::RT_Iteration) continue;
      const std::string& name = run.run_name.function_name;
      const std::string queue = name.substr(name.find('<') + 1);
      Rates& rates = RatesOf(run.run_name.args);
      double& best = rates[queue.substr(0, queue.size() - 1)];
      best = std::max(best, run.counters.at("items_per_second").value);
    }
  }

  void Print() const {
    std::printf(
        "\n| | queue | million packets/s | gain over a lock for each |\n"
        "|---|---|---|---|\n");
    for (const auto& [args, queues] : best_) {
      const auto base = queues.find("LockedEach");
      for (const auto& [queue, rate] : queues) {
        std::printf("| %s | %s | %.1f | ", args.c_str(), queue.c_str(),
                    rate / 1e6);
        if (base != queues.end())
          std::printf("%+.0f %%", (rate / base->second - 1) * 100);
        std::printf(" |\n");
      }
    }
  }

 private:
  using Rates = std::map<std::string, double>;  // packets/s

  Rates& RatesOf(const std::string& args) {
    for (auto& [known, rates] : best_)
      if (known == args) return rates;
    return best_.emplace_back(args, Rates()).second;
  }

  std::vector<std::pair<std::string, Rates>> best_;
};

}  // namespace
}  // namespace tunnel

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  tunnel::Table table;
  benchmark::RunSpecifiedBenchmarks(&table);
  table.Print();
  return 0;
}
