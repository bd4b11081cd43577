// tunneld_decap: the ingress of an underlay device.

#ifndef TUNNEL_BPF_DECAP_BPF_H_
#define TUNNEL_BPF_DECAP_BPF_H_

#include "tunnel/bpf/claim.bpf.h"
#include "tunnel/bpf/maps.bpf.h"
#include "tunnel/bpf/outer.bpf.h"

// GRE at o->len, with these flags and protocol.
static __always_inline int read_gre(struct __sk_buff* skb, struct outer* o,
                                    const __be16 gre[2]) {
  __u16 flags = bpf_ntohs(gre[0]);
  if ((flags & ~GRE_KEY) != 0) return 0;
  o->len += 4;
  o->is_gre = 1;
  if (gre[1] == bpf_htons(ETH_P_IP)) o->inner_family = 4;
  if (gre[1] == bpf_htons(ETH_P_IPV6)) o->inner_family = 6;
  if (flags == 0) return 1;
  if (bpf_skb_load_bytes(skb, kLinkLen + o->len, &o->key.key, 4)) return 0;
  o->key.has_key = 1;
  o->len += 4;
  return 1;
}

// GRE or the inner packet itself in UDP over IPv4, to a port of a tunnel.
//
// A checksum that is not zero is the user path's to sum. The kernel merges
// datagrams that have one, and no others; a program can not cut what is merged,
// and a datagram alone must not overtake it. So a super-packet without checksum
// has one outer header, for one inner super-packet.
static __always_inline int read_udp(struct __sk_buff* skb, struct outer* o) {
  struct udphdr udp;
  union {
    __u8 first;
    __be16 gre[2];
  } in;
  if (o->key.family != 4 ||
      bpf_skb_load_bytes(skb, kLinkLen + o->len, &udp, sizeof(udp)) ||
      !is_tunnel_port(udp.dest) || udp.check != 0 ||
      kLinkLen + o->len + bpf_ntohs(udp.len) != skb->len) {
    return 0;
  }
  o->key.udp_port = udp.dest;
  o->len += sizeof(udp);
  if (bpf_skb_load_bytes(skb, kLinkLen + o->len, &in, sizeof(in))) return 0;
  // No GRE header begins so (RFC 2784 2.3).
  if (in.first >> 4 == 4 || in.first >> 4 == 6) {
    o->inner_family = in.first >> 4;
    return 1;
  }
  return read_gre(skb, o, in.gre);
}

// What is behind it.
static __always_inline int read_payload(struct __sk_buff* skb,
                                        struct outer* o) {
  if (o->key.protocol == kGre) {
    if (!read_gre(skb, o, o->next)) return 0;
  } else if (o->key.protocol == kIpip) {
    o->inner_family = 4;
  } else if (o->key.protocol == kIpv6) {
    o->inner_family = 6;
  } else if (o->key.protocol == kUdp) {
    if (!read_udp(skb, o)) return 0;
  }
  return o->inner_family != 0;
}

// Leads a recycled element here?
static __always_inline int is_for(const struct fp_slot* slot,
                                  const struct outer* o) {
  const struct fp_input_key* key = &o->key;
  if (slot->family != key->family || slot->bound != key->ifindex ||
      slot->is_gre != o->is_gre || slot->udp_port != key->udp_port ||
      slot->has_input_key != key->has_key || slot->input_key != key->key ||
      !(slot->carries & (o->inner_family == 6 ? kFpCarriesV6 : kFpCarriesV4))) {
    return 0;
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
    if (slot->remote[i] != key->remote[i] || slot->local[i] != key->local[i])
      return 0;
  }
  return 1;
}

// A tunnel that is bound to the device comes before one that is not.
static __always_inline struct fp_slot* find(struct __sk_buff* skb,
                                            struct outer* o, __u32 modes) {
  __u32* number = 0;
  if (modes & kFpBound) {
    o->key.ifindex = skb->ifindex;
    number = bpf_map_lookup_elem(&fp_inputs, &o->key);
    if (!number) o->key.ifindex = 0;
  }
  if (!number) number = bpf_map_lookup_elem(&fp_inputs, &o->key);
  if (!number) return 0;
  __u32 index = *number;
  struct fp_slot* slot = bpf_map_lookup_elem(&fp_slots, &index);
  return slot && is_for(slot, o) ? slot : 0;
}

// RFC 6040 4.2; -1: illegal.
static __always_inline int ecn_in(__u32 inner, __u32 outer) {
  if (outer == 3) return inner == 0 ? -1 : 3;
  return inner == 2 && outer == 1 ? 1 : (int)inner;
}

// Reads the inner header at `offset`. False: for the user path. `head` gets its
// first two bytes, `ecn` the field that it is to have.
static __always_inline int judge_inner_v4(struct __sk_buff* skb, __u32 offset,
                                          __u8 outer_tos, __u8* head,
                                          int* ecn) {
  struct iphdr ip;
  if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip))) return 0;
  __u8 first = bpf_ntohl(ip.saddr) >> 24;
  if (ip.version != 4 || ip.ihl < 5 ||
      bpf_ntohs(ip.tot_len) + offset != skb->len || ip.ttl == 0 || first == 0 ||
      first == 127 || first >= 224) {
    return 0;
  }
  head[0] = 0x40 | ip.ihl;
  head[1] = ip.tos;
  *ecn = ecn_in(ip.tos & 3, outer_tos & 3);
  return *ecn >= 0;
}

static __always_inline int judge_inner_v6(struct __sk_buff* skb, __u32 offset,
                                          __u8 outer_tos, __u8* head,
                                          int* ecn) {
  struct ipv6hdr ip;
  if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip))) return 0;
  __u8 first = ip.saddr.s6_addr[0];
  // Below ::/8 are the addresses that RFC 4213 3.6 refuses, and those that the
  // user path tells from them.
  if (ip.version != 6 ||
      bpf_ntohs(ip.payload_len) + sizeof(ip) + offset != skb->len ||
      first == 0 || first == 0xff) {
    return 0;
  }
  head[0] = 0x60 | ip.priority;
  head[1] = ip.flow_lbl[0];
  *ecn = ecn_in(ip.flow_lbl[0] >> 4 & 3, outer_tos & 3);
  return *ecn >= 0;
}

// The ECN field of the inner header, which is behind the link header now.
static __always_inline long set_ecn(struct __sk_buff* skb, int v4, __u8* head,
                                    int ecn) {
  __u8 before = head[1];
  if (!v4) {
    head[1] = (before & ~0x30) | ecn << 4;
    return head[1] == before ? 0
                             : bpf_skb_store_bytes(skb, kLinkLen + 1, &head[1],
                                                   1, BPF_F_RECOMPUTE_CSUM);
  }
  head[1] = (before & ~3) | ecn;
  if (head[1] == before) return 0;
  __be16 from = bpf_htons(head[0] << 8 | before);
  __be16 to = bpf_htons(head[0] << 8 | head[1]);
  long failed = bpf_l3_csum_replace(skb, kLinkLen + 10, from, to, 2);
  return failed ? failed
                : bpf_skb_store_bytes(skb, kLinkLen + 1, &head[1], 1, 0);
}

// The kernel remembers that a super-packet was in UDP. Where it cuts one of UDP
// it then looks for the outer header, and drops it. So these are the user
// path's, and all that is not TCP with them until none has come for a while:
// nothing of their flows overtakes them.
static __always_inline int is_held_back(struct __sk_buff* skb,
                                        struct fp_turn* turn, __u32 offset,
                                        int v4) {
  __u8 protocol;
  if (bpf_skb_load_bytes(skb, offset + (v4 ? 9 : 6), &protocol, 1)) return 1;
  if (protocol == kTcp) return 0;
  if (skb->gso_size == 0) return goes_on_holding(&turn->held_ns);
  turn->held_ns = bpf_ktime_get_coarse_ns();
  return 1;
}

// Packets of a received super-packet; `header_len` gets the bytes of the inner
// headers of each, where they are known.
static __always_inline __u32 read_segments(struct __sk_buff* skb, __u32 offset,
                                           int v4, const __u8* head,
                                           __u32* header_len) {
  __u8 protocol;
  if (skb->gso_size == 0 ||
      bpf_skb_load_bytes(skb, offset + (v4 ? 9 : 6), &protocol, 1)) {
    return 1;
  }
  __u32 ip_len = v4 ? (head[0] & 0xf) * 4 : sizeof(struct ipv6hdr);
  __u32 upper = upper_len(skb, protocol, offset + ip_len);
  if (upper != 0) *header_len = ip_len + upper;
  __u32 all = offset + *header_len;
  return segments_of(skb, skb->len > all ? skb->len - all : 0);
}

// TC_ACT_UNSPEC: nothing has happened.
static __always_inline int decapsulate(struct __sk_buff* skb,
                                       const struct outer* outer, __u32 modes) {
  struct outer o = *outer;
  if (!read_payload(skb, &o)) return TC_ACT_UNSPEC;
  struct fp_slot* slot = find(skb, &o, modes);
  if (!slot) return TC_ACT_UNSPEC;
  __u32 tunnel = slot->tunnel, device = slot->device;
  struct fp_counter_block* count = bpf_map_lookup_elem(&fp_counters, &tunnel);
  struct fp_turn* turn = turn_of(tunnel, kFpIn);
  if (!count || !turn || !has_turned(turn) || goes_on_holding(&turn->hub_ns))
    return TC_ACT_UNSPEC;

  int v4 = o.inner_family == 4, ecn = 0;
  __u8 head[2] = {};
  __u32 offset = kLinkLen + o.len, inner_len = skb->len - offset;
  if (!(v4 ? judge_inner_v4(skb, offset, o.tos, head, &ecn)
           : judge_inner_v6(skb, offset, o.tos, head, &ecn))) {
    return TC_ACT_UNSPEC;
  }
  if (o.key.protocol == kUdp && is_held_back(skb, turn, offset, v4))
    return TC_ACT_UNSPEC;
  __u32 header_len = 0;
  __u32 segments = read_segments(skb, offset, v4, head, &header_len);
  __u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | (v4 ? BPF_F_ADJ_ROOM_DECAP_L3_IPV4
                                               : BPF_F_ADJ_ROOM_DECAP_L3_IPV6);
  if (bpf_skb_adjust_room(skb, -(__s32)o.len, BPF_ADJ_ROOM_MAC, flags))
    return TC_ACT_UNSPEC;
  if (set_ecn(skb, v4, head, ecn)) {
    count->inner_write_errors += segments;
    return TC_ACT_SHOT;
  }
  count->receive_packets += segments;
  count->receive_bytes += inner_len + (__u64)(segments - 1) * header_len;
  count->last_receive_ns = bpf_ktime_get_coarse_ns();
  skb->mark = 0;
  // Steering goes by the inner flow; the queue is one of the underlay's.
  bpf_set_hash_invalid(skb);
  skb->queue_mapping = 0;
  return bpf_redirect(device, BPF_F_INGRESS);
}

SEC("tc")
int tunneld_decap(struct __sk_buff* skb) {
  struct outer o = {};
  if (skb->pkt_type != 0 || skb->vlan_present || !read_outer_ip(skb, &o))
    return TC_ACT_UNSPEC;
  __u32 modes = modes_now();
  int verdict = modes & kFpInputs ? decapsulate(skb, &o, modes) : TC_ACT_UNSPEC;
  if (verdict == TC_ACT_UNSPEC && (modes & kFpClaims)) claim(skb, &o, modes);
  return verdict;
}

#endif  // TUNNEL_BPF_DECAP_BPF_H_
