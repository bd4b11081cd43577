// The number that all packets of one inner flow share: what encap::FlowHash()
// gives for packets without IPv4 options and IPv6 extension headers, by the
// seed of the encapsulator. So a flow keeps label and path when its tunnel
// changes between the user path and this one.

#ifndef TUNNEL_BPF_FLOW_HASH_BPF_H_
#define TUNNEL_BPF_FLOW_HASH_BPF_H_

#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>

#define FLOW_SEED 0x67696620676c6f77ULL

// Both halves of the 128-bit product, folded. BPF multiplies 64 bits by 64
// bits to 64.
static __always_inline __u64 flow_mix(__u64 a, __u64 b) {
  a ^= 0x9e3779b97f4a7c15ULL;
  b ^= 0xd6e8feb86659fd93ULL;
  __u64 a0 = a & 0xffffffff, a1 = a >> 32;
  __u64 b0 = b & 0xffffffff, b1 = b >> 32;
  __u64 p00 = a0 * b0, p01 = a0 * b1, p10 = a1 * b0, p11 = a1 * b1;
  __u64 middle = (p00 >> 32) + (p01 & 0xffffffff) + (p10 & 0xffffffff);
  __u64 high = p11 + (p01 >> 32) + (p10 >> 32) + (middle >> 32);
  return (a * b) ^ high;
}

static __always_inline __u32 flow_finish(__u64 state) {
  return (__u32)flow_mix(state, state >> 32);
}

static __always_inline int flow_has_ports(__u8 protocol) {
  return protocol == 6 || protocol == 17 || protocol == 33 || protocol == 132 ||
         protocol == 136;
}

// Protocol and, where there are any, both ports, which stand at `ports`.
static __always_inline __u64 flow_upper(struct __sk_buff* skb, __u8 protocol,
                                        __u32 ports, int fragment) {
  __u64 upper = (__u64)protocol << 32;
  __u32 both = 0;
  if (!fragment && flow_has_ports(protocol) &&
      !bpf_skb_load_bytes(skb, ports, &both, sizeof(both))) {
    upper |= both;
  }
  return upper;
}

#endif  // TUNNEL_BPF_FLOW_HASH_BPF_H_
