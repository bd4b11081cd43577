// ns a packet, everything in cache: encapsulation, parse and decapsulation, and
// the internet checksum. Build with --config=opt.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <vector>

#include "encap/checksum.h"
#include "encap/checksum_kernels.h"
#include "encap/decapsulator.h"
#include "encap/encapsulator.h"
#include "encap/flow_hash.h"
#include "encap/packets_for_test.h"
#include "encap/wire/gre.h"
#include "encap/wire/ipv4.h"

namespace encap {
namespace {

using testing::Bytes;
using testing::Config;
using testing::Inner;
using testing::Peer;

constexpr IpFamily kV4 = IpFamily::kV4;
constexpr IpFamily kV6 = IpFamily::kV6;

// Equal packets that take turns, as in a batch: one alone would measure how
// long its own lengths take through memory, from one round to the next.
class Burst {
 public:
  static constexpr size_t kPackets = 16;

  explicit Burst(const Bytes& bytes)
      : storage_(kPackets * (kMaxEncapHeadroom + bytes.size())) {
    const size_t stride = storage_.size() / kPackets;
    for (size_t i = 0; i < kPackets; ++i) {
      const std::span<uint8_t> own(storage_.data() + i * stride, stride);
      std::copy(bytes.begin(), bytes.end(), own.begin() + kMaxEncapHeadroom);
      packets_[i] = PacketBuffer(own, kMaxEncapHeadroom, bytes.size());
    }
  }
  std::array<PacketBuffer, kPackets>& packets() { return packets_; }

 private:
  Bytes storage_;
  std::array<PacketBuffer, kPackets> packets_;
};

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
  Burst burst(InnerOfSize(inner, state.range(0)));
  OutputState out;
  const size_t pushed = EncapOverhead(config);
  while (state.KeepRunningBatch(Burst::kPackets)) {
    for (PacketBuffer& packet : burst.packets()) {
      benchmark::DoNotOptimize(encapsulator.Encapsulate(packet, out));
      benchmark::ClobberMemory();
      packet.Pull(pushed);
    }
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

bool Encapsulate(const EncapConfig& config, Burst& burst,
                 benchmark::State& state) {
  const Encapsulator encapsulator(config);
  OutputState out;
  for (PacketBuffer& packet : burst.packets()) {
    if (encapsulator.Encapsulate(packet, out) == DropReason::kNone) continue;
    state.SkipWithError("not encapsulated");
    return false;
  }
  return true;
}

void Decapsulate(benchmark::State& state, Mode mode, IpFamily outer,
                 IpFamily inner, bool checksum) {
  EncapConfig config = Config(mode, outer);
  config.checksum = checksum;
  const Decapsulator decapsulator(Peer(config));
  Burst burst(InnerOfSize(inner, state.range(0)));
  if (!Encapsulate(config, burst, state)) return;
  InputState in;
  const size_t pulled = EncapOverhead(config);
  while (state.KeepRunningBatch(Burst::kPackets)) {
    for (PacketBuffer& packet : burst.packets()) {
      OuterInfo info;
      DropReason reason = ParseOuter(packet.bytes(), true, info);
      if (reason == DropReason::kNone) {
        reason = decapsulator.Decapsulate(packet, info, in);
      }
      benchmark::DoNotOptimize(reason);
      benchmark::ClobberMemory();
      packet.Push(pulled);
    }
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

// The two halves of it, for gre4in4.
void ParseAlone(benchmark::State& state) {
  Burst burst(InnerOfSize(kV4, state.range(0)));
  if (!Encapsulate(Config(Mode::kGre, kV4), burst, state)) return;
  while (state.KeepRunningBatch(Burst::kPackets)) {
    for (PacketBuffer& packet : burst.packets()) {
      OuterInfo info;
      benchmark::DoNotOptimize(ParseOuter(packet.bytes(), true, info));
      benchmark::DoNotOptimize(info);
    }
  }
}
BENCHMARK(ParseAlone)->Arg(64)->Arg(1400);

void DecapsulateAlone(benchmark::State& state) {
  const EncapConfig config = Config(Mode::kGre, kV4);
  const Decapsulator decapsulator(Peer(config));
  Burst burst(InnerOfSize(kV4, state.range(0)));
  if (!Encapsulate(config, burst, state)) return;
  OuterInfo info;  // that of all
  ParseOuter(burst.packets()[0].bytes(), true, info);
  InputState in;
  const size_t pulled = EncapOverhead(config);
  while (state.KeepRunningBatch(Burst::kPackets)) {
    for (PacketBuffer& packet : burst.packets()) {
      benchmark::DoNotOptimize(decapsulator.Decapsulate(packet, info, in));
      benchmark::ClobberMemory();
      packet.Push(pulled);
    }
  }
}
BENCHMARK(DecapsulateAlone)->Arg(64)->Arg(1400);

// The yardsticks: the same work done the plain way. Each header field is set by
// itself, the IPv4 header is summed anew for each packet, byte by byte, and
// what is parsed is copied.
std::vector<uint8_t> NaiveEncapsulate(const EncapConfig& config,
                                      const Bytes& inner, uint16_t id) {
  Bytes out(24 + inner.size());
  Ipv4Header ip(out.data());
  ip.set_version_and_header_len(20);
  ip.set_tos(inner[1]);
  ip.set_total_length(static_cast<uint16_t>(out.size()));
  ip.set_identification(id);
  ip.set_fragment(true, false, 0);
  ip.set_ttl(*config.ttl);
  ip.set_protocol(kProtoGre);
  ip.set_source(config.local);
  ip.set_destination(config.remote);
  ip.set_checksum(Be16(testing::ReferenceChecksum({out.data(), 20})));
  GreHeader(out.data() + 20).set_protocol(kEtherTypeIpv4);
  std::copy(inner.begin(), inner.end(), out.begin() + 24);
  return out;
}

void NaiveEncapsulateGre4in4(benchmark::State& state) {
  const EncapConfig config = Config(Mode::kGre, kV4);
  const Bytes inner = InnerOfSize(kV4, state.range(0));
  uint16_t id = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(NaiveEncapsulate(config, inner, id++));
  }
}
BENCHMARK(NaiveEncapsulateGre4in4)->Arg(64)->Arg(1400);

void NaiveDecapsulateGre4in4(benchmark::State& state) {
  const EncapConfig config = Config(Mode::kGre, kV4);
  const Bytes outer =
      NaiveEncapsulate(config, InnerOfSize(kV4, state.range(0)), 1);
  for (auto _ : state) {
    const ConstIpv4Header ip(outer.data());
    const bool taken = testing::ReferenceChecksum({outer.data(), 20}) == 0 &&
                       ip.source() == config.local &&
                       ip.destination() == config.remote &&
                       ip.protocol() == kProtoGre &&
                       ConstGreHeader(outer.data() + 20).flags_version() == 0;
    if (!taken) state.SkipWithError("not taken");
    benchmark::DoNotOptimize(Bytes(outer.begin() + 24, outer.end()));
  }
}
BENCHMARK(NaiveDecapsulateGre4in4)->Arg(64)->Arg(1400);

// By kernel: 0 portable, 1 AVX2, 2 AVX-512, as far as the CPU has them.
void Kernel(benchmark::State& state) {
  const auto index = static_cast<size_t>(state.range(0));
  if (index >= SumKernels().size()) {
    state.SkipWithError("not on this CPU");
    return;
  }
  const SumKernel& kernel = SumKernels()[index];
  state.SetLabel(std::string(kernel.name));
  const Bytes bytes(static_cast<size_t>(state.range(1)), 0x5a);
  for (auto _ : state) {
    benchmark::DoNotOptimize(kernel.sum(bytes.data(), bytes.size()));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(Kernel)->ArgsProduct({{0, 1, 2}, {64, 1500, 65536}});

void Checksum(benchmark::State& state) {
  const Bytes bytes(static_cast<size_t>(state.range(0)), 0x5a);
  for (auto _ : state) {
    benchmark::DoNotOptimize(PartialSum(bytes));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(Checksum)->Arg(20)->Arg(64)->Arg(1500)->Arg(65536);

void NaiveChecksum(benchmark::State& state) {
  const Bytes bytes(static_cast<size_t>(state.range(0)), 0x5a);
  for (auto _ : state) {
    benchmark::DoNotOptimize(testing::ReferenceChecksum(bytes));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(NaiveChecksum)->Arg(20)->Arg(64)->Arg(1500)->Arg(65536);

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
