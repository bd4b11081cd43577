// EncapConfig: everything that decides the bytes of one tunnel's outer header.

#ifndef ENCAP_ENCAP_CONFIG_H_
#define ENCAP_ENCAP_CONFIG_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "encap/address.h"

namespace encap {

// What is carried, and in what.
// - kGif: IPv4 and IPv6 in IPv4 or IPv6, protocols 4 and 41 (RFC 2003, 4213,
//   2473).
// - kIpip: IPv4 only, 4in4 and over an IPv6 outer header 4in6.
// - kSit: IPv6 in IPv4 (RFC 4213).
// - kIp6ip6: IPv6 in IPv6 (RFC 2473).
// - kGre: IPv4 and IPv6 in GRE over IPv4 or IPv6 (RFC 2784, 2890, 7676).
// - kGretap: Ethernet frames (0x6558) in GRE over IPv4 or IPv6.
enum class Mode : uint8_t { kGif, kIpip, kSit, kIp6ip6, kGre, kGretap };

// "gif", "ipip", "sit", "ip6ip6", "gre", "gretap".
std::string_view ModeName(Mode mode) noexcept;
std::optional<Mode> ParseMode(std::string_view name) noexcept;
// True for the modes that carry a GRE header and so may have key, checksum and
// sequence.
constexpr bool IsGre(Mode mode) noexcept {
  return mode == Mode::kGre || mode == Mode::kGretap;
}

// True when packets of `family` are a payload of `mode` (kGretap: inside its
// frames).
constexpr bool Carries(Mode mode, IpFamily family) noexcept {
  if (mode == Mode::kIpip) return family == IpFamily::kV4;
  if (mode == Mode::kSit || mode == Mode::kIp6ip6) {
    return family == IpFamily::kV6;
  }
  return family != IpFamily::kNone;
}

// Don't Fragment bit of an IPv4 outer header (RFC 2003 3.1, RFC 4459). An IPv6
// outer packet is never fragmented on its way, whatever the policy.
//   kOn       set
//   kOff      clear
//   kInherit  copied from an inner IPv4 header; set for any other payload
enum class DfPolicy : uint8_t { kOn, kOff, kInherit };

// RFC 6040: kNormal copies the inner ECN field outwards; kCompat always sends
// Not-ECT. Decapsulation follows the same table in both.
enum class EcnMode : uint8_t { kNormal, kCompat };

// What stands between the outer IP header and the payload or GRE header.
//   kIp   nothing: protocol 4, 41 or 47
//   kUdp  a UDP header: GRE in UDP (RFC 8086) for the GRE modes, for the others
//         the inner packet itself, whose version nibble tells its family
enum class OuterTransport : uint8_t { kIp, kUdp };

// What becomes of a packet that is larger than the path to the remote carries.
//   kInner  an inner IPv4 packet without DF is cut before it is encapsulated;
//           any other is refused and its sender told the size (RFC 4459 3.2)
//   kOuter  the outer packet is cut (RFC 4459 3.1); over IPv4 only without DF
//   kNone   refused, and its sender told the size
// An inner IPv6 packet of at most 1280 bytes is never refused for its size: the
// outer packet is cut (RFC 2473 7.1, RFC 4213 3.2).
enum class FragmentPolicy : uint8_t { kInner, kOuter, kNone };

// UDP ports in what is sent and received when none is configured.
inline constexpr uint16_t kGreInUdpPort = 4754;  // RFC 8086 8
inline constexpr uint16_t kDirectUdpPort = 5555;

struct EncapConfig {
  Mode mode = Mode::kGif;
  IpAddress local;  // outer source of what is sent; same family as remote
  // Outer destination of what is sent. The unspecified address of a family is a
  // wildcard ("any"): received from every source, sent to none.
  IpAddress remote;

  // GRE key (RFC 2890): presence is part of the identity; 0 is a real key.
  std::optional<uint32_t> input_key;   // expected on receive
  std::optional<uint32_t> output_key;  // put into what is sent
  // GRE checksum in what is sent. On receive a checksum is verified whenever it
  // is present and never required (RFC 2784 2.3).
  bool checksum = false;
  // GRE sequence numbers in what is sent, from 0. On receive, packets whose
  // number is missing or not newer than the last one are dropped (RFC
  // 2890 2.2).
  bool sequence = false;

  // Outer TTL or hop limit 1..255; nullopt copies the inner one (64 when the
  // payload has none).
  std::optional<uint8_t> ttl = 64;
  // Outer DSCP << 2, i.e. TOS or traffic class with the two ECN bits zero;
  // nullopt copies the inner DSCP (RFC 2983 uniform model; 0 when it has none).
  std::optional<uint8_t> tos;
  DfPolicy df = DfPolicy::kOn;
  EcnMode ecn = EcnMode::kNormal;

  // Tunnel Encapsulation Limit in what is sent over IPv6 (RFC 2473 4.1.1): how
  // many further encapsulations are allowed. nullopt: the option is not sent.
  // An inner packet that carries the option is judged by it in either case.
  std::optional<uint8_t> encap_limit;

  OuterTransport transport = OuterTransport::kIp;
  // kUdp only. Destination port of what is sent and port that is received on;
  // 0: kGreInUdpPort for the GRE modes, else kDirectUdpPort.
  uint16_t udp_port = 0;
  // kUdp only. 0: from the hash of the inner flow, 49152 to 65535 (RFC 8086
  // 3.2.1).
  uint16_t udp_source_port = 0;
  // kUdp over IPv4 only: a UDP checksum of zero is sent (RFC 8086 3.1).
  bool udp_zero_checksum = false;

  FragmentPolicy fragment = FragmentPolicy::kInner;
  // Inner source addresses that are received; empty: any. Not for kGretap.
  std::vector<IpPrefix> allowed_sources;
  // Largest MSS that an inner TCP SYN may announce, both ways; nullopt: left
  // alone; 0: what the MTU of the tunnel leaves.
  std::optional<uint16_t> mss_clamp;

  friend bool operator==(const EncapConfig&, const EncapConfig&) = default;
};

// Limits that Validate() enforces.
inline constexpr size_t kMaxAllowedSources = 256;
// Every IPv4 host takes segments of 536 bytes (RFC 9293 3.7.1), so a smaller
// limit gains nothing; the largest packet of 65535 bytes leaves 65495 behind 40
// bytes of headers.
inline constexpr uint16_t kMinMssClamp = 536;
inline constexpr uint16_t kMaxMssClamp = 65495;

// True for a remote that stands for every source of its family.
inline bool IsWildcard(const IpAddress& remote) noexcept {
  return remote.family() != IpFamily::kNone && remote.IsUnspecified();
}

// Port that is sent to and received on; 0 with OuterTransport::kIp.
constexpr uint16_t UdpPort(const EncapConfig& config) noexcept {
  if (config.transport != OuterTransport::kUdp) return 0;
  if (config.udp_port != 0) return config.udp_port;
  return IsGre(config.mode) ? kGreInUdpPort : kDirectUdpPort;
}

// One field that is wrong, in the words of the configuration ("local", "key").
struct FieldError {
  enum class Kind : uint8_t { kInvalid, kFamilyMismatch, kUnknownMode };
  Kind kind = Kind::kInvalid;
  std::string field;
  std::string message;  // what was wrong, what is wanted
};

// All faults at once; empty when the config can be used.
std::vector<FieldError> Validate(const EncapConfig& config);

// Outer header bytes in front of the payload: IPv4 20 or IPv6 40, plus 8 for an
// encapsulation limit, plus 8 for UDP, plus GRE 4 to 16, plus the inner
// Ethernet header (14) for kGretap, so that the tunnel MTU is underlay MTU -
// EncapOverhead().
uint32_t EncapOverhead(const EncapConfig& config) noexcept;

}  // namespace encap

#endif  // ENCAP_ENCAP_CONFIG_H_
