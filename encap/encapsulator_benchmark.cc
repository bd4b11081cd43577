// ns a packet, everything in cache: encapsulation, parse and decapsulation, and
// the internet checksum. Build with --config=opt.

#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

#include "encap/checksum.h"
#include "encap/decapsulator.h"
#include "encap/encapsulator.h"
#include "encap/flow_hash.h"
#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Bytes;
using testing::Config;
using testing::Inner;
using testing::OwnedPacket;
using testing::Peer;

constexpr IpFamily kV4 = IpFamily::kV4;
constexpr IpFamily kV6 = IpFamily::kV6;

Bytes InnerOfSize(IpFamily family, int64_t size) {
  const size_t header = family == kV4 ? 20 : 40;
  return Inner(family, {.payload = static_cast<size_t>(size) - header});
}

void Encapsulate(benchmark::State& state, Mode mode, IpFamily outer,
                 IpFamily inner, bool options) {
  EncapConfig config = Config(mode, outer);
  if (options) {
    config.output_key = 42;
    config.checksum = true;
    config.sequence = true;
  }
  const Encapsulator encapsulator(config);
  OwnedPacket packet(InnerOfSize(inner, state.range(0)));
  OutputState out;
  const size_t pushed = EncapOverhead(config);
  for (auto _ : state) {
    benchmark::DoNotOptimize(encapsulator.Encapsulate(*packet, out));
    benchmark::DoNotOptimize(packet->data());
    benchmark::ClobberMemory();
    packet->Pull(pushed);
  }
}
BENCHMARK_CAPTURE(Encapsulate, gif4in4, Mode::kGif, kV4, kV4, false)
    ->Arg(64)
    ->Arg(1400);
BENCHMARK_CAPTURE(Encapsulate, gre4in4, Mode::kGre, kV4, kV4, false)
    ->Arg(64)
    ->Arg(1400);
BENCHMARK_CAPTURE(Encapsulate, gre6in4, Mode::kGre, kV4, kV6, false)
    ->Arg(64)
    ->Arg(1400);
BENCHMARK_CAPTURE(Encapsulate, gre4in6, Mode::kGre, kV6, kV4, false)
    ->Arg(64)
    ->Arg(1400);
BENCHMARK_CAPTURE(Encapsulate, gre6in6, Mode::kGre, kV6, kV6, false)
    ->Arg(64)
    ->Arg(1400);
BENCHMARK_CAPTURE(Encapsulate, gre4in4_key_csum_seq, Mode::kGre, kV4, kV4, true)
    ->Arg(64)
    ->Arg(1400);

void Decapsulate(benchmark::State& state, Mode mode, IpFamily outer,
                 IpFamily inner, bool checksum) {
  EncapConfig config = Config(mode, outer);
  config.checksum = checksum;
  const Decapsulator decapsulator(Peer(config));
  OwnedPacket packet(InnerOfSize(inner, state.range(0)));
  OutputState out;
  if (Encapsulator(config).Encapsulate(*packet, out) != DropReason::kNone) {
    state.SkipWithError("not encapsulated");
    return;
  }
  InputState in;
  const size_t pulled = EncapOverhead(config);
  for (auto _ : state) {
    OuterInfo info;
    DropReason reason = ParseOuter(packet->bytes(), true, info);
    if (reason == DropReason::kNone) {
      reason = decapsulator.Decapsulate(*packet, info, in);
    }
    benchmark::DoNotOptimize(reason);
    benchmark::ClobberMemory();
    packet->Push(pulled);
  }
}
BENCHMARK_CAPTURE(Decapsulate, gif4in4, Mode::kGif, kV4, kV4, false)
    ->Arg(64)
    ->Arg(1400);
BENCHMARK_CAPTURE(Decapsulate, gre4in4, Mode::kGre, kV4, kV4, false)
    ->Arg(64)
    ->Arg(1400);
BENCHMARK_CAPTURE(Decapsulate, gre6in6, Mode::kGre, kV6, kV6, false)
    ->Arg(64)
    ->Arg(1400);
BENCHMARK_CAPTURE(Decapsulate, gre4in4_csum, Mode::kGre, kV4, kV4, true)
    ->Arg(64)
    ->Arg(1400);

void Checksum(benchmark::State& state) {
  const Bytes bytes(static_cast<size_t>(state.range(0)), 0x5a);
  for (auto _ : state) {
    benchmark::DoNotOptimize(PartialSum(bytes));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(Checksum)->Arg(20)->Arg(64)->Arg(1500)->Arg(65535);

void Hash(benchmark::State& state, IpFamily family) {
  const Bytes bytes = InnerOfSize(family, 64);
  for (auto _ : state) {
    benchmark::DoNotOptimize(FlowHash(bytes, 1));
    benchmark::ClobberMemory();
  }
}
BENCHMARK_CAPTURE(Hash, v4, kV4);
BENCHMARK_CAPTURE(Hash, v6, kV6);

}  // namespace
}  // namespace encap

BENCHMARK_MAIN();
