// The internet checksum (RFC 1071): full, in parts, and incremental (RFC 1624).
//
// A *sum* is the ones' complement sum of 16-bit words as they lie in memory,
// folded into 16 bits and not inverted. A *checksum* is the inverted sum, as it
// stands in a header (Be16). Sums of parts can be added in any order; a part
// that begins at an odd offset has its two bytes swapped (RFC 1071 2 (B)).

#ifndef ENCAP_CHECKSUM_H_
#define ENCAP_CHECKSUM_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "encap/bytes.h"
#include "encap/drop_reason.h"
#include "encap/packet.h"

namespace encap {

// 16 bits with end-around carry.
constexpr uint16_t FoldSum(uint64_t sum) noexcept {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

// The sum of `bytes` as if they began at an even offset; an odd last byte is
// padded with zero.
uint16_t PartialSum(std::span<const uint8_t> bytes) noexcept;

constexpr uint16_t AddSums(uint16_t a, uint16_t b) noexcept {
  return FoldSum(uint64_t{a} + b);
}

// `part` is the sum of bytes that begin `offset` bytes behind the first byte
// that `whole` covers.
constexpr uint16_t CombineSums(uint16_t whole, uint16_t part,
                               size_t offset) noexcept {
  return AddSums(whole, offset & 1 ? bytes_internal::Swap(part) : part);
}

constexpr Be16 ChecksumFromSum(uint16_t sum) noexcept {
  return Be16::FromRaw(static_cast<uint16_t>(~sum));
}

// The checksum of `bytes`, whose checksum field is zero; 0 when the field holds
// the right checksum.
inline Be16 InternetChecksum(std::span<const uint8_t> bytes) noexcept {
  return ChecksumFromSum(PartialSum(bytes));
}

// The sum of an IPv4 header without options, 20 bytes, not folded. Five words
// without a call.
inline uint64_t Ipv4HeaderSum(const uint8_t* header) noexcept {
  return uint64_t{LoadRaw<uint32_t>(header)} + LoadRaw<uint32_t>(header + 4) +
         LoadRaw<uint32_t>(header + 8) + LoadRaw<uint32_t>(header + 12) +
         LoadRaw<uint32_t>(header + 16);
}

// Whether a sum over an IPv4 header, not folded, is that of a right one: it is
// 2^16 - 1 or a multiple, never 0 since the first byte is not; and so a
// remainder tells without a chain of folds.
constexpr bool IsRightHeaderSum(uint64_t sum) noexcept {
  return sum % 0xffff == 0;
}

// `checksum` after a covered 16-bit word has changed from `before` to `after`
// (RFC 1624 3, equation 3: HC' = ~(~HC + ~m + m')).
constexpr Be16 UpdateChecksum(Be16 checksum, Be16 before, Be16 after) noexcept {
  const auto inverse = [](uint16_t v) { return static_cast<uint16_t>(~v); };
  return ChecksumFromSum(FoldSum(uint64_t{inverse(checksum.raw())} +
                                 inverse(before.raw()) + after.raw()));
}

// Sum of the pseudo-header of TCP, UDP (RFC 9293 3.1, RFC 768) over IPv4, and
// of any upper layer over IPv6 (RFC 8200 8.1). Addresses are 4 or 16 bytes in
// network order; `length` is that of the upper layer, header included, bytes.
uint16_t PseudoHeaderSumV4(const uint8_t* source, const uint8_t* destination,
                           uint8_t protocol, uint16_t length) noexcept;
uint16_t PseudoHeaderSumV6(const uint8_t* source, const uint8_t* destination,
                           uint8_t protocol, uint32_t length) noexcept;

// True when the checksum field of `hint` lies inside a packet of `size` bytes.
constexpr bool ChecksumFieldInside(const SegmentHint& hint,
                                   size_t size) noexcept {
  return size_t{hint.checksum_start} + hint.checksum_offset + 2 <= size;
}

// Finishes a partial checksum: sums from hint().checksum_start to the end,
// writes the field, clears hint().needs_checksum. No effect without one. 0 is
// written as 0xffff, which sums alike and which UDP needs (RFC 768).
// kTruncated, and no change, when the field lies outside the packet.
DropReason FinishChecksum(PacketBuffer& packet) noexcept;

// The sum from offset `from` to the end that the packet would have if
// FinishChecksum() had been called, without writing and without reading what
// the partial checksum covers. The hint must have needs_checksum, begin at
// `from` or behind it, lie inside the packet and have an even checksum_offset.
uint16_t SumAsIfFinished(const PacketBuffer& packet, size_t from) noexcept;

}  // namespace encap

#endif  // ENCAP_CHECKSUM_H_
