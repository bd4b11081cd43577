// The table with 1 to 10^5 endpoints: a find that hits, one that misses, an
// insertion, a deletion.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "encap/address.h"
#include "tunnel/endpoint/endpoint_table.h"
#include "tunnel/endpoint/no_device_for_test.h"

namespace tunnel {
namespace {

encap::EncapConfig Config(uint32_t i) {
  encap::EncapConfig config;
  config.mode = encap::Mode::kGre;
  config.local = *encap::IpAddress::Parse("192.0.2.1");
  const uint8_t remote[4] = {10, static_cast<uint8_t>(i >> 16),
                             static_cast<uint8_t>(i >> 8),
                             static_cast<uint8_t>(i)};
  config.remote = encap::IpAddress::V4(remote);
  if (i % 2 != 0) config.input_key = config.output_key = i;
  return config;
}

encap::OuterInfo Outer(const EndpointKey& key) {
  encap::OuterInfo outer;
  outer.protocol = key.protocol;
  outer.addresses = key.addresses;
  outer.key = key.key;
  return outer;
}

// `count` endpoints, each with its variant, all attached.
class Filled {
 public:
  explicit Filled(uint32_t count) : section_(*lock_.Enter({})) {
    const auto contexts = std::make_shared<FlowContexts>(1);
    for (uint32_t i = 0; i < count; ++i) {
      const encap::EncapConfig config = Config(i);
      keys_.push_back(EndpointKeys(config, 0)[0]);
      endpoints_.push_back(
          std::make_unique<Endpoint>("t", std::make_unique<NoDevice>(), 1));
      variants_.push_back(std::make_unique<Variant>(*endpoints_[i], config,
                                                    SendRoute{}, contexts));
      table_.Reserve(section_, keys_[i], *endpoints_[i]);
      table_.Attach(section_, keys_[i], variants_[i].get());
      table_.Reclaim(section_);
    }
    // In an order that no prefetcher follows.
    uint32_t state = 1;
    for (uint32_t i = 0; i < kPackets; ++i) {
      state = state * 1664525 + 1013904223;
      packets_.push_back(Outer(keys_[(state >> 8) % count]));
    }
  }

  static constexpr uint32_t kPackets = 1 << 14;
  ConfigLock lock_;
  ConfigSection section_;
  std::vector<EndpointKey> keys_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
  std::vector<std::unique_ptr<Variant>> variants_;
  EndpointTable table_;
  std::vector<encap::OuterInfo> packets_;
};

void BM_FindHit(benchmark::State& state) {
  const Filled filled(static_cast<uint32_t>(state.range(0)));
  uint32_t i = 0;
  for (auto _ : state) {
    const auto found =
        filled.table_.Find(filled.packets_[i++ % Filled::kPackets], 1);
    if (found.variant == nullptr) state.SkipWithError("not found");
    benchmark::DoNotOptimize(found);
  }
}

// As for a packet of nobody: with the search for the reason.
void BM_FindMiss(benchmark::State& state) {
  Filled filled(static_cast<uint32_t>(state.range(0)));
  for (encap::OuterInfo& outer : filled.packets_) outer.protocol = 4;
  uint32_t i = 0;
  for (auto _ : state) {
    const auto found =
        filled.table_.Find(filled.packets_[i++ % Filled::kPackets], 1);
    if (found.variant != nullptr) state.SkipWithError("found");
    benchmark::DoNotOptimize(found);
  }
}

// One endpoint more, and gone again, in a table of that size.
void BM_InsertAndRelease(benchmark::State& state) {
  Filled filled(static_cast<uint32_t>(state.range(0)));
  const EndpointKey key = EndpointKeys(Config(0xffffff), 0)[0];
  for (auto _ : state) {
    filled.table_.Reserve(filled.section_, key, *filled.endpoints_[0]);
    filled.table_.Release(filled.section_, key);
    filled.table_.Reclaim(filled.section_);
  }
}

// A table from nothing to that size, growing on its way; time of one insertion.
void BM_Fill(benchmark::State& state) {
  const auto count = static_cast<uint32_t>(state.range(0));
  Filled filled(count);
  for (auto _ : state) {
    EndpointTable table;
    for (uint32_t i = 0; i < count; ++i) {
      table.Reserve(filled.section_, filled.keys_[i], *filled.endpoints_[i]);
      table.Reclaim(filled.section_);
    }
    benchmark::DoNotOptimize(table.size());
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * count);
}

BENCHMARK(BM_FindHit)
    ->Arg(1)
    ->Arg(10)
    ->Arg(100)
    ->Arg(1000)
    ->Arg(4096)
    ->Arg(100000);
BENCHMARK(BM_FindMiss)
    ->Arg(1)
    ->Arg(10)
    ->Arg(100)
    ->Arg(1000)
    ->Arg(4096)
    ->Arg(100000);
BENCHMARK(BM_InsertAndRelease)->Arg(1)->Arg(1000)->Arg(100000);
BENCHMARK(BM_Fill)->Arg(1000)->Arg(100000);

}  // namespace
}  // namespace tunnel

BENCHMARK_MAIN();
