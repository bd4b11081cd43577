#include "encap/checksum.h"

namespace encap {
namespace {

// Ones' complement sums can be made in words of any width, since 2^16 = 1 mod
// 2^16 - 1. Four accumulators of 32-bit halves keep four adders busy; none can
// overflow below 2^32 words.
uint64_t SumPortable(const uint8_t* p, size_t size) noexcept {
  uint64_t a = 0;
  uint64_t b = 0;
  uint64_t c = 0;
  uint64_t d = 0;
  for (; size >= 16; p += 16, size -= 16) {
    a += LoadRaw<uint32_t>(p);
    b += LoadRaw<uint32_t>(p + 4);
    c += LoadRaw<uint32_t>(p + 8);
    d += LoadRaw<uint32_t>(p + 12);
  }
  for (; size >= 4; p += 4, size -= 4) a += LoadRaw<uint32_t>(p);
  if (size >= 2) {
    b += LoadRaw<uint16_t>(p);
    p += 2;
    size -= 2;
  }
  if (size != 0) {
    const uint8_t last[2] = {*p, 0};
    c += LoadRaw<uint16_t>(last);
  }
  return a + b + c + d;
}

// The one place that knows which implementation sums.
inline uint64_t SumBytes(const uint8_t* p, size_t size) noexcept {
  return SumPortable(p, size);
}

}  // namespace

uint16_t PartialSum(std::span<const uint8_t> bytes) noexcept {
  return FoldSum(SumBytes(bytes.data(), bytes.size()));
}

uint16_t PseudoHeaderSumV4(const uint8_t* source, const uint8_t* destination,
                           uint8_t protocol, uint16_t length) noexcept {
  return FoldSum(uint64_t{LoadRaw<uint32_t>(source)} +
                 LoadRaw<uint32_t>(destination) + Be16(protocol).raw() +
                 Be16(length).raw());
}

uint16_t PseudoHeaderSumV6(const uint8_t* source, const uint8_t* destination,
                           uint8_t protocol, uint32_t length) noexcept {
  return FoldSum(SumPortable(source, 16) + SumPortable(destination, 16) +
                 Be16(protocol).raw() + Be32(length).raw());
}

DropReason FinishChecksum(PacketBuffer& packet) noexcept {
  SegmentHint& hint = packet.hint();
  if (!hint.needs_checksum) return DropReason::kNone;
  if (!ChecksumFieldInside(hint, packet.size())) return DropReason::kTruncated;
  // The field holds the pseudo-header sum, so it takes part as it is.
  Be16 checksum = InternetChecksum(packet.bytes().subspan(hint.checksum_start));
  if (checksum.raw() == 0) checksum = Be16(0xffff);
  StoreBe16(packet.data() + hint.checksum_start + hint.checksum_offset,
            checksum);
  hint.needs_checksum = false;
  hint.checksum_start = 0;
  hint.checksum_offset = 0;
  return DropReason::kNone;
}

uint16_t SumAsIfFinished(const PacketBuffer& packet, size_t from) noexcept {
  const SegmentHint& hint = packet.hint();
  const uint8_t* p = packet.data();
  // Behind checksum_start the finished bytes sum to the inverse of what the
  // field holds now: the sum with the field is S, the field becomes ~S, and so
  // the finished sum is S - field + ~S = ~field.
  const uint16_t field =
      LoadRaw<uint16_t>(p + hint.checksum_start + hint.checksum_offset);
  const auto finished = static_cast<uint16_t>(~field);
  return CombineSums(PartialSum({p + from, hint.checksum_start - from}),
                     finished, hint.checksum_start - from);
}

}  // namespace encap
