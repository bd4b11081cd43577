// The outer headers of a received packet.

#ifndef TUNNEL_BPF_OUTER_BPF_H_
#define TUNNEL_BPF_OUTER_BPF_H_

#include "tunnel/bpf/maps.bpf.h"

struct outer {
  struct fp_input_key key;
  __u8 tos;
  __u8 is_gre;
  __u8 inner_family;  // 4 or 6; 0 until GRE has told
  __u32 len;          // bytes in front of the inner packet, without the link's
  __be16 next[2];     // behind the IP header: of GRE flags and protocol, of UDP
                      // the ports
};

static __always_inline int read_outer_v4(struct __sk_buff* skb,
                                         struct outer* o) {
  struct {
    struct iphdr ip;
    __be16 next[2];
  } head;
  if (bpf_skb_load_bytes(skb, kLinkLen, &head, sizeof(head))) return 0;
  if (head.ip.version != 4 || head.ip.ihl != 5 ||
      (head.ip.frag_off & bpf_htons(0x3fff)) != 0 ||
      bpf_ntohs(head.ip.tot_len) + kLinkLen != skb->len ||
      ip_checksum((__u16*)&head.ip) != 0) {
    return 0;
  }
  o->key.family = 4;
  o->key.protocol = head.ip.protocol;
  o->key.remote[0] = head.ip.saddr;
  o->key.local[0] = head.ip.daddr;
  o->tos = head.ip.tos;
  o->len = sizeof(head.ip);
  __builtin_memcpy(o->next, head.next, sizeof(o->next));
  return 1;
}

static __always_inline int read_outer_v6(struct __sk_buff* skb,
                                         struct outer* o) {
  struct {
    struct ipv6hdr ip;
    __be16 next[2];
  } head;
  if (bpf_skb_load_bytes(skb, kLinkLen, &head, sizeof(head))) return 0;
  if (head.ip.version != 6 ||
      bpf_ntohs(head.ip.payload_len) + sizeof(head.ip) + kLinkLen != skb->len) {
    return 0;
  }
  o->key.family = 6;
  o->key.protocol = head.ip.nexthdr;
  __builtin_memcpy(o->key.remote, &head.ip.saddr, sizeof(o->key.remote));
  __builtin_memcpy(o->key.local, &head.ip.daddr, sizeof(o->key.local));
  o->tos = head.ip.priority << 4 | head.ip.flow_lbl[0] >> 4;
  o->len = sizeof(head.ip);
  __builtin_memcpy(o->next, head.next, sizeof(o->next));
  return 1;
}

// The IP header of what may be a packet of a tunnel.
static __always_inline int read_outer_ip(struct __sk_buff* skb,
                                         struct outer* o) {
  if (skb->protocol == bpf_htons(ETH_P_IP)) {
    if (!read_outer_v4(skb, o)) return 0;
  } else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
    if (!read_outer_v6(skb, o)) return 0;
  } else {
    return 0;
  }
  __u8 protocol = o->key.protocol;
  return protocol == kGre || protocol == kIpip || protocol == kIpv6 ||
         protocol == kUdp;
}

#endif  // TUNNEL_BPF_OUTER_BPF_H_
