// DropReason: the closed list of reasons for which a packet is dropped.
//
// One list makes the enumerator, the name shown to people (counters, metrics,
// trace, capture) and the sentence of documentation. The sum over the reasons
// equals all drops, always: a packet is counted once, at the place of the drop.

#ifndef ENCAP_DROP_REASON_H_
#define ENCAP_DROP_REASON_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace encap {

// X(Enumerator, "name", "what happened to the packet")
#define ENCAP_DROP_REASONS(X)                                                \
  X(Truncated, "truncated", "shorter than a header or a length field says")  \
  X(BadIpHeader, "bad_ip_header",                                            \
    "IP version, header length or total length is impossible")               \
  X(BadOuterChecksum, "bad_outer_checksum",                                  \
    "outer IPv4 header or UDP checksum is wrong, or UDP over IPv6 has none") \
  X(BadGreChecksum, "bad_gre_checksum",                                      \
    "GRE checksum is present and wrong (RFC 2784 2.3)")                      \
  X(BadVersion, "bad_version", "GRE version is not 0 (RFC 2784 2.3.1)")      \
  X(UnsupportedFlags, "unsupported_flags",                                   \
    "GRE routing or a reserved flag that must be refused is set (RFC 2784 "  \
    "2.3)")                                                                  \
  X(UnknownProtocol, "unknown_protocol",                                     \
    "the payload protocol is not one that this tunnel carries")              \
  X(NoTunnel, "no_tunnel",                                                   \
    "no tunnel has this protocol and these outer addresses")                 \
  X(KeyMissing, "key_missing",                                               \
    "a GRE key is configured and the packet has none")                       \
  X(KeyUnexpected, "key_unexpected",                                         \
    "the packet has a GRE key and none is configured")                       \
  X(KeyMismatch, "key_mismatch",                                             \
    "the GRE key is that of no tunnel between these addresses")              \
  X(WrongSource, "wrong_source",                                             \
    "a tunnel ends at this local address, but its remote is another host; "  \
    "or the inner source is not an allowed one")                             \
  X(MartianSource, "martian_source",                                         \
    "the source address can not be that of a host (RFC 1812 5.3.7)")         \
  X(EcnIllegal, "ecn_illegal",                                               \
    "outer CE over an inner packet that is Not-ECT (RFC 6040 4.2)")          \
  X(OutOfOrder, "out_of_order",                                              \
    "GRE sequence number is old or missing (RFC 2890 2.2)")                  \
  X(TtlExpired, "ttl_expired", "inner TTL or hop limit is 0 (RFC 2003 3.1)") \
  X(Recursion, "recursion",                                                  \
    "the packet would be encapsulated once too often (RFC 2473 4.1)")        \
  X(TooBig, "too_big", "larger than the path MTU and not to be fragmented")  \
  X(ReassemblyFailed, "reassembly_failed",                                   \
    "outer fragments that can not be put together")                          \
  X(QueueFull, "queue_full", "a hand-off queue or socket buffer is full")    \
  X(Paused, "paused", "handed to a tunnel whose output is paused")           \
  X(Down, "down", "handed to a tunnel that is administratively down")        \
  X(NoRoute, "no_route",                                                     \
    "no route to the remote, or the local address is gone")                  \
  X(SendError, "send_error", "the underlay refused the packet")              \
  X(InnerWriteError, "inner_write_error",                                    \
    "the TUN or TAP device refused the packet")

enum class DropReason : uint8_t {
  kNone = 0,  // the packet was not dropped
#define ENCAP_X(id, name, text) k##id,
  ENCAP_DROP_REASONS(ENCAP_X)
#undef ENCAP_X
};

// Number of enumerators, kNone included: the size of an array indexed by
// static_cast<size_t>(reason).
inline constexpr size_t kDropReasonCount = 1
#define ENCAP_X(id, name, text) +1
    ENCAP_DROP_REASONS(ENCAP_X)
#undef ENCAP_X
    ;

struct DropReasonInfo {
  std::string_view name;  // lower_snake_case, stable
  std::string_view text;  // one clause of documentation
};

// Indexed by the enumerator; entry 0 is {"none", ...}.
inline constexpr std::array<DropReasonInfo, kDropReasonCount> kDropReasonInfo =
    {{{"none", "not dropped"},
#define ENCAP_X(id, name, text) {name, text},
      ENCAP_DROP_REASONS(ENCAP_X)
#undef ENCAP_X
    }};

constexpr std::string_view DropReasonName(DropReason reason) noexcept {
  return kDropReasonInfo[static_cast<size_t>(reason)].name;
}

// The reason with this name; nullopt for an unknown one.
constexpr std::optional<DropReason> ParseDropReason(
    std::string_view name) noexcept {
  for (size_t i = 0; i < kDropReasonCount; ++i) {
    if (kDropReasonInfo[i].name == name) return static_cast<DropReason>(i);
  }
  return std::nullopt;
}

}  // namespace encap

#endif  // ENCAP_DROP_REASON_H_
