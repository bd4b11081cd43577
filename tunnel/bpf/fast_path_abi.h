// What the programs of fast_path.bpf.c and the control side share: the layout
// of the maps. C, since clang compiles it for BPF as well.
//
// Addresses, keys and ports are as on the wire. All else is of the host's byte
// order. Keys of maps are compared byte by byte: unused bytes are zero.

#ifndef TUNNEL_BPF_FAST_PATH_ABI_H_
#define TUNNEL_BPF_FAST_PATH_ABI_H_

#include <linux/types.h>

enum {
  kFpMaxTunnels = 8192,  // ids of tunnels; 0 is none
  kFpMaxSlots = 16384,   // 0 is none
  kFpMaxInputs = 32768,
  kFpMaxSenders = 1024,  // workers
};

// What a received packet is looked up by. `ifindex` is that of the underlay
// device that the tunnel is bound to, 0 for any.
struct fp_input_key {
  __u8 family;    // 4 or 6
  __u8 protocol;  // 4, 41 or 47; 17 in UDP, whatever it carries
  __u8 has_key;   // GRE key present
  __u8 zero;
  __u32 ifindex;
  __u32 key;
  __u32 remote[4];  // outer source; IPv4 in the first word
  __u32 local[4];   // outer destination
  __u16 udp_port;   // destination port; 0: not in UDP
  __u16 zero_too;
};

enum { kFpCarriesV4 = 1, kFpCarriesV6 = 2 };
enum { kFpDfOff = 0, kFpDfOn = 1, kFpDfInherit = 2 };

// One outer configuration of a tunnel. Written while no program can reach it,
// never changed while one can; it names the device and the input keys that lead
// to it, so that a program which got here by a recycled element notices.
struct fp_slot {
  __u32 tunnel;    // id: index of the counters
  __u32 device;    // ifindex of the tunnel
  __u32 underlay;  // ifindex that packets are sent by
  __u32 mark;      // fwmark of what is sent
  __u32 path_mtu;  // largest outer packet, bytes; larger ones are the user
                   // path's
  __u32 bound;     // as fp_input_key.ifindex
  __u8 family;     // of the outer header: 4 or 6
  __u8 is_gre;
  __u8 carries;                // kFpCarries*
  __u8 df;                     // kFpDf*
  __u8 tos_copied, tos_fixed;  // outer = (inner & copied) | fixed
  __u8 ttl_copied, ttl_fixed;
  __u8 has_output_key, has_input_key;
  __u16 udp_port;         // that is sent to and received on; 0: not in UDP
  __u16 udp_source_port;  // of what is sent in UDP; 0: that of the flow
  __u16 zero;
  __u32 output_key, input_key;
  __u32 remote[4], local[4];
};

// One tunnel on one CPU. Packets and bytes are inner ones, of a super-packet
// those of its segments.
struct fp_counter_block {
  __u64 transmit_packets, transmit_bytes;
  __u64 receive_packets, receive_bytes;
  __u64 last_receive_ns;     // CLOCK_MONOTONIC_COARSE; 0: none
  __u64 send_errors;         // packets lost on their way out
  __u64 inner_write_errors;  // packets lost on their way in
  __u64 transmit_passed;     // packets left to the user path
  __u64 next_ipv4_id;
};

// How one direction of a tunnel turns from the user path. While `word` is even,
// the program leaves each packet to the user path and adds 2; the packet that
// finds word / 2 == done makes it odd, and takes the fast path with all that
// follow. So nothing is overtaken that went before. Shared with the control
// side by mmap: it alone writes `done`, and makes an odd `word` even.
struct fp_turn {
  __u64 word;
  __u64 done;  // of the packets counted in `word`, those the user path is done
               // with
  // CLOCK_MONOTONIC_COARSE of the last packet that was held back from the fast
  // path; 0: none was.
  __u64 held_ns;  // by is_held_back()
  __u64 hub_ns;   // since it goes from tunnel to tunnel
};

// SO_MARK of the sockets by which workers give super-packets back to the
// program; it alone proves nothing, the cookie of the socket does.
enum { kFpSenderMark = 0x74756e6e };

// One such socket, on a cache line of its own. Shared with its worker by mmap.
struct fp_sender {
  __u64 seen;  // packets of it that the program has judged; written by it alone
  __u64 unused[7];
};

// The mark of a packet that the program has claimed for the daemon, whose
// packet sockets take it though its type is that of a packet for another host.
enum { kFpClaimedMark = 0x74756e63 };

// What there is to find for the program at the ingress of underlay devices, so
// that no packet is looked up where nothing can be. Bits of fp_modes.
enum {
  kFpInputs = 1,  // keys that lead to a slot
  kFpClaims = 2,  // claims, and they are on
  kFpBound = 4,   // keys or claims with an interface
};

// Index in the map of turns.
enum { kFpOut = 0, kFpIn = 1, kFpDirections = 2 };

#endif  // TUNNEL_BPF_FAST_PATH_ABI_H_
