#include "encap/batch.h"

#include <algorithm>
#include <array>

#include "encap/outer_match.h"

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

  // `ahead` are the packets that come next. Returns how many were taken.
  size_t Run(std::span<PacketBuffer> packets, std::span<PacketBuffer> ahead,
             std::span<InputResult> results) noexcept {
    return large_ ? RunApart(packets, ahead, results)
                  : RunAtOnce(packets, ahead, results);
  }

 private:
  // The slots of all are fetched before the first of them is read.
  size_t RunApart(std::span<PacketBuffer> packets,
                  std::span<PacketBuffer> ahead,
                  std::span<InputResult> results) noexcept {
    for (size_t i = 0; i < packets.size(); ++i) {
      results[i] = {ParseOuter(packets[i].bytes(), options_, outer_[i]),
                    InputResult::kNoTunnel};
      if (results[i].reason == DropReason::kNone) map_.Prefetch(outer_[i]);
    }
    size_t taken = 0;
    for (size_t i = 0; i < packets.size(); ++i) {
      if (i < ahead.size()) PrefetchOuter(ahead[i]);
      if (results[i].reason != DropReason::kNone) continue;
      Find(outer_[i], results[i]);
      Deliver(packets[i], outer_[i], results[i]);
      if (results[i].reason == DropReason::kNone) ++taken;
    }
    return taken;
  }

  size_t RunAtOnce(std::span<PacketBuffer> packets,
                   std::span<PacketBuffer> ahead,
                   std::span<InputResult> results) noexcept {
    size_t taken = 0;
    for (size_t i = 0; i < packets.size(); ++i) {
      if (i < ahead.size()) PrefetchOuter(ahead[i]);
      PacketBuffer& packet = packets[i];
      InputResult& result = results[i];
      if (last_.Matches(packet.bytes(), options_.verify_header_checksum)) {
        result = {DropReason::kNone, last_.tunnel()};
        Deliver(packet, last_.outer(), result);
      } else {
        First(packet, result);
      }
      if (result.reason == DropReason::kNone) ++taken;
    }
    return taken;
  }

  // A packet that is not like the one before.
  [[gnu::noinline]] void First(PacketBuffer& packet,
                               InputResult& result) noexcept {
    OuterInfo& outer = outer_[0];
    result = {ParseOuter(packet.bytes(), options_, outer),
              InputResult::kNoTunnel};
    if (result.reason != DropReason::kNone) return;
    Find(outer, result);
    if (result.reason != DropReason::kNone) return;
    last_.Remember(packet.data(), outer, result.tunnel);
    Deliver(packet, outer, result);
  }

  void Find(const OuterInfo& outer, InputResult& result) const noexcept {
    const EndpointMap::Found found = map_.Find(outer);
    result.reason = found.why;
    if (found.why == DropReason::kNone) result.tunnel = found.tunnel;
  }

  void Deliver(PacketBuffer& packet, const OuterInfo& outer,
               InputResult& result) const noexcept {
    if (result.reason != DropReason::kNone) return;
    if (result.tunnel >= tunnels_.size() ||
        tunnels_[result.tunnel].decapsulator == nullptr) {
      result.reason = DropReason::kDown;
      return;
    }
    const InputTunnel& tunnel = tunnels_[result.tunnel];
    result.reason =
        tunnel.decapsulator->Decapsulate(packet, outer, *tunnel.state);
  }

  const EndpointMap& map_;
  const std::span<const InputTunnel> tunnels_;
  const ParseOptions& options_;
  const bool large_;
  OuterMatch last_;
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
