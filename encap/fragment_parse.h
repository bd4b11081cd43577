// ParseFragment: what a reassembler needs to know of one received IP fragment
// (RFC 791 3.1, RFC 8200 4.5).

#ifndef ENCAP_FRAGMENT_PARSE_H_
#define ENCAP_FRAGMENT_PARSE_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "encap/address.h"

namespace encap {

enum class FragmentKind : uint8_t {
  kWhole,      // not known to be a fragment, or an atomic one (RFC 6946)
  kFragment,   // `info` is complete
  kMalformed,  // a fragment with impossible lengths or headers: to be dropped
};

struct FragmentInfo {
  // Fragments of one packet agree in all four (RFC 791 2.3, RFC 8200 4.5).
  IpAddress source;
  IpAddress destination;
  uint32_t id = 0;
  // IPv4 protocol; for IPv6 always 0, since the next header of a fragment other
  // than the first may differ and is ignored.
  uint8_t protocol = 0;

  uint8_t tos = 0;  // TOS or traffic class
  bool more = false;
  uint32_t offset = 0;  // of `data` in the payload of the whole packet, bytes
  // IPv4 header with options, or IPv6 header with the extension headers in
  // front of the fragment header.
  std::span<const uint8_t> header;
  // IPv6: the header behind the fragment header, and where in `header` it is to
  // be announced.
  uint8_t next_header = 0;
  uint16_t next_header_at = 0;
  std::span<const uint8_t> data;  // never empty
};

// IPv6 extension headers in front of the fragment header, bytes.
inline constexpr size_t kMaxFragmentExtensionBytes = 256;

// `packet` starts at the IP header; link padding at its end is allowed.
// kMalformed: cut short; wrong IPv4 header checksum; no payload; a length that
// is no multiple of 8 with more to follow; an end behind byte 65,535 of the
// packet; a first IPv6 fragment without all headers up to that of the upper
// layer (RFC 8200 4.5, RFC 7112), or with a second fragment header among them;
// more than kMaxFragmentExtensionBytes.
FragmentKind ParseFragment(std::span<const uint8_t> packet,
                           FragmentInfo& info) noexcept;

}  // namespace encap

#endif  // ENCAP_FRAGMENT_PARSE_H_
