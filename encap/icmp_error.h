// ICMP errors for the sender of an inner packet: which one, whether it may be
// sent at all, and its bytes.

#ifndef ENCAP_ICMP_ERROR_H_
#define ENCAP_ICMP_ERROR_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "encap/address.h"
#include "encap/icmp_quote.h"

namespace encap {

// What the sender of an inner packet is told, whatever its family.
struct InnerError {
  enum class Kind : uint8_t {
    // Fragmentation Needed (RFC 1191 4), Packet Too Big (RFC 4443 3.2).
    kTooBig,
    // Host Unreachable (RFC 792), Address Unreachable (RFC 4443 3.1).
    kHostUnreachable,
    // Parameter Problem, erroneous header field (RFC 792, RFC 4443 3.4).
    kParameterProblem,
  };
  Kind kind = Kind::kHostUnreachable;
  // kTooBig: largest packet that crosses the tunnel, bytes; an ICMPv6 message
  // never says less than 1280. kParameterProblem: offset in the inner packet.
  uint32_t info = 0;
  friend constexpr bool operator==(const InnerError&,
                                   const InnerError&) = default;
};

// The most that an error has, IP header included, bytes: RFC 1812 4.3.2.3, RFC
// 4443 2.4 (c).
inline constexpr size_t kMaxIcmpErrorV4 = 576;
inline constexpr size_t kMaxIcmpErrorV6 = 1280;

// False where no error may be sent about `packet`, an IPv4 or IPv6 packet or
// its beginning: an ICMP error or redirect, a fragment other than the first, a
// destination that is multicast (a Packet Too Big may answer one, RFC 4443 2.4
// (e.3)) or broadcast, a source that is no single host, a wrong IPv4 header
// checksum, a header that is malformed or not whole (RFC 1812 4.3.2.7, RFC 4443
// 2.4 (e)). An ICMPv6 message whose type is not in `packet` counts as an error.
bool MayAnswer(std::span<const uint8_t> packet, InnerError::Kind kind) noexcept;

// Writes the error about `packet` to its source: IP header, ICMP header, as
// much of `packet` as fits, checksums. `packet` is as in MayAnswer(); `source`
// an address of this host and of its family. Returns the bytes written; 0 when
// MayAnswer() forbids it, `source` is of another family, or `out` is smaller
// than kMaxIcmpErrorV4 or kMaxIcmpErrorV6. `out` and `packet` must not overlap.
size_t ComposeIcmpError(const InnerError& error,
                        std::span<const uint8_t> packet,
                        const IpAddress& source,
                        std::span<uint8_t> out) noexcept;

// What the error that came back from the tunnel means for the sender of the
// packet inside; nullopt where it is not to be told. `path_mtu` is the estimate
// after PathMtu::Learn(), bytes.
//
//   outer error                  inner IPv6                inner IPv4
//   too big                      too big, path MTU less    too big, the same,
//                                the headers, >= 1280      when DF is set
//     quoted inner <= that       nothing                   nothing
//   hop limit exceeded           host unreachable          host unreachable
//   unreachable
//     port; source route failed  nothing                   nothing
//     any other                  host unreachable          host unreachable
//   parameter problem
//     at the encapsulation
//     limit, which is 0          host unreachable          host unreachable
//     any other                  nothing                   nothing
//   reassembly timeout           nothing                   nothing
//
// (RFC 2473 8.1 to 8.3, RFC 4213 3.4, RFC 2003 4 and 5.1.)
std::optional<InnerError> RelayOuterError(const OuterError& error,
                                          const QuotedInner& inner,
                                          uint32_t path_mtu) noexcept;

}  // namespace encap

#endif  // ENCAP_ICMP_ERROR_H_
