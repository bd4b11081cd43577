#include "encap/checksum.h"

#include "encap/checksum_kernels.h"

namespace encap {
namespace {

// Below this a call through a pointer costs more than wide words save, bytes.
constexpr size_t kWideFrom = 128;

inline uint64_t SumBytes(const uint8_t* p, size_t size) noexcept {
  return size < kWideFrom ? SumPortable(p, size) : BestSum()(p, size);
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
