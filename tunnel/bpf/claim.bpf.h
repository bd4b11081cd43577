// What becomes of packets of tunnels that the kernel does not decapsulate: the
// packet sockets of the daemon have them from here, and the IP stack has no
// use for them. It would look up the route and the socket that keeps its
// ICMP errors away, and drop them there. A packet that is for another host it
// drops at once, so the program says that these are (skb->pkt_type), with a
// mark by which the packet sockets know them.

#ifndef TUNNEL_BPF_CLAIM_BPF_H_
#define TUNNEL_BPF_CLAIM_BPF_H_

#include "tunnel/bpf/maps.bpf.h"
#include "tunnel/bpf/outer.bpf.h"

enum { kOtherHost = 3 };  // PACKET_OTHERHOST

#define GRE_CSUM 0x8000
#define GRE_SEQ 0x1000

// The key of GRE with these flags behind the IP header of `at` bytes and the
// link's. False: not GRE of version 0 as tunnels send it.
static __always_inline int read_gre_key(struct __sk_buff* skb, __u32 at,
                                        __u16 flags, struct fp_input_key* key) {
  if ((flags & ~(GRE_CSUM | GRE_KEY | GRE_SEQ)) != 0) return 0;
  if (!(flags & GRE_KEY)) return 1;
  key->has_key = 1;
  at += flags & GRE_CSUM ? 8 : 4;
  return bpf_skb_load_bytes(skb, kLinkLen + at, &key->key, 4) == 0;
}

static __always_inline int is_claimed(struct fp_input_key* key, __u32 modes,
                                      __u32 ifindex) {
  if (modes & kFpBound) {
    key->ifindex = ifindex;
    if (bpf_map_lookup_elem(&fp_claims, key)) return 1;
    key->ifindex = 0;
  }
  return bpf_map_lookup_elem(&fp_claims, key) != 0;
}

// `o` is as read_outer_ip() left it.
static __always_inline void claim(struct __sk_buff* skb, struct outer* o,
                                  __u32 modes) {
  struct fp_input_key* key = &o->key;
  if (key->protocol == kGre) {
    if (!read_gre_key(skb, o->len, bpf_ntohs(o->next[0]), key)) return;
  } else if (key->protocol == kUdp) {
    key->udp_port = o->next[1];
  }
  if (is_claimed(key, modes, skb->ifindex) &&
      !bpf_skb_change_type(skb, kOtherHost))
    skb->mark = kFpClaimedMark;
}

#endif  // TUNNEL_BPF_CLAIM_BPF_H_
