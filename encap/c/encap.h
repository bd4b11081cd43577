/* encap.h: the C interface of encap, bytes in and bytes out.
 *
 * The same functions as in C++; what is said here is what differs. Needs C99.
 *
 * ABI. Handles are opaque. A struct that begins with `size` may grow at its
 * end: set `size` by its init function, and old programs run with new
 * libraries, new ones with old libraries as long as what is new is zero. All
 * other structs, numbers and names stay as they are within one
 * ENCAP_ABI_VERSION. Unless said otherwise numbers are in host order, lengths
 * in bytes, addresses in network order, and a null pointer is not allowed.
 *
 * Threads. A handle that is const may be used by any number of threads at once.
 * Nothing is locked, nothing logged. Only functions that return encap_status
 * allocate; the others work on buffers that the caller owns.
 */
#ifndef ENCAP_C_ENCAP_H_
#define ENCAP_C_ENCAP_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of this header. A library with another one can not be used. */
#define ENCAP_ABI_VERSION 1
/* Of the library. */
uint32_t encap_abi_version(void);

/* ---- errors ---- */

typedef int32_t encap_status;
enum {
  ENCAP_OK = 0,
  ENCAP_INVALID = -1, /* a field can not be: encap_config_check() names it */
  ENCAP_NO_MEMORY = -2,
  ENCAP_IN_USE = -3, /* another tunnel has this identity */
  ENCAP_NOT_FOUND = -4,
  ENCAP_TOO_NEW = -5 /* the struct has fields that the library lacks */
};
/* "ok", "invalid", ...; "unknown" for any other number. Static text. */
const char* encap_status_name(encap_status status);

/* Why a packet was dropped; 0: it was not. Numbers are those of
 * encap/drop_reason.h and only ever added to, below encap_drop_count(). */
typedef uint8_t encap_drop;
#define ENCAP_NOT_DROPPED 0
uint32_t encap_drop_count(void);
/* "truncated", ... and a sentence; "unknown" for any other number. */
const char* encap_drop_name(encap_drop drop);
const char* encap_drop_text(encap_drop drop);

/* ---- configuration ---- */

typedef struct encap_address {
  uint8_t family; /* 4 or 6; 0: none */
  uint8_t bytes[16];
} encap_address;
/* Text as in RFC 4291 2.2. ENCAP_INVALID, and no change, for anything else. */
encap_status encap_address_parse(const char* text, encap_address* address);

typedef struct encap_prefix {
  encap_address address;
  uint8_t length; /* bits */
} encap_prefix;

enum encap_mode {
  ENCAP_GIF = 0,
  ENCAP_IPIP,
  ENCAP_SIT,
  ENCAP_IP6IP6,
  ENCAP_GRE,
  ENCAP_GRETAP
};
enum encap_df { ENCAP_DF_ON = 0, ENCAP_DF_OFF, ENCAP_DF_INHERIT };
enum encap_ecn { ENCAP_ECN_NORMAL = 0, ENCAP_ECN_COMPAT };
enum encap_transport { ENCAP_OVER_IP = 0, ENCAP_OVER_UDP };
enum encap_fragment {
  ENCAP_FRAGMENT_INNER = 0,
  ENCAP_FRAGMENT_OUTER,
  ENCAP_FRAGMENT_NONE
};

/* The fields of EncapConfig (encap/encap_config.h), whose comments hold. */
typedef struct encap_config {
  uint32_t size;
  uint8_t mode; /* enum encap_mode */
  uint8_t df;
  uint8_t ecn;
  uint8_t transport;
  uint8_t fragment; /* for encap_judge_size() */
  uint8_t checksum; /* GRE; 0 or 1 */
  uint8_t sequence;
  uint8_t has_input_key;
  uint8_t has_output_key;
  uint8_t ttl; /* 0: copied from inside */
  uint8_t udp_zero_checksum;
  uint8_t reserved;    /* 0 */
  int16_t tos;         /* -1: copied from inside */
  int16_t encap_limit; /* -1: not sent */
  uint16_t udp_port;
  uint16_t udp_source_port;
  uint32_t input_key;
  uint32_t output_key;
  encap_address local;
  encap_address remote; /* all zero with its family: any host, to receive */
  const encap_prefix* allowed_sources; /* read while a handle is created */
  size_t allowed_source_count;
} encap_config;

/* A gif tunnel with ttl 64 and without addresses. `size` is
 * sizeof(encap_config). */
void encap_config_init(encap_config* config, size_t size);
/* ENCAP_OK, or ENCAP_INVALID or ENCAP_TOO_NEW and what is wrong in `message`,
 * one "field: text" a line, cut to `message_size` bytes with the closing zero.
 * `message` may be null where `message_size` is 0. */
encap_status encap_config_check(const encap_config* config, char* message,
                                size_t message_size);
/* Bytes that the outer headers take at most; 0 for an invalid config. */
uint32_t encap_overhead(const encap_config* config);

/* ---- packets ---- */

/* Headroom that every encapsulation fits into. */
#define ENCAP_HEADROOM 128

/* A packet at storage + offset, in storage of the caller. The rest: all zero
 * for an ordinary packet, else as in struct virtio_net_hdr, with offsets from
 * the first byte of the packet. */
typedef struct encap_packet {
  uint8_t* storage;
  size_t capacity; /* of storage */
  size_t offset;
  size_t length;    /* offset + length <= capacity */
  uint8_t gso_type; /* 0, 1 TCP over IPv4, 4 TCP over IPv6, 5 UDP */
  uint8_t tcp_ecn;
  uint8_t needs_checksum;
  uint8_t reserved;
  uint16_t gso_size;
  uint16_t header_len;
  uint16_t checksum_start;
  uint16_t checksum_offset;
} encap_packet;

/* What changes with each packet; one per thread and tunnel. Begin with zero,
 * ipv4_id with anything. */
typedef struct encap_output_state {
  uint32_t next_sequence;
  uint16_t next_ipv4_id;
  uint16_t reserved;
} encap_output_state;
typedef struct encap_input_state {
  uint32_t last_sequence;
  uint32_t seen_sequence;
} encap_input_state;

/* ---- sending ---- */

typedef struct encap_encapsulator encap_encapsulator;
encap_status encap_encapsulator_create(const encap_config* config,
                                       encap_encapsulator** encapsulator);
/* Null is allowed. */
void encap_encapsulator_destroy(encap_encapsulator* encapsulator);
encap_drop encap_encapsulate(const encap_encapsulator* encapsulator,
                             encap_packet* packet, encap_output_state* state);
/* drops[i] is what became of packets[i]. Returns how many were not dropped. */
size_t encap_encapsulate_batch(const encap_encapsulator* encapsulator,
                               encap_packet* packets, size_t count,
                               encap_output_state* state, encap_drop* drops);

enum encap_size_action {
  ENCAP_SEND = 0,
  ENCAP_CUT_INNER,
  ENCAP_CUT_OUTER,
  ENCAP_REFUSE
};
/* What is to become of an inner packet where the path carries outer packets of
 * `path_mtu` bytes (0: unknown). An enum encap_size_action. `mtu`, which may be
 * null: the largest fragment, or what to tell the inner sender. */
int32_t encap_judge_size(const encap_encapsulator* encapsulator,
                         const encap_packet* packet, uint32_t path_mtu,
                         uint32_t* mtu);

/* ---- receiving ---- */

typedef struct encap_outer {
  encap_address local; /* outer destination */
  encap_address remote;
  uint8_t protocol; /* 4, 41 or 47; in UDP too */
  uint8_t tos;
  uint8_t ttl;
  uint8_t has_checksum; /* GRE */
  uint8_t has_udp_checksum;
  uint8_t has_key;
  uint8_t has_sequence;
  uint8_t reserved0;
  uint16_t ip_header_len;
  uint16_t header_len;
  uint16_t udp_port; /* 0: not in UDP */
  uint16_t gre_protocol;
  uint32_t total_len;
  uint32_t key;
  uint32_t sequence;
  uint32_t reserved1[4];
} encap_outer;

/* Any UDP destination port may be that of a tunnel. */
#define ENCAP_PARSE_UDP 1u
/* The IPv4 header checksum has been verified. */
#define ENCAP_PARSE_CHECKED 2u

/* `packet` starts at the outer IP header. `flags`: ENCAP_PARSE_... */
encap_drop encap_parse_outer(const uint8_t* packet, size_t length,
                             uint32_t flags, encap_outer* outer);

typedef struct encap_decapsulator encap_decapsulator;
encap_status encap_decapsulator_create(const encap_config* config,
                                       encap_decapsulator** decapsulator);
void encap_decapsulator_destroy(encap_decapsulator* decapsulator);
encap_drop encap_decapsulate(const encap_decapsulator* decapsulator,
                             encap_packet* packet, const encap_outer* outer,
                             encap_input_state* state);

/* Which tunnel a packet belongs to: EndpointMap (encap/endpoint_map.h). A map
 * is changed by one thread while no other uses it: copy, change the copy. */
typedef struct encap_map encap_map;
encap_status encap_map_create(encap_map** map);
encap_status encap_map_copy(const encap_map* map, encap_map** copy);
void encap_map_destroy(encap_map* map);
/* ENCAP_IN_USE, and no change: `holder`, which may be null, has it. */
encap_status encap_map_insert(encap_map* map, const encap_config* config,
                              uint32_t tunnel, uint32_t* holder);
encap_status encap_map_erase(encap_map* map, const encap_config* config,
                             uint32_t tunnel);
encap_drop encap_map_find(const encap_map* map, const encap_outer* outer,
                          uint32_t* tunnel);

typedef struct encap_input_tunnel {
  const encap_decapsulator* decapsulator; /* null: the tunnel is down */
  encap_input_state* state;
} encap_input_tunnel;
#define ENCAP_NO_TUNNEL 0xffffffffu
typedef struct encap_input_result {
  uint32_t tunnel; /* ENCAP_NO_TUNNEL: of none */
  encap_drop drop;
  uint8_t reserved[3];
} encap_input_result;
/* Parses, finds and decapsulates. Returns how many were not dropped. */
size_t encap_decapsulate_batch(const encap_map* map,
                               const encap_input_tunnel* tunnels,
                               size_t tunnel_count, uint32_t flags,
                               encap_packet* packets, size_t count,
                               encap_input_result* results);

/* ---- outer fragments: Reassembler (encap/reassembly.h) ---- */

typedef struct encap_reassembly_options {
  uint32_t size;
  uint32_t max_packets;
  uint64_t max_bytes;
  uint64_t timeout_ns;
  uint64_t hash_seed;
  uint32_t max_fragments;
  uint32_t reserved; /* 0 */
} encap_reassembly_options;
void encap_reassembly_options_init(encap_reassembly_options* options,
                                   size_t size);

enum encap_verdict {
  ENCAP_WHOLE = 0,
  ENCAP_HELD,
  ENCAP_COMPLETE,
  ENCAP_DROPPED
};
typedef struct encap_reassembler encap_reassembler;
/* `options` may be null. */
encap_status encap_reassembler_create(const encap_reassembly_options* options,
                                      encap_reassembler** reassembler);
void encap_reassembler_destroy(encap_reassembler* reassembler);
/* An enum encap_verdict. On ENCAP_COMPLETE `packet` is in storage of the
 * reassembler until the next call. */
int32_t encap_reassembler_add(encap_reassembler* reassembler,
                              encap_packet* packet, uint64_t now_ns);
void encap_reassembler_expire(encap_reassembler* reassembler, uint64_t now_ns);
/* Fragments that were dropped so far, for all reasons. */
uint64_t encap_reassembler_dropped(const encap_reassembler* reassembler);

/* ---- path MTU and ICMP ---- */

typedef struct encap_path_mtu encap_path_mtu;
encap_status encap_path_mtu_create(const encap_config* config,
                                   uint32_t underlay_mtu,
                                   encap_path_mtu** path);
void encap_path_mtu_destroy(encap_path_mtu* path);
uint32_t encap_path_mtu_value(const encap_path_mtu* path);
/* `message` is an ICMP or ICMPv6 message, of the outer family, from its type
 * on. It counts only where it quotes a packet of the tunnel. 1: the value has
 * changed. */
int32_t encap_path_mtu_learn(encap_path_mtu* path, const uint8_t* message,
                             size_t length, uint64_t now_ns);
int32_t encap_path_mtu_age(encap_path_mtu* path, uint64_t now_ns);

enum encap_icmp_error {
  ENCAP_ICMP_TOO_BIG = 0,
  ENCAP_ICMP_HOST_UNREACHABLE,
  ENCAP_ICMP_PARAMETER_PROBLEM
};
/* ComposeIcmpError() (encap/icmp_error.h): the error about an inner packet, for
 * its sender. `out` has 1280 bytes. Bytes written; 0: none may be sent. */
size_t encap_compose_icmp_error(int32_t error, uint32_t info,
                                const uint8_t* packet, size_t length,
                                const encap_address* source, uint8_t* out,
                                size_t out_size);

/* ---- by themselves ---- */

/* RFC 1071, over `bytes` whose checksum field is zero; 0 where the field is
 * right. As it is to be stored in memory: memcpy() of two bytes. */
uint16_t encap_checksum(const void* bytes, size_t length);
/* Of the inner flow of an IP packet. */
uint32_t encap_flow_hash(const void* packet, size_t length, uint64_t seed);

#ifdef __cplusplus
}
#endif

#endif /* ENCAP_C_ENCAP_H_ */
