#include "ctl/convert.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ctl/convert_enums.h"
#include "ctl/wire_time.h"

namespace tunnel::ctl {
namespace {

constexpr uint32_t kDefaultTtl = 64;

void ReadMode(const v1::Tunnel& tunnel, EndpointConfig& config,
              Faults& faults) {
  const std::optional<encap::Mode> mode = FromProto(tunnel.mode());
  if (mode) {
    config.encap.mode = *mode;
    return;
  }
  // The mode that all other fields may go with, so that they are still judged.
  config.encap.mode = encap::Mode::kGre;
  faults.Add(Reason::kUnknownMode, "mode",
             absl::StrCat(tunnel.mode() == v1::MODE_UNSPECIFIED
                              ? std::string("missing")
                              : absl::StrCat(static_cast<int>(tunnel.mode()),
                                             " is no mode"),
                          "; want gif, ipip, sit, ip6ip6, gre or gretap"));
}

void ReadAddress(absl::string_view field, const std::string& text,
                 encap::IpAddress& address, Faults& faults) {
  if (text.empty()) return;  // Validate() reports what is missing
  if (const auto parsed = encap::IpAddress::Parse(text)) {
    address = *parsed;
    return;
  }
  faults.AddInvalid(field, absl::StrCat("\"", absl::CHexEscape(text),
                                        "\" is not an IPv4 or IPv6 address"));
}

// "dev:eth0", or an address.
void ReadLocal(const std::string& text, EndpointConfig& config,
               Faults& faults) {
  constexpr absl::string_view kDevice = "dev:";
  if (!absl::StartsWith(text, kDevice)) {
    ReadAddress("local", text, config.encap.local, faults);
    return;
  }
  config.local_device = text.substr(kDevice.size());
  if (config.local_device.empty())
    faults.AddInvalid("local", "\"dev:\" names no interface; want dev:IFACE");
}

// The family that "any" names: that of a local address.
encap::IpFamily FamilyOfAny(const std::string& text,
                            const EndpointConfig& config) {
  if (text == "any4") return encap::IpFamily::kV4;
  if (text == "any6") return encap::IpFamily::kV6;
  return config.encap.local.family();
}

// "any", "any4", "any6", or an address.
void ReadRemote(const std::string& text, EndpointConfig& config,
                Faults& faults) {
  static constexpr uint8_t kUnspecified[16] = {};
  encap::IpAddress& remote = config.encap.remote;
  if (text != "any" && text != "any4" && text != "any6") {
    ReadAddress("remote", text, remote, faults);
    if (!encap::IsWildcard(remote)) return;
    faults.AddInvalid("remote",
                      absl::StrCat(text,
                                   " is the unspecified address; want a "
                                   "unicast address, or any to receive "
                                   "from every source"));
    return;
  }
  if (text == "any" && !config.local_device.empty()) {
    faults.AddInvalid("remote",
                      absl::StrCat("any with local ", LocalText(config),
                                   " names no family; want any4 or "
                                   "any6"));
  }
  remote = FamilyOfAny(text, config) == encap::IpFamily::kV6
               ? encap::IpAddress::V6(kUnspecified)
               : encap::IpAddress::V4(kUnspecified);
}

void ReadKeys(const v1::Tunnel& tunnel, EndpointConfig& config) {
  if (tunnel.has_key()) {
    config.encap.input_key = tunnel.key();
    config.encap.output_key = tunnel.key();
  }
  if (tunnel.has_input_key()) config.encap.input_key = tunnel.input_key();
  if (tunnel.has_output_key()) config.encap.output_key = tunnel.output_key();
}

void ReadTtlAndTos(const v1::Tunnel& tunnel, EndpointConfig& config,
                   Faults& faults) {
  uint32_t ttl = kDefaultTtl;
  if (tunnel.ttl_policy_case() == v1::Tunnel::kTtl) ttl = tunnel.ttl();
  if (ttl < 1 || ttl > 255) {
    faults.AddInvalid("ttl",
                      absl::StrCat(ttl, "; want 1 to 255, or ttl_inherit"));
    ttl = kDefaultTtl;
  }
  config.encap.ttl = static_cast<uint8_t>(ttl);
  if (tunnel.ttl_policy_case() == v1::Tunnel::kTtlInherit &&
      tunnel.ttl_inherit()) {
    config.encap.ttl = std::nullopt;
  }
  if (!tunnel.has_tos()) return;
  if (tunnel.tos() > 252 || tunnel.tos() % 4 != 0) {
    faults.AddInvalid(
        "tos", absl::StrCat(tunnel.tos(),
                            "; want a multiple of 4 up to 252 (the ECN bits "
                            "zero), or absent to inherit"));
    return;
  }
  config.encap.tos = static_cast<uint8_t>(tunnel.tos());
}

// Absent leaves `out` as it is, at the default.
template <typename Proto, typename Core>
void ReadEnum(absl::string_view field, Proto value, absl::string_view wanted,
              Core& out, Faults& faults) {
  if (value == static_cast<Proto>(0)) return;
  if (const std::optional<Core> known = FromProto(value)) {
    out = *known;
    return;
  }
  faults.AddInvalid(field,
                    absl::StrCat(static_cast<int>(value), "; want ", wanted));
}

void ReadEnums(const v1::Tunnel& tunnel, EndpointConfig& config,
               Faults& faults) {
  encap::EncapConfig& encap = config.encap;
  ReadEnum("df", tunnel.df(), "on, off or inherit", encap.df, faults);
  ReadEnum("ecn", tunnel.ecn(), "normal or compat", encap.ecn, faults);
  ReadEnum("transport", tunnel.transport(), "ip or udp", encap.transport,
           faults);
  ReadEnum("fragment", tunnel.fragment(), "inner, outer or none",
           encap.fragment, faults);
  ReadEnum("datapath", tunnel.datapath(), "auto, user or bpf", config.datapath,
           faults);
  ReadEnum("steering", tunnel.steering(), "auto, on or off", config.steering,
           faults);
  switch (tunnel.admin_state()) {
    case v1::ADMIN_STATE_UNSPECIFIED:
    case v1::ADMIN_UP:
      config.admin_up = true;
      break;
    case v1::ADMIN_DOWN:
      config.admin_up = false;
      break;
    default:
      faults.AddInvalid("admin_state",
                        absl::StrCat(static_cast<int>(tunnel.admin_state()),
                                     "; want up or down"));
  }
}

// A number of the schema as one of a smaller type.
template <typename Number>
Number ReadSmall(absl::string_view field, uint32_t value,
                 absl::string_view wanted, Faults& faults) {
  if (value <= std::numeric_limits<Number>::max()) {
    return static_cast<Number>(value);
  }
  faults.AddInvalid(field, absl::StrCat(value, "; want ", wanted));
  return 0;
}

void ReadNumbers(const v1::Tunnel& tunnel, encap::EncapConfig& encap,
                 Faults& faults) {
  encap.udp_port =
      ReadSmall<uint16_t>("udp_port", tunnel.udp_port(),
                          "1 to 65535, or 0 for the default", faults);
  encap.udp_source_port =
      ReadSmall<uint16_t>("udp_source_port", tunnel.udp_source_port(),
                          "1 to 65535, or 0 for auto", faults);
  encap.udp_zero_checksum = tunnel.udp_zero_checksum();
  if (tunnel.has_encap_limit()) {
    encap.encap_limit = ReadSmall<uint8_t>("encap_limit", tunnel.encap_limit(),
                                           "0 to 255, or none", faults);
  }
  if (tunnel.has_mss_clamp()) {
    encap.mss_clamp =
        ReadSmall<uint16_t>("mss_clamp", tunnel.mss_clamp(),
                            "536 to 65495, 0 for auto, or off", faults);
  }
}

using Texts = google::protobuf::RepeatedPtrField<std::string>;

void ReadPrefixes(absl::string_view field, const Texts& texts,
                  absl::string_view example, std::vector<encap::IpPrefix>& out,
                  Faults& faults) {
  for (int i = 0; i < texts.size(); ++i) {
    // A bad one too, to keep the indices of those behind.
    const auto prefix = encap::IpPrefix::Parse(texts[i]);
    out.push_back(prefix.value_or(encap::IpPrefix()));
    if (prefix) continue;
    faults.AddInvalid(
        absl::StrCat(field, "[", i, "]"),
        absl::StrCat("\"", absl::CHexEscape(texts[i]),
                     "\" is not an address with prefix length, like ",
                     example));
  }
}

void WritePrefixes(const std::vector<encap::IpPrefix>& prefixes, Texts& out) {
  for (const encap::IpPrefix& prefix : prefixes) *out.Add() = prefix.ToString();
}

void WriteKeys(const encap::EncapConfig& encap, v1::Tunnel& out) {
  if (encap.input_key && encap.input_key == encap.output_key) {
    out.set_key(*encap.input_key);
    return;
  }
  if (encap.input_key) out.set_input_key(*encap.input_key);
  if (encap.output_key) out.set_output_key(*encap.output_key);
}

void WriteLaterFields(const EndpointConfig& config, v1::Tunnel& out) {
  const encap::EncapConfig& encap = config.encap;
  if (encap.encap_limit) out.set_encap_limit(*encap.encap_limit);
  out.set_transport(ToProto(encap.transport));
  out.set_udp_port(encap.udp_port);
  out.set_udp_source_port(encap.udp_source_port);
  out.set_udp_zero_checksum(encap.udp_zero_checksum);
  out.set_fragment(ToProto(encap.fragment));
  WritePrefixes(encap.allowed_sources, *out.mutable_allowed_ips());
  if (encap.mss_clamp) out.set_mss_clamp(*encap.mss_clamp);
  out.set_rate(config.rate);
  out.set_burst(config.burst);
  out.set_datapath(ToProto(config.datapath));
}

}  // namespace

EndpointConfig ConfigFromProto(const v1::Tunnel& tunnel, Faults& faults) {
  EndpointConfig config;
  config.name = tunnel.name();
  ReadMode(tunnel, config, faults);
  ReadLocal(tunnel.local(), config, faults);
  ReadRemote(tunnel.remote(), config, faults);
  ReadKeys(tunnel, config);
  config.encap.checksum = tunnel.checksum();
  config.encap.sequence = tunnel.sequence();
  ReadTtlAndTos(tunnel, config, faults);
  ReadEnums(tunnel, config, faults);
  if (tunnel.has_mtu()) config.mtu = tunnel.mtu();
  config.underlay_device = tunnel.underlay_device();
  config.fwmark = tunnel.fwmark();
  ReadPrefixes("addresses", tunnel.addresses(), "10.9.0.1/30", config.addresses,
               faults);
  config.queues = tunnel.queues();
  config.txqueuelen = tunnel.txqueuelen();
  config.rate = tunnel.rate();
  config.burst = tunnel.burst();
  ReadNumbers(tunnel, config.encap, faults);
  ReadPrefixes("allowed_ips", tunnel.allowed_ips(), "10.9.0.0/16",
               config.encap.allowed_sources, faults);
  config.labels.insert(tunnel.labels().begin(), tunnel.labels().end());
  faults.Merge(Validate(config));
  return config;
}

absl::StatusOr<EndpointConfig> ConfigFromProto(const v1::Tunnel& tunnel) {
  Faults faults;
  EndpointConfig config = ConfigFromProto(tunnel, faults);
  if (!faults.empty()) return faults.ToStatus();
  return config;
}

v1::Tunnel SpecToProto(const EndpointConfig& config) {
  v1::Tunnel out;
  out.set_name(config.name);
  out.set_mode(ToProto(config.encap.mode));
  out.set_local(LocalText(config));
  out.set_remote(RemoteText(config));
  WriteKeys(config.encap, out);
  out.set_checksum(config.encap.checksum);
  out.set_sequence(config.encap.sequence);
  if (config.encap.ttl) {
    out.set_ttl(*config.encap.ttl);
  } else {
    out.set_ttl_inherit(true);
  }
  if (config.encap.tos) out.set_tos(*config.encap.tos);
  out.set_df(ToProto(config.encap.df));
  out.set_ecn(ToProto(config.encap.ecn));
  if (config.mtu) out.set_mtu(*config.mtu);
  out.set_underlay_device(config.underlay_device);
  out.set_fwmark(config.fwmark);
  WritePrefixes(config.addresses, *out.mutable_addresses());
  out.set_queues(config.queues);
  out.set_txqueuelen(config.txqueuelen);
  out.set_steering(ToProto(config.steering));
  out.set_admin_state(config.admin_up ? v1::ADMIN_UP : v1::ADMIN_DOWN);
  for (const auto& [key, value] : config.labels) {
    (*out.mutable_labels())[key] = value;
  }
  WriteLaterFields(config, out);
  return out;
}

v1::FieldChange DifferenceToProto(const FieldDifference& difference) {
  v1::FieldChange out;
  out.set_field(difference.field);
  out.set_old_value(difference.old_value);
  out.set_new_value(difference.new_value);
  return out;
}

v1::Tunnel ViewToProto(const TunnelView& view) {
  v1::Tunnel out = SpecToProto(view.config);
  out.set_oper_state(ToProto(view.oper_state));
  out.set_oper_reason(view.oper_reason);
  out.set_ifindex(view.ifindex);
  out.set_effective_local(view.effective_local.ToString());
  out.set_effective_mtu(view.effective_mtu);
  out.set_mtu_reason(view.mtu_reason);
  out.set_overhead(view.overhead);
  out.set_generation(view.generation);
  *out.mutable_create_time() = TimeToProto(view.create_time);
  *out.mutable_update_time() = TimeToProto(view.update_time);
  out.set_paused(view.paused);
  out.set_detached(view.detached);
  if (view.overlap_until) {
    *out.mutable_overlap_until() = TimeToProto(*view.overlap_until);
  }
  out.set_datapath_in_use(ToProto(view.datapath_in_use));
  out.set_datapath_reason(view.datapath_reason);
  out.set_kernel_steering(view.kernel_steering);
  out.set_next_hop(view.next_hop);
  out.set_next_hop_reason(view.next_hop_reason);
  out.set_etag(view.etag);
  return out;
}

}  // namespace tunnel::ctl
