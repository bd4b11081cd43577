#include "encap/encap_config.h"

#include <array>
#include <utility>

#include "encap/wire/ethernet.h"
#include "encap/wire/gre.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"

namespace encap {
namespace {

using Kind = FieldError::Kind;
using Errors = std::vector<FieldError>;

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
  CheckAddress("remote", config.remote, errors);
  CheckPair(config, errors);
  CheckHeaderFields(config, errors);
  return errors;
}

uint32_t EncapOverhead(const EncapConfig& config) noexcept {
  size_t bytes =
      config.remote.is_v6() ? ConstIpv6Header::kLen : ConstIpv4Header::kMinLen;
  if (IsGre(config.mode)) {
    bytes += ConstGreHeader::HeaderLen(
        config.checksum, config.output_key.has_value(), config.sequence);
  }
  if (config.mode == Mode::kGretap) bytes += kEthernetHeaderLen;
  return static_cast<uint32_t>(bytes);
}

}  // namespace encap
