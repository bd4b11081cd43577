// The compiled programs of the fast path, as clang made them of
// fast_path.bpf.c.

#ifndef TUNNEL_BPF_OBJECT_BYTES_H_
#define TUNNEL_BPF_OBJECT_BYTES_H_

#include <cstdint>
#include <span>

namespace tunnel {

// An ELF object for BPF. Lives as long as the program.
std::span<const uint8_t> FastPathObjectBytes();

}  // namespace tunnel

#endif  // TUNNEL_BPF_OBJECT_BYTES_H_
