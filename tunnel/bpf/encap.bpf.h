// tunneld_encap: the egress of a tunnel's device.

#ifndef TUNNEL_BPF_ENCAP_BPF_H_
#define TUNNEL_BPF_ENCAP_BPF_H_

#include "tunnel/bpf/flow_hash.bpf.h"
#include "tunnel/bpf/maps.bpf.h"

enum { kMaxOuter = 65535, kAlready = -114 };

#define DONT_FRAGMENT 0x4000

// An inner packet on its way out.
struct inner {
  __u8 v6, tos, ttl, protocol;
  __u8 dont_fragment;
  __u32 upper;        // where TCP or UDP begins
  __u32 segments;     // 1 unless it is a super-packet; 0: not read
  __u32 segment_len;  // of the largest, IP header included
  __u32 header_len;   // of each segment, with that of TCP or UDP
};

// May be the outer packet of another tunnel of this host, which is refused; or
// have an encapsulation limit (RFC 2473 4.1.1), which counts.
static __always_inline int may_be_nested(struct __sk_buff* skb, __u8 protocol,
                                         __u32 upper, int later_fragment) {
  if (protocol == kIpip || protocol == kIpv6 || protocol == kGre) return 1;
  if (protocol != kUdp || later_fragment) return 0;
  __be16 port;
  if (bpf_skb_load_bytes(skb, upper + 2, &port, sizeof(port))) return 0;
  return is_tunnel_port(port);
}

static __always_inline int has_extensions(__u8 next) {
  return next == 0 || next == 43 || next == 44 || next == 60;
}

// False: for the user path. `flow` gets what all packets of the flow share.
static __always_inline int read_inner_v4(struct __sk_buff* skb,
                                         struct inner* in, __u64* flow) {
  struct iphdr ip;
  if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip))) return 0;
  if (ip.version != 4 || ip.ihl != 5 || bpf_ntohs(ip.tot_len) != skb->len ||
      may_be_nested(skb, ip.protocol, sizeof(ip),
                    ip.frag_off & bpf_htons(0x1fff))) {
    return 0;
  }
  in->tos = ip.tos;
  in->ttl = ip.ttl;
  in->protocol = ip.protocol;
  in->upper = sizeof(ip);
  in->dont_fragment = (ip.frag_off & bpf_htons(DONT_FRAGMENT)) != 0;
  __u64 addresses = (__u64)ip.daddr << 32 | ip.saddr;
  *flow = flow_mix(flow_mix(addresses, FLOW_SEED),
                   flow_upper(skb, ip.protocol, sizeof(ip),
                              ip.frag_off & bpf_htons(0x3fff)));
  return 1;
}

static __always_inline int read_inner_v6(struct __sk_buff* skb,
                                         struct inner* in, __u64* flow) {
  struct ipv6hdr ip;
  if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip))) return 0;
  if (ip.version != 6 || has_extensions(ip.nexthdr) ||
      bpf_ntohs(ip.payload_len) + sizeof(ip) != skb->len ||
      may_be_nested(skb, ip.nexthdr, sizeof(ip), 0)) {
    return 0;
  }
  in->v6 = 1;
  in->tos = ip.priority << 4 | ip.flow_lbl[0] >> 4;
  in->ttl = ip.hop_limit;
  in->protocol = ip.nexthdr;
  in->upper = sizeof(ip);
  in->dont_fragment = 1;
  __u64 words[4];
  __builtin_memcpy(words, &ip.saddr, sizeof(words));
  __u64 state = flow_mix(words[0], FLOW_SEED);
  state = flow_mix(words[1], state);
  state = flow_mix(words[2], state);
  state = flow_mix(words[3], state);
  *flow = flow_mix(state, flow_upper(skb, ip.nexthdr, sizeof(ip), 0));
  return 1;
}

static __always_inline int read_inner(struct __sk_buff* skb, struct inner* in,
                                      __u32* hash) {
  __u64 flow = 0;
  if (skb->protocol == bpf_htons(ETH_P_IP)) {
    if (!read_inner_v4(skb, in, &flow)) return 0;
  } else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
    if (!read_inner_v6(skb, in, &flow)) return 0;
  } else {
    return 0;
  }
  if (in->ttl == 0) return 0;
  *hash = flow_finish(flow);
  in->segment_len = skb->len;
  if (skb->gso_size == 0) {
    in->segments = 1;
    return 1;
  }
  __u32 upper = upper_len(skb, in->protocol, in->upper);
  in->header_len = in->upper + upper;
  if (upper == 0 || in->header_len > skb->len) return 0;
  in->segment_len = in->header_len + skb->gso_size;
  in->segments = segments_of(skb, skb->len - in->header_len);
  return 1;
}

// UDP without a checksum, for `len` bytes with its header. The source port is
// that of encap::Encapsulator (RFC 8086 3.2.1).
static __always_inline void build_udp(const struct fp_slot* slot, __u32 len,
                                      __u32 hash, __u32* header) {
  __be16 flow = bpf_htons(0xc000 | hash >> 18);
  struct udphdr* udp = (struct udphdr*)header;
  udp->source = slot->udp_source_port ? slot->udp_source_port : flow;
  udp->dest = slot->udp_port;
  udp->len = bpf_htons(len);
}

// What outer headers of both versions are made of.
struct upper {
  __u8 tos, ttl;
  __u8 protocol;       // behind the IP header, or behind UDP
  __u32 gre, gre_len;  // first word of GRE; bytes
};

static __always_inline __u32 build_v4(const struct fp_slot* slot,
                                      const struct inner* in,
                                      const struct upper* up, __u32 inner_len,
                                      __u32 hash, __u16 id, __u32* header) {
  struct iphdr* ip = (struct iphdr*)header;
  __u32 udp_len = slot->udp_port ? sizeof(struct udphdr) : 0;
  __u32 upper_len = udp_len + up->gre_len + inner_len;
  ip->version = 4;
  ip->ihl = 5;
  ip->tos = up->tos;
  ip->tot_len = bpf_htons(sizeof(*ip) + upper_len);
  ip->id = bpf_htons(id);
  if (slot->df == kFpDfOn || (slot->df == kFpDfInherit && in->dont_fragment))
    ip->frag_off = bpf_htons(DONT_FRAGMENT);
  ip->ttl = up->ttl;
  ip->protocol = udp_len ? kUdp : up->protocol;
  ip->saddr = slot->local[0];
  ip->daddr = slot->remote[0];
  ip->check = ip_checksum((__u16*)ip);
  if (udp_len) {
    build_udp(slot, upper_len, hash, header + 5);
    header[7] = up->gre;
    header[8] = slot->output_key;
  } else {
    header[5] = up->gre;
    header[6] = slot->output_key;
  }
  return sizeof(*ip) + udp_len + up->gre_len;
}

static __always_inline __u32 build_v6(const struct fp_slot* slot,
                                      const struct upper* up, __u32 inner_len,
                                      __u32 hash, __u32* header) {
  header[0] = bpf_htonl(0x60000000 | up->tos << 20 | (hash & 0xfffff));
  header[1] =
      bpf_htonl((inner_len + up->gre_len) << 16 | up->protocol << 8 | up->ttl);
#pragma unroll
  for (int i = 0; i < 4; i++) {
    header[2 + i] = slot->local[i];
    header[6 + i] = slot->remote[i];
  }
  header[10] = up->gre;
  header[11] = slot->output_key;
  return sizeof(struct ipv6hdr) + up->gre_len;
}

// The outer header: IP at header[0], UDP (over IPv4) and GRE behind it. Returns
// its length.
static __always_inline __u32 build(const struct fp_slot* slot,
                                   const struct inner* in, __u32 inner_len,
                                   __u32 hash, __u16 id, __u32* header) {
  struct upper up = {};
  up.tos = (in->tos & slot->tos_copied) | slot->tos_fixed;
  up.ttl = (in->ttl & slot->ttl_copied) | slot->ttl_fixed;
  up.protocol = slot->is_gre ? kGre : in->v6 ? kIpv6 : kIpip;
  up.gre = bpf_htonl((slot->has_output_key ? GRE_KEY << 16 : 0) |
                     (in->v6 ? ETH_P_IPV6 : ETH_P_IP));
  up.gre_len = slot->is_gre ? (slot->has_output_key ? 8 : 4) : 0;
  return slot->family == 4
             ? build_v4(slot, in, &up, inner_len, hash, id, header)
             : build_v6(slot, &up, inner_len, hash, header);
}

// What encapsulates the packets that leave by a tunnel's device; 0: nothing.
static __always_inline struct fp_slot* output_of(__u32 device) {
  __u32* number = bpf_map_lookup_elem(&fp_outputs, &device);
  if (!number) return 0;
  __u32 index = *number;
  struct fp_slot* slot = bpf_map_lookup_elem(&fp_slots, &index);
  return slot && slot->device == device ? slot : 0;
}

// A super-packet out of another tunnel can not get a second outer header, a
// single packet can. So both kinds are held back here, lest they overtake each
// other; and that tunnel's packets take the user path from its input on, where
// super-packets stay whole. Of those that reach a worker here it gives the
// super-packets back (is_given_back()), without that memory.
static __always_inline void hold_hub(__u32 from, struct fp_turn* turn) {
  __u64 now_ns = bpf_ktime_get_coarse_ns();
  turn->hub_ns = now_ns;
  struct fp_slot* slot = output_of(from);
  if (!slot) return;
  struct fp_turn* input = turn_of(slot->tunnel, kFpIn);
  if (input) input->hub_ns = now_ns;
}

// Makes room for `len` bytes in front of the packet. 0: the packet is as it
// was.
static __always_inline int make_room(struct __sk_buff* skb,
                                     const struct fp_slot* slot,
                                     const struct inner* in, __u32 len,
                                     struct fp_turn* turn) {
  __u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO;
  flags |= slot->family == 4 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV4
                             : BPF_F_ADJ_ROOM_ENCAP_L3_IPV6;
  if (slot->udp_port)
    flags |= BPF_F_ADJ_ROOM_ENCAP_L4_UDP;
  else if (slot->is_gre)
    flags |= BPF_F_ADJ_ROOM_ENCAP_L4_GRE;
  long result = bpf_skb_adjust_room(skb, len, BPF_ADJ_ROOM_MAC, flags);
  // The kernel remembers that a packet came out of another tunnel, and then
  // refuses to note a second outer header. A single packet needs none noted.
  if (result == kAlready) {
    if (skb->gso_size == 0 && in->v6 == (slot->family == 6))
      result = bpf_skb_adjust_room(skb, len, BPF_ADJ_ROOM_MAC, 0);
    else
      hold_hub(skb->ingress_ifindex, turn);
  }
  return result == 0;
}

// One call a length: the verifier wants constants.
static __always_inline long store(struct __sk_buff* skb, const __u32* header,
                                  __u32 len) {
  if (len == 20) return bpf_skb_store_bytes(skb, 0, header, 20, 0);
  if (len == 24) return bpf_skb_store_bytes(skb, 0, header, 24, 0);
  if (len == 28) return bpf_skb_store_bytes(skb, 0, header, 28, 0);
  if (len == 32) return bpf_skb_store_bytes(skb, 0, header, 32, 0);
  if (len == 36) return bpf_skb_store_bytes(skb, 0, header, 36, 0);
  if (len == 40) return bpf_skb_store_bytes(skb, 0, header, 40, 0);
  if (len == 44) return bpf_skb_store_bytes(skb, 0, header, 44, 0);
  return bpf_skb_store_bytes(skb, 0, header, 48, 0);
}

// A super-packet that a worker has read from the device and has sent through it
// again, since we are better at it. Those before it have left.
static __always_inline int is_given_back(struct __sk_buff* skb) {
  if (skb->mark != kFpSenderMark) return 0;
  __u64 cookie = bpf_get_socket_cookie(skb);
  __u32* index = bpf_map_lookup_elem(&fp_sender_cookies, &cookie);
  if (!index) return 0;
  __u32 number = *index;
  struct fp_sender* sender = bpf_map_lookup_elem(&fp_senders, &number);
  if (!sender) return 0;
  sender->seen++;
  return 1;
}

SEC("tc")
int tunneld_encap(struct __sk_buff* skb) {
  // What was given back must not wait in the device's queue once more: its
  // sender learns that it was refused, and sends it by itself.
  int given_back = is_given_back(skb);
  int leave = given_back ? TC_ACT_SHOT : TC_ACT_UNSPEC;
  struct fp_slot* slot = output_of(skb->ifindex);
  if (!slot) return leave;
  __u32 tunnel = slot->tunnel;
  struct fp_counter_block* count = bpf_map_lookup_elem(&fp_counters, &tunnel);
  struct fp_turn* turn = turn_of(tunnel, kFpOut);
  if (!count || !turn) return leave;

  struct inner in = {};
  __u32 header[12] = {}, hash = 0, inner_len = skb->len;
  if ((!given_back && !has_turned(turn)) || !read_inner(skb, &in, &hash) ||
      (skb->ingress_ifindex != 0 && goes_on_holding(&turn->hub_ns)) ||
      !(slot->carries & (in.v6 ? kFpCarriesV6 : kFpCarriesV4))) {
    goto pass;
  }
  __u32 len =
      build(slot, &in, inner_len, hash, count->next_ipv4_id + 1, header);
  if (inner_len + len > kMaxOuter || in.segment_len + len > slot->path_mtu ||
      !make_room(skb, slot, &in, len, turn)) {
    goto pass;
  }
  if (store(skb, header, len) || bpf_skb_change_head(skb, kLinkLen, 0)) {
    count->send_errors += in.segments;
    return TC_ACT_SHOT;
  }
  count->next_ipv4_id += in.segments;
  count->transmit_packets += in.segments;
  count->transmit_bytes += inner_len + (__u64)(in.segments - 1) * in.header_len;
  skb->mark = slot->mark;
  return bpf_redirect_neigh(slot->underlay, 0, 0, 0);
pass:
  if (given_back) return leave;
  if (in.segments == 0) in.segments = skb->gso_segs > 1 ? skb->gso_segs : 1;
  count->transmit_passed += in.segments;
  return TC_ACT_UNSPEC;
}

#endif  // TUNNEL_BPF_ENCAP_BPF_H_
