// The maps of the fast path, and what its two programs have in common.

#ifndef TUNNEL_BPF_MAPS_BPF_H_
#define TUNNEL_BPF_MAPS_BPF_H_

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "tunnel/bpf/fast_path_abi.h"

// Linux 6.3; older headers do not have them.
#ifndef BPF_F_ADJ_ROOM_DECAP_L3_IPV4
#define BPF_F_ADJ_ROOM_DECAP_L3_IPV4 (1ULL << 7)
#define BPF_F_ADJ_ROOM_DECAP_L3_IPV6 (1ULL << 8)
#endif

enum { kIpip = 4, kTcp = 6, kUdp = 17, kIpv6 = 41, kGre = 47, kLinkLen = 14 };

#define GRE_KEY 0x2000

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, kFpMaxTunnels);
  __type(key, __u32);
  __type(value, __u32);
} fp_outputs SEC(".maps");  // ifindex of a tunnel -> slot

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, kFpMaxInputs);
  __type(key, struct fp_input_key);
  __type(value, __u32);
} fp_inputs SEC(".maps");  // -> slot

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, kFpMaxSlots);
  __type(key, __u32);
  __type(value, struct fp_slot);
} fp_slots SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, kFpMaxTunnels);
  __type(key, __u32);
  __type(value, struct fp_counter_block);
} fp_counters SEC(".maps");  // by id of a tunnel

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, kFpMaxTunnels* kFpDirections);
  __type(key, __u32);
  __type(value, struct fp_turn);
} fp_turns SEC(".maps");  // by id of a tunnel * kFpDirections + direction

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 65536 / 64);
  __type(key, __u32);
  __type(value, __u64);
} fp_udp_ports SEC(".maps");  // a bit for each port that a tunnel in UDP uses

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, kFpMaxSenders);
  __type(key, __u64);
  __type(value, __u32);
} fp_sender_cookies SEC(".maps");  // of a socket -> index of fp_senders

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, kFpMaxSenders);
  __type(key, __u32);
  __type(value, struct fp_sender);
} fp_senders SEC(".maps");

// What the packet sockets of the daemon take. As the key of an input, but in
// UDP without the key of GRE: the port is the daemon's.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, kFpMaxInputs);
  __type(key, struct fp_input_key);
  __type(value, __u8);
} fp_claims SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32);
} fp_modes SEC(".maps");  // kFp*

// Whoever replaces its element waits until all programs have ended that run.
struct fp_grace_inner {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32);
} fp_grace_inner SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, 1);
  __type(key, __u32);
  __array(values, struct fp_grace_inner);
} fp_grace SEC(".maps") = {.values = {&fp_grace_inner}};

static __always_inline __u32 modes_now(void) {
  __u32 zero = 0, *modes = bpf_map_lookup_elem(&fp_modes, &zero);
  return modes ? *modes : 0;
}

static __always_inline int is_tunnel_port(__be16 port) {
  __u32 host = bpf_ntohs(port), word = host / 64;
  __u64* bits = bpf_map_lookup_elem(&fp_udp_ports, &word);
  return bits && (*bits >> (host % 64) & 1);
}

// The header checksum; 0 for a header that has a right one.
static __always_inline __u16 ip_checksum(const __u16* words) {
  __u32 sum = 0;
#pragma unroll
  for (int i = 0; i < 10; i++) sum += words[i];
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return ~sum;
}

static __always_inline struct fp_turn* turn_of(__u32 tunnel, __u32 direction) {
  __u32 index = tunnel * kFpDirections + direction;
  return bpf_map_lookup_elem(&fp_turns, &index);
}

// As long as the user path may take, elsewhere, until it is passed by.
enum { kHoldNs = 100 * 1000 * 1000 };

// Packets have been held back until now, and so are they from now on. So none
// that is not overtakes one that was.
static __always_inline int goes_on_holding(__u64* held_ns) {
  if (*held_ns == 0) return 0;
  __u64 now_ns = bpf_ktime_get_coarse_ns();
  if (now_ns - *held_ns > kHoldNs) return 0;
  *held_ns = now_ns;
  return 1;
}

// Bytes of the TCP or UDP header; 0: another protocol.
static __always_inline __u32 upper_len(struct __sk_buff* skb, __u8 protocol,
                                       __u32 upper) {
  struct tcphdr tcp;
  if (protocol == kUdp) return 8;
  if (protocol != kTcp || bpf_skb_load_bytes(skb, upper, &tcp, sizeof(tcp)))
    return 0;
  return tcp.doff * 4;
}

// Packets that a super-packet with `payload` bytes is cut to. The kernel does
// not know yet where it has the packet from user space.
static __always_inline __u32 segments_of(struct __sk_buff* skb, __u32 payload) {
  __u32 size = skb->gso_size;
  if (size == 0) return 1;
  if (skb->gso_segs != 0) return skb->gso_segs;
  return payload > size ? (payload + size - 1) / size : 1;
}

// Whether this packet may take the fast path. Counted as the user path's if
// not; then it must go there. Pairs with LinuxFastPath::Tunnel [F1].
static __always_inline int has_turned(struct fp_turn* turn) {
  __u64 word = *(volatile __u64*)&turn->word;
  if (word & 1) return 1;
  // Others that are before us are few: one on each CPU.
  for (int i = 0; i < 8; i++) {
    __u64 done = *(volatile __u64*)&turn->done;
    __u64 next = word / 2 == done ? word | 1 : word + 2;
    __u64 found = __sync_val_compare_and_swap(&turn->word, word, next);
    if (found == word) return next & 1;
    if (found & 1) return 1;
    word = found;
  }
  __sync_fetch_and_add(&turn->word, 2);
  return 0;
}

#endif  // TUNNEL_BPF_MAPS_BPF_H_
