#include "encap/checksum_kernels.h"

#include <array>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace encap {
namespace {

uint64_t SumPortableCall(const uint8_t* p, size_t size) noexcept {
  return SumPortable(p, size);
}

#if defined(__x86_64__)

// Each 64-bit lane takes the low halves in one accumulator and the high halves
// in another, so that no lane can overflow below 2^32 words.
__attribute__((target("avx2"))) uint64_t SumAvx2(const uint8_t* p,
                                                 size_t size) noexcept {
  const __m256i low_half = _mm256_set1_epi64x(0xffffffff);
  __m256i low[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  __m256i high[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  for (; size >= 64; p += 64, size -= 64) {
    for (int i = 0; i < 2; ++i) {
      const __m256i words =
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32 * i));
      low[i] = _mm256_add_epi64(low[i], _mm256_and_si256(words, low_half));
      high[i] = _mm256_add_epi64(high[i], _mm256_srli_epi64(words, 32));
    }
  }
  const __m256i all = _mm256_add_epi64(_mm256_add_epi64(low[0], low[1]),
                                       _mm256_add_epi64(high[0], high[1]));
  const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(all),
                                     _mm256_extracti128_si256(all, 1));
  const auto sum = static_cast<uint64_t>(_mm_extract_epi64(half, 0)) +
                   static_cast<uint64_t>(_mm_extract_epi64(half, 1));
  return sum + SumPortable(p, size);
}

__attribute__((target("avx512f"))) uint64_t SumAvx512(const uint8_t* p,
                                                      size_t size) noexcept {
  const __m512i low_half = _mm512_set1_epi64(0xffffffff);
  __m512i low[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
  __m512i high[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
  for (; size >= 128; p += 128, size -= 128) {
    for (int i = 0; i < 2; ++i) {
      const __m512i words = _mm512_loadu_si512(p + 64 * i);
      low[i] = _mm512_add_epi64(low[i], _mm512_and_si512(words, low_half));
      high[i] = _mm512_add_epi64(high[i], _mm512_srli_epi64(words, 32));
    }
  }
  const __m512i all = _mm512_add_epi64(_mm512_add_epi64(low[0], low[1]),
                                       _mm512_add_epi64(high[0], high[1]));
  alignas(64) uint64_t lanes[8];
  _mm512_store_si512(lanes, all);
  uint64_t sum = 0;
  for (const uint64_t lane : lanes) sum += lane;
  return sum + SumPortable(p, size);
}

#endif  // __x86_64__

struct Kernels {
  Kernels() noexcept {
    Add({"portable", SumPortableCall});
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) Add({"avx2", SumAvx2});
    if (__builtin_cpu_supports("avx512f")) Add({"avx512", SumAvx512});
#endif
  }
  void Add(SumKernel kernel) noexcept { list[count++] = kernel; }

  std::array<SumKernel, 3> list{};
  size_t count = 0;
};

const Kernels& AllKernels() noexcept {
  static const Kernels kernels;
  return kernels;
}

// A constant first and the best afterwards: right at any time. It is written
// before main() alone, and so needs no atomic.
constinit SumFunction best_sum = SumPortableCall;
[[maybe_unused]] const bool best_is_chosen = [] {
  best_sum = SumKernels().back().sum;
  return true;
}();

}  // namespace

std::span<const SumKernel> SumKernels() noexcept {
  const Kernels& kernels = AllKernels();
  return {kernels.list.data(), kernels.count};
}

SumFunction BestSum() noexcept { return best_sum; }

}  // namespace encap
