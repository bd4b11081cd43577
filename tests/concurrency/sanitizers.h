// Which sanitizer this is built with: g++ says it by macros of its own, clang
// by
// __has_feature().

#ifndef TESTS_CONCURRENCY_SANITIZERS_H_
#define TESTS_CONCURRENCY_SANITIZERS_H_

namespace tunnel {

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TUNNELD_HAS_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define TUNNELD_HAS_TSAN 1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(TUNNELD_HAS_ASAN)
inline constexpr bool kHasAsan = true;
#else
inline constexpr bool kHasAsan = false;
#endif

#if defined(__SANITIZE_THREAD__) || defined(TUNNELD_HAS_TSAN)
inline constexpr bool kHasTsan = true;
#else
inline constexpr bool kHasTsan = false;
#endif

}  // namespace tunnel

#endif  // TESTS_CONCURRENCY_SANITIZERS_H_
