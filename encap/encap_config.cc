#include "encap/encap_config.h"

#include <array>
#include <cstddef>
#include <set>
#include <utility>

#include "encap/wire/ethernet.h"
#include "encap/wire/gre.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"
#include "encap/wire/udp.h"

namespace encap {
namespace {

using Kind = FieldError::Kind;
using Errors = std::vector<FieldError>;

// A destination options header that holds the option and its padding.
constexpr size_t kEncapLimitLen = 8;

constexpr std::array<std::pair<Mode, std::string_view>, 6> kModes = {{
    {Mode::kGif, "gif"},
    {Mode::kIpip, "ipip"},
    {Mode::kSit, "sit"},
    {Mode::kIp6ip6, "ip6ip6"},
    {Mode::kGre, "gre"},
    {Mode::kGretap, "gretap"},
}};

std::string_view FamilyName(IpFamily family) {
  switch (family) {
    case IpFamily::kV4:
      return "IPv4";
    case IpFamily::kV6:
      return "IPv6";
    case IpFamily::kNone:
      break;
  }
  return "no address";
}

void Add(Errors& errors, Kind kind, std::string_view field,
         std::string message) {
  errors.push_back({kind, std::string(field), std::move(message)});
}

bool IsMappedV4(const IpAddress& a) {
  if (!a.is_v6()) return false;
  const auto bytes = a.bytes();
  for (size_t i = 0; i < 10; ++i) {
    if (bytes[i] != 0) return false;
  }
  return bytes[10] == 0xff && bytes[11] == 0xff;
}

// `prefix` with its host bits zero.
IpPrefix Network(const IpPrefix& prefix) {
  uint8_t bytes[16] = {};
  const auto from = prefix.address.bytes();
  for (size_t i = 0; i < from.size(); ++i) {
    const size_t kept = prefix.length > i * 8 ? prefix.length - i * 8 : 0;
    bytes[i] =
        kept >= 8 ? from[i] : from[i] & static_cast<uint8_t>(0xff00u >> kept);
  }
  return {prefix.address.is_v4() ? IpAddress::V4(bytes) : IpAddress::V6(bytes),
          prefix.length};
}

// What makes `a` unusable as an end of a tunnel; "" when nothing does.
std::string_view AddressFault(const IpAddress& a) {
  if (a.IsUnspecified()) return "is the unspecified address";
  if (a.IsMulticast()) return "is a multicast address";
  if (a.IsBroadcast()) return "is the broadcast address";
  if (a.IsLoopback()) return "is a loopback address";
  if (IsMappedV4(a)) return "is an IPv4-mapped IPv6 address";
  if (a.IsMartianSource()) return "is in a reserved range (0/8, 240/4)";
  return "";
}

void CheckAddress(std::string_view field, const IpAddress& a, Errors& errors) {
  if (a.family() == IpFamily::kNone) {
    Add(errors, Kind::kInvalid, field,
        "missing; want a unicast IPv4 or IPv6 address");
    return;
  }
  const std::string_view fault = AddressFault(a);
  if (fault.empty()) return;
  Add(errors, Kind::kInvalid, field,
      a.ToString() + ' ' + std::string(fault) + "; want a unicast address");
}

void CheckPair(const EncapConfig& config, Errors& errors) {
  const IpAddress& local = config.local;
  const IpAddress& remote = config.remote;
  if (local.family() == IpFamily::kNone || remote.family() == IpFamily::kNone) {
    return;
  }
  if (local.family() != remote.family()) {
    Add(errors, Kind::kFamilyMismatch, "remote",
        remote.ToString() + " is " + std::string(FamilyName(remote.family())) +
            " and local " + local.ToString() + " is " +
            std::string(FamilyName(local.family())) + "; want one family");
  } else if (local == remote) {
    Add(errors, Kind::kInvalid, "remote",
        remote.ToString() + " is the local address too; want another host");
  }
}

// The outer family that `mode` is tied to; kNone for either.
IpFamily RequiredOuter(Mode mode) {
  if (mode == Mode::kSit) return IpFamily::kV4;
  if (mode == Mode::kIp6ip6) return IpFamily::kV6;
  return IpFamily::kNone;
}

void CheckModeFamily(const EncapConfig& config, Errors& errors) {
  const IpFamily want = RequiredOuter(config.mode);
  if (want == IpFamily::kNone) return;
  const auto check = [&](std::string_view field, const IpAddress& a) {
    if (a.family() == IpFamily::kNone || a.family() == want) return;
    Add(errors, Kind::kFamilyMismatch, field,
        a.ToString() + " is " + std::string(FamilyName(a.family())) +
            "; mode " + std::string(ModeName(config.mode)) + " wants " +
            std::string(FamilyName(want)));
  };
  check("local", config.local);
  check("remote", config.remote);
}

void CheckGreOptions(const EncapConfig& config, Errors& errors) {
  if (IsGre(config.mode)) return;
  const auto refuse = [&](bool set, std::string_view field) {
    if (!set) return;
    Add(errors, Kind::kInvalid, field,
        "set for mode " + std::string(ModeName(config.mode)) +
            ", which has no GRE header; want mode gre or gretap, or no " +
            std::string(field));
  };
  refuse(config.input_key.has_value(), "input_key");
  refuse(config.output_key.has_value(), "output_key");
  refuse(config.checksum, "checksum");
  refuse(config.sequence, "sequence");
}

void CheckHeaderFields(const EncapConfig& config, Errors& errors) {
  if (config.ttl && *config.ttl == 0) {
    Add(errors, Kind::kInvalid, "ttl", "0; want 1 to 255, or inherit");
  }
  if (config.tos && (*config.tos & 3) != 0) {
    Add(errors, Kind::kInvalid, "tos",
        std::to_string(*config.tos) +
            " has ECN bits set; want a multiple of 4 up to 252, or inherit");
  }
  if (config.df > DfPolicy::kInherit) {
    Add(errors, Kind::kInvalid, "df",
        std::to_string(static_cast<int>(config.df)) +
            " is no policy; want on, off or inherit");
  }
  if (config.ecn > EcnMode::kCompat) {
    Add(errors, Kind::kInvalid, "ecn",
        std::to_string(static_cast<int>(config.ecn)) +
            " is no ECN mode; want normal or compat");
  }
}

// Of the outer header: that of remote, or of local while remote is missing.
IpFamily OuterFamily(const EncapConfig& config) {
  return config.remote.family() != IpFamily::kNone ? config.remote.family()
                                                   : config.local.family();
}

void CheckEncapLimit(const EncapConfig& config, Errors& errors) {
  if (!config.encap_limit || OuterFamily(config) != IpFamily::kV4) return;
  Add(errors, Kind::kInvalid, "encap_limit",
      std::to_string(*config.encap_limit) +
          " with an IPv4 outer header, which has no such option (RFC 2473 "
          "4.1.1); want IPv6 outer addresses, or none");
}

void CheckTransport(const EncapConfig& config, Errors& errors) {
  if (config.transport > OuterTransport::kUdp) {
    Add(errors, Kind::kInvalid, "transport",
        std::to_string(static_cast<int>(config.transport)) +
            " is no transport; want ip or udp");
    return;
  }
  const bool udp = config.transport == OuterTransport::kUdp;
  const auto refuse = [&](bool set, std::string_view field) {
    if (!set || udp) return;
    Add(errors, Kind::kInvalid, field,
        "set for transport ip, which has no UDP header; want transport udp, "
        "or no " +
            std::string(field));
  };
  refuse(config.udp_port != 0, "udp_port");
  refuse(config.udp_source_port != 0, "udp_source_port");
  refuse(config.udp_zero_checksum, "udp_zero_checksum");
  if (udp && config.udp_zero_checksum && OuterFamily(config) == IpFamily::kV6) {
    Add(errors, Kind::kInvalid, "udp_zero_checksum",
        "set for an IPv6 outer header, which no other checksum protects (RFC "
        "8200 8.1); want IPv4 outer addresses, or a checksum");
  }
}

void CheckFragment(const EncapConfig& config, Errors& errors) {
  if (config.fragment > FragmentPolicy::kNone) {
    Add(errors, Kind::kInvalid, "fragment",
        std::to_string(static_cast<int>(config.fragment)) +
            " is no policy; want inner, outer or none");
  } else if (config.fragment == FragmentPolicy::kOuter &&
             OuterFamily(config) == IpFamily::kV4 &&
             config.df != DfPolicy::kOff) {
    Add(errors, Kind::kInvalid, "fragment",
        "outer, but Don't Fragment is set in the IPv4 outer header; want df "
        "off with it, or inner or none");
  }
}

// What makes `prefix` unusable as an allowed source of `mode`; "" for nothing.
std::string SourceFault(Mode mode, const IpPrefix& prefix) {
  const IpFamily family = prefix.address.family();
  if (family == IpFamily::kNone) return "is no address; want ADDRESS/LENGTH";
  if (prefix.length > prefix.address.bytes().size() * 8) {
    return "has a length above that of the family; want ADDRESS/LENGTH";
  }
  if (!Carries(mode, family)) {
    return "is " + std::string(FamilyName(family)) + ", which mode " +
           std::string(ModeName(mode)) + " does not carry; want " +
           std::string(FamilyName(family == IpFamily::kV4 ? IpFamily::kV6
                                                          : IpFamily::kV4));
  }
  if (const IpPrefix network = Network(prefix); network != prefix) {
    return "has bits behind its length; want " + network.ToString();
  }
  return "";
}

void CheckAllowedSources(const EncapConfig& config, Errors& errors) {
  const std::vector<IpPrefix>& sources = config.allowed_sources;
  if (sources.empty()) return;
  if (config.mode == Mode::kGretap) {
    Add(errors, Kind::kInvalid, "allowed_ips",
        "set for mode gretap, whose frames need not be IP; want another mode, "
        "or none");
    return;
  }
  if (sources.size() > kMaxAllowedSources) {
    Add(errors, Kind::kInvalid, "allowed_ips",
        std::to_string(sources.size()) + "; want " +
            std::to_string(kMaxAllowedSources) + " at most");
    return;
  }
  std::set<IpPrefix> seen;
  for (size_t i = 0; i < sources.size(); ++i) {
    std::string fault = SourceFault(config.mode, sources[i]);
    if (fault.empty() && !seen.insert(sources[i]).second) {
      fault = "is given twice; want each prefix once";
    }
    if (fault.empty()) continue;
    Add(errors, Kind::kInvalid, "allowed_ips[" + std::to_string(i) + "]",
        sources[i].ToString() + ' ' + fault);
  }
}

void CheckMssClamp(const EncapConfig& config, Errors& errors) {
  if (!config.mss_clamp) return;
  const uint16_t mss = *config.mss_clamp;
  if (mss != 0 && (mss < kMinMssClamp || mss > kMaxMssClamp)) {
    Add(errors, Kind::kInvalid, "mss_clamp",
        std::to_string(mss) + "; want " + std::to_string(kMinMssClamp) +
            " (what every host takes) to " + std::to_string(kMaxMssClamp) +
            " (what a packet of 65535 bytes holds), auto or off");
  }
}

}  // namespace

std::string_view ModeName(Mode mode) noexcept {
  for (const auto& [value, name] : kModes) {
    if (value == mode) return name;
  }
  return "unknown";
}

std::optional<Mode> ParseMode(std::string_view name) noexcept {
  for (const auto& [value, known] : kModes) {
    if (known == name) return value;
  }
  return std::nullopt;
}

std::vector<FieldError> Validate(const EncapConfig& config) {
  Errors errors;
  if (config.mode > Mode::kGretap) {
    Add(errors, Kind::kUnknownMode, "mode",
        std::to_string(static_cast<int>(config.mode)) +
            " is no mode; want gif, ipip, sit, ip6ip6, gre or gretap");
  } else {
    CheckModeFamily(config, errors);
    CheckGreOptions(config, errors);
  }
  CheckAddress("local", config.local, errors);
  if (!IsWildcard(config.remote)) {
    CheckAddress("remote", config.remote, errors);
  }
  CheckPair(config, errors);
  CheckHeaderFields(config, errors);
  CheckEncapLimit(config, errors);
  CheckTransport(config, errors);
  CheckFragment(config, errors);
  CheckAllowedSources(config, errors);
  CheckMssClamp(config, errors);
  return errors;
}

uint32_t EncapOverhead(const EncapConfig& config) noexcept {
  size_t bytes =
      config.remote.is_v6() ? ConstIpv6Header::kLen : ConstIpv4Header::kMinLen;
  if (config.encap_limit) bytes += kEncapLimitLen;
  if (config.transport == OuterTransport::kUdp) bytes += ConstUdpHeader::kLen;
  if (IsGre(config.mode)) {
    bytes += ConstGreHeader::HeaderLen(
        config.checksum, config.output_key.has_value(), config.sequence);
  }
  if (config.mode == Mode::kGretap) bytes += kEthernetHeaderLen;
  return static_cast<uint32_t>(bytes);
}

}  // namespace encap
