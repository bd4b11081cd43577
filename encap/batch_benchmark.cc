// ns a packet over more memory than the caches hold: one by one, in batches,
// and by how far ahead is fetched; and with one thread and two. Buffers lie in
// huge pages, as packet pools do. Build with --config=opt. Compare the lines of
// one run with each other.

#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <numeric>
#include <random>
#include <vector>

#include "encap/batch.h"
#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Bytes;
using testing::Config;
using testing::Peer;

constexpr IpFamily kV4 = IpFamily::kV4;
constexpr size_t kBufferLen = 2048;
constexpr size_t kBatch = 64;

struct Free {
  void operator()(uint8_t* memory) const { std::free(memory); }
};

// In huge pages where the kernel has some.
std::unique_ptr<uint8_t[], Free> HugePages(size_t bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t whole = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  std::unique_ptr<uint8_t[], Free> memory(
      static_cast<uint8_t*>(std::aligned_alloc(kHugePage, whole)));
  if (memory == nullptr) throw std::bad_alloc();
  (void)madvise(memory.get(), whole, MADV_HUGEPAGE);
  return memory;
}

// Buffers in an order that no prefetcher of the hardware foresees, each with
// the same packet.
class Pool {
 public:
  Pool(size_t total, const Bytes& bytes)
      : memory_(HugePages(total)), order_(total / kBufferLen) {
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::shuffle(order_.begin(), order_.end(), std::minstd_rand(1));
    for (const size_t i : order_) {
      const std::span<uint8_t> buffer(memory_.get() + i * kBufferLen,
                                      kBufferLen);
      std::copy(bytes.begin(), bytes.end(), buffer.begin() + kMaxEncapHeadroom);
      packets_.emplace_back(buffer, kMaxEncapHeadroom, bytes.size());
    }
  }
  // The next kBatch packets.
  std::span<PacketBuffer> Next() {
    at_ = at_ + 2 * kBatch <= packets_.size() ? at_ + kBatch : 0;
    return {packets_.data() + at_, kBatch};
  }

 private:
  const std::unique_ptr<uint8_t[], Free> memory_;
  std::vector<size_t> order_;
  std::vector<PacketBuffer> packets_;
  size_t at_ = 0;
};

// Arguments: KiB of buffers; 0 one by one, 1 a batch.
void EncapsulatePool(benchmark::State& state) {
  const EncapConfig config = Config(Mode::kGre, kV4);
  const Encapsulator encapsulator(config);
  Pool pool(static_cast<size_t>(state.range(0)) * 1024,
            testing::InnerV4({.payload = 44}));
  OutputState out;
  std::array<DropReason, kBatch> reasons;
  const size_t pushed = EncapOverhead(config);
  for (auto _ : state) {
    const std::span<PacketBuffer> packets = pool.Next();
    if (state.range(1) == 1) {
      benchmark::DoNotOptimize(
          EncapsulateBatch(encapsulator, packets, out, reasons));
    } else {
      for (size_t i = 0; i < kBatch; ++i) {
        reasons[i] = encapsulator.Encapsulate(packets[i], out);
      }
    }
    benchmark::ClobberMemory();
    for (PacketBuffer& packet : packets) packet.Pull(pushed);
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(EncapsulatePool)->ArgsProduct({{128, 8192, 65536}, {0, 1}});

void DecapsulatePool(benchmark::State& state) {
  const EncapConfig config = Config(Mode::kGre, kV4);
  const Decapsulator decapsulator(Peer(config));
  testing::OwnedPacket outer(testing::InnerV4({.payload = 44}));
  OutputState out;
  if (Encapsulator(config).Encapsulate(*outer, out) != DropReason::kNone) {
    state.SkipWithError("not encapsulated");
    return;
  }
  Pool pool(static_cast<size_t>(state.range(0)) * 1024, outer.bytes());
  EndpointMap map;
  map.Insert(Peer(config), 0);
  InputState in;
  const InputTunnel tunnel{&decapsulator, &in};
  std::array<InputResult, kBatch> results;
  const size_t pulled = EncapOverhead(config);
  for (auto _ : state) {
    const std::span<PacketBuffer> packets = pool.Next();
    if (state.range(1) == 1) {
      benchmark::DoNotOptimize(DecapsulateBatch(
          map, {&tunnel, 1}, ParseOptions(), packets, results));
    } else {
      for (size_t i = 0; i < kBatch; ++i) {
        OuterInfo info;
        results[i].reason =
            ParseOuter(packets[i].bytes(), ParseOptions(), info);
        if (results[i].reason == DropReason::kNone &&
            map.Find(info).why == DropReason::kNone) {
          results[i].reason = decapsulator.Decapsulate(packets[i], info, in);
        }
      }
    }
    benchmark::ClobberMemory();
    for (PacketBuffer& packet : packets) packet.Push(pulled);
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(DecapsulatePool)->ArgsProduct({{128, 8192, 65536}, {0, 1}});

// What the prefetch distance is worth, for kAhead of batch.cc.
void BatchDistance(benchmark::State& state) {
  const auto ahead = static_cast<size_t>(state.range(0));
  const EncapConfig config = Config(Mode::kGre, kV4);
  const Encapsulator encapsulator(config);
  Pool pool(65536 * 1024, testing::InnerV4({.payload = 44}));
  OutputState out;
  const size_t pushed = EncapOverhead(config);
  for (auto _ : state) {
    const std::span<PacketBuffer> packets = pool.Next();
    const auto fetch = [&](size_t i) {
      __builtin_prefetch(packets[i].data() - 64, 1);
      __builtin_prefetch(packets[i].data(), 1);
    };
    for (size_t i = 0; i < ahead; ++i) fetch(i);
    for (size_t i = 0; i < kBatch; ++i) {
      if (i + ahead < kBatch) fetch(i + ahead);
      benchmark::DoNotOptimize(encapsulator.Encapsulate(packets[i], out));
    }
    benchmark::ClobberMemory();
    for (PacketBuffer& packet : packets) packet.Pull(pushed);
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BatchDistance)->Arg(1)->Arg(2)->Arg(4)->Arg(8)->Arg(16)->Arg(32);

// One Encapsulator for all threads, buffers and state for each.
void EncapsulateShared(benchmark::State& state) {
  static const Encapsulator encapsulator(Config(Mode::kGre, kV4));
  const size_t pushed = EncapOverhead(Config(Mode::kGre, kV4));
  testing::OwnedPacket packet(testing::InnerV4({.payload = 44}));
  OutputState out;
  for (auto _ : state) {
    benchmark::DoNotOptimize(encapsulator.Encapsulate(*packet, out));
    benchmark::ClobberMemory();
    packet->Pull(pushed);
  }
}
BENCHMARK(EncapsulateShared)->Threads(1)->Threads(2);

}  // namespace
}  // namespace encap

BENCHMARK_MAIN();
