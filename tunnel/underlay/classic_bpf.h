// Classic BPF programs in pieces: instructions by name.
//
// A and X are the registers of linux/filter.h. Offsets are bytes from where the
// kernel begins to count for the kind of program, or SKF_NET_OFF and more.

#ifndef TUNNEL_UNDERLAY_CLASSIC_BPF_H_
#define TUNNEL_UNDERLAY_CLASSIC_BPF_H_

#include <linux/filter.h>

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace tunnel {

using BpfProgram = std::vector<sock_filter>;

inline void Append(BpfProgram& program,
                   std::initializer_list<sock_filter> more) {
  program.insert(program.end(), more);
}

// A = what stands at `at`, in host order.
constexpr sock_filter LoadByte(uint32_t at) {
  return BPF_STMT(BPF_LD | BPF_B | BPF_ABS, at);
}
constexpr sock_filter LoadHalf(uint32_t at) {
  return BPF_STMT(BPF_LD | BPF_H | BPF_ABS, at);
}
constexpr sock_filter LoadWord(uint32_t at) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at);
}

// The same X bytes behind `at`.
constexpr sock_filter LoadByteBehind(uint32_t at) {
  return BPF_STMT(BPF_LD | BPF_B | BPF_IND, at);
}
constexpr sock_filter LoadHalfBehind(uint32_t at) {
  return BPF_STMT(BPF_LD | BPF_H | BPF_IND, at);
}
constexpr sock_filter LoadWordBehind(uint32_t at) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_IND, at);
}

}  // namespace tunnel

#endif  // TUNNEL_UNDERLAY_CLASSIC_BPF_H_
