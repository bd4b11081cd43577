// The implementations of the sum of bytes; PartialSum() uses the best that the
// CPU can run. For checksum.cc, tests and benchmarks.

#ifndef ENCAP_CHECKSUM_KERNELS_H_
#define ENCAP_CHECKSUM_KERNELS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "encap/bytes.h"

namespace encap {

// The ones' complement sum of `size` bytes as 16-bit words as they lie in
// memory, to be folded by FoldSum(); an odd last byte is padded with zero. Any
// alignment; `size` below 2^32.
using SumFunction = uint64_t (*)(const uint8_t* bytes, size_t size) noexcept;

struct SumKernel {
  std::string_view name;  // "portable", "avx2", "avx512"
  SumFunction sum;
};

// Those that this CPU can run, "portable" first and the best last.
std::span<const SumKernel> SumKernels() noexcept;

// The best of them; the portable one to callers before static initialisation.
SumFunction BestSum() noexcept;

// Words of any width can be summed, since 2^16 = 1 mod 2^16 - 1, and a carry
// out of 64 bits counts 1 for the same reason. Two chains keep two adders busy.
inline uint64_t SumPortable(const uint8_t* p, size_t size) noexcept {
  uint64_t a = 0;
  uint64_t b = 0;
  uint64_t carries_a = 0;
  uint64_t carries_b = 0;
  for (; size >= 16; p += 16, size -= 16) {
    const auto first = LoadRaw<uint64_t>(p);
    const auto second = LoadRaw<uint64_t>(p + 8);
    a += first;
    carries_a += a < first;
    b += second;
    carries_b += b < second;
  }
  uint64_t sum = carries_a + carries_b + (a & 0xffffffff) + (a >> 32) +
                 (b & 0xffffffff) + (b >> 32);
  for (; size >= 4; p += 4, size -= 4) sum += LoadRaw<uint32_t>(p);
  if (size >= 2) {
    sum += LoadRaw<uint16_t>(p);
    p += 2;
    size -= 2;
  }
  if (size != 0) {
    const uint8_t last[2] = {*p, 0};
    sum += LoadRaw<uint16_t>(last);
  }
  return sum;
}

}  // namespace encap

#endif  // ENCAP_CHECKSUM_KERNELS_H_
