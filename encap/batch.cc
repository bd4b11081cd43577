#include "encap/batch.h"

#include <algorithm>
#include <array>

namespace encap {
namespace {

// Packets between the one that is worked on and the one whose memory is asked
// for. Measured with BatchDistance in batch_benchmark: less than 8 comes too
// late.
constexpr size_t kAhead = 16;
// Packets that are parsed before the first of them is looked up.
constexpr size_t kGroup = 16;
// Tunnels from which a map is not in the first caches as a whole.
constexpr size_t kLargeMap = 512;
constexpr size_t kCacheLine = 64;

void PrefetchForWrite(const uint8_t* at) noexcept { __builtin_prefetch(at, 1); }

// The line in front of the packet takes the outer header, the first one of the
// packet the inner header is read from.
void PrefetchInner(PacketBuffer& packet) noexcept {
  if (packet.headroom() >= kCacheLine) {
    PrefetchForWrite(packet.data() - kCacheLine);
  }
  PrefetchForWrite(packet.data());
}

// Outer and inner headers lie in the first two lines, mostly.
void PrefetchOuter(PacketBuffer& packet) noexcept {
  PrefetchForWrite(packet.data());
  if (packet.size() > kCacheLine) PrefetchForWrite(packet.data() + kCacheLine);
}

class BatchInput {
 public:
  BatchInput(const EndpointMap& map, std::span<const InputTunnel> tunnels,
             const ParseOptions& options) noexcept
      : map_(map),
        tunnels_(tunnels),
        options_(options),
        large_(map.size() >= kLargeMap) {}

  // `ahead` are the packets that come next.
  size_t Run(std::span<PacketBuffer> packets, std::span<PacketBuffer> ahead,
             std::span<InputResult> results) noexcept {
    for (size_t i = 0; i < packets.size(); ++i) {
      results[i] = {ParseOuter(packets[i].bytes(), options_, outer_[i]),
                    InputResult::kNoTunnel};
      if (large_ && results[i].reason == DropReason::kNone)
        map_.Prefetch(outer_[i]);
    }
    size_t taken = 0;
    for (size_t i = 0; i < packets.size(); ++i) {
      if (i < ahead.size()) PrefetchOuter(ahead[i]);
      if (results[i].reason != DropReason::kNone) continue;
      Deliver(packets[i], outer_[i], results[i]);
      if (results[i].reason == DropReason::kNone) ++taken;
    }
    return taken;
  }

 private:
  void Deliver(PacketBuffer& packet, const OuterInfo& outer,
               InputResult& result) const noexcept {
    const EndpointMap::Found found = map_.Find(outer);
    result.reason = found.why;
    if (found.why != DropReason::kNone) return;
    result.tunnel = found.tunnel;
    if (found.tunnel >= tunnels_.size() ||
        tunnels_[found.tunnel].decapsulator == nullptr) {
      result.reason = DropReason::kDown;
      return;
    }
    const InputTunnel& tunnel = tunnels_[found.tunnel];
    result.reason =
        tunnel.decapsulator->Decapsulate(packet, outer, *tunnel.state);
  }

  const EndpointMap& map_;
  const std::span<const InputTunnel> tunnels_;
  const ParseOptions& options_;
  const bool large_;
  std::array<OuterInfo, kGroup> outer_;
};

}  // namespace

size_t EncapsulateBatch(const Encapsulator& encapsulator,
                        std::span<PacketBuffer> packets, OutputState& state,
                        std::span<DropReason> reasons) noexcept {
  for (size_t i = 0; i < std::min(kAhead, packets.size()); ++i) {
    PrefetchInner(packets[i]);
  }
  size_t taken = 0;
  for (size_t i = 0; i < packets.size(); ++i) {
    if (i + kAhead < packets.size()) PrefetchInner(packets[i + kAhead]);
    reasons[i] = encapsulator.Encapsulate(packets[i], state);
    if (reasons[i] == DropReason::kNone) ++taken;
  }
  return taken;
}

size_t DecapsulateBatch(const EndpointMap& map,
                        std::span<const InputTunnel> tunnels,
                        const ParseOptions& options,
                        std::span<PacketBuffer> packets,
                        std::span<InputResult> results) noexcept {
  for (size_t i = 0; i < std::min(kGroup, packets.size()); ++i) {
    PrefetchOuter(packets[i]);
  }
  BatchInput input(map, tunnels, options);
  size_t taken = 0;
  while (!packets.empty()) {
    const size_t n = std::min(kGroup, packets.size());
    const std::span<PacketBuffer> rest = packets.subspan(n);
    taken += input.Run(packets.first(n), rest.first(std::min(n, rest.size())),
                       results);
    packets = rest;
    results = results.subspan(n);
  }
  return taken;
}

}  // namespace encap
