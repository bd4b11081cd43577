#include "ctl/convert.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ctl/wire_time.h"

namespace tunnel::ctl {
namespace {

constexpr uint32_t kDefaultTtl = 64;

std::optional<encap::Mode> ModeFromProto(v1::Mode mode) {
  switch (mode) {
    case v1::GIF:
      return encap::Mode::kGif;
    case v1::IPIP:
      return encap::Mode::kIpip;
    case v1::SIT:
      return encap::Mode::kSit;
    case v1::IP6IP6:
      return encap::Mode::kIp6ip6;
    case v1::GRE:
      return encap::Mode::kGre;
    case v1::GRETAP:
      return encap::Mode::kGretap;
    default:
      return std::nullopt;
  }
}

v1::Mode ModeToProto(encap::Mode mode) {
  switch (mode) {
    case encap::Mode::kGif:
      return v1::GIF;
    case encap::Mode::kIpip:
      return v1::IPIP;
    case encap::Mode::kSit:
      return v1::SIT;
    case encap::Mode::kIp6ip6:
      return v1::IP6IP6;
    case encap::Mode::kGre:
      return v1::GRE;
    case encap::Mode::kGretap:
      return v1::GRETAP;
  }
  return v1::MODE_UNSPECIFIED;
}

void ReadMode(const v1::Tunnel& tunnel, EndpointConfig& config,
              Faults& faults) {
  const std::optional<encap::Mode> mode = ModeFromProto(tunnel.mode());
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

void ReadEnums(const v1::Tunnel& tunnel, EndpointConfig& config,
               Faults& faults) {
  switch (tunnel.df()) {
    case v1::DF_UNSPECIFIED:
    case v1::DF_ON:
      config.encap.df = encap::DfPolicy::kOn;
      break;
    case v1::DF_OFF:
      config.encap.df = encap::DfPolicy::kOff;
      break;
    case v1::DF_INHERIT:
      config.encap.df = encap::DfPolicy::kInherit;
      break;
    default:
      faults.AddInvalid("df", absl::StrCat(static_cast<int>(tunnel.df()),
                                           "; want on, off or inherit"));
  }
  switch (tunnel.ecn()) {
    case v1::ECN_UNSPECIFIED:
    case v1::ECN_NORMAL:
      config.encap.ecn = encap::EcnMode::kNormal;
      break;
    case v1::ECN_COMPAT:
      config.encap.ecn = encap::EcnMode::kCompat;
      break;
    default:
      faults.AddInvalid("ecn", absl::StrCat(static_cast<int>(tunnel.ecn()),
                                            "; want normal or compat"));
  }
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

void ReadPrefixes(const v1::Tunnel& tunnel, EndpointConfig& config,
                  Faults& faults) {
  for (int i = 0; i < tunnel.addresses_size(); ++i) {
    const std::string& text = tunnel.addresses(i);
    if (const auto prefix = encap::IpPrefix::Parse(text)) {
      config.addresses.push_back(*prefix);
    } else {
      config.addresses.emplace_back();  // keeps the indices of those behind
      faults.AddInvalid(
          absl::StrCat("addresses[", i, "]"),
          absl::StrCat("\"", absl::CHexEscape(text),
                       "\" is not an address with prefix length, like "
                       "10.9.0.1/30"));
    }
  }
}

void WriteKeys(const encap::EncapConfig& encap, v1::Tunnel& out) {
  if (encap.input_key && encap.input_key == encap.output_key) {
    out.set_key(*encap.input_key);
    return;
  }
  if (encap.input_key) out.set_input_key(*encap.input_key);
  if (encap.output_key) out.set_output_key(*encap.output_key);
}

v1::DfPolicy DfToProto(encap::DfPolicy df) {
  switch (df) {
    case encap::DfPolicy::kOn:
      return v1::DF_ON;
    case encap::DfPolicy::kOff:
      return v1::DF_OFF;
    case encap::DfPolicy::kInherit:
      return v1::DF_INHERIT;
  }
  return v1::DF_UNSPECIFIED;
}

v1::OperState OperStateToProto(OperState state) {
  switch (state) {
    case OperState::kUp:
      return v1::OPER_UP;
    case OperState::kDown:
      return v1::OPER_DOWN;
    case OperState::kPaused:
      return v1::OPER_PAUSED;
    case OperState::kDetached:
      return v1::OPER_DETACHED;
    case OperState::kFailed:
      return v1::OPER_FAILED;
    case OperState::kLoop:
      return v1::OPER_LOOP;
  }
  return v1::OPER_STATE_UNSPECIFIED;
}

}  // namespace

EndpointConfig ConfigFromProto(const v1::Tunnel& tunnel, Faults& faults) {
  EndpointConfig config;
  config.name = tunnel.name();
  ReadMode(tunnel, config, faults);
  ReadLocal(tunnel.local(), config, faults);
  ReadAddress("remote", tunnel.remote(), config.encap.remote, faults);
  ReadKeys(tunnel, config);
  config.encap.checksum = tunnel.checksum();
  config.encap.sequence = tunnel.sequence();
  ReadTtlAndTos(tunnel, config, faults);
  ReadEnums(tunnel, config, faults);
  if (tunnel.has_mtu()) config.mtu = tunnel.mtu();
  config.underlay_device = tunnel.underlay_device();
  config.fwmark = tunnel.fwmark();
  ReadPrefixes(tunnel, config, faults);
  config.queues = tunnel.queues();
  config.txqueuelen = tunnel.txqueuelen();
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
  out.set_mode(ModeToProto(config.encap.mode));
  out.set_local(LocalText(config));
  out.set_remote(config.encap.remote.ToString());
  WriteKeys(config.encap, out);
  out.set_checksum(config.encap.checksum);
  out.set_sequence(config.encap.sequence);
  if (config.encap.ttl) {
    out.set_ttl(*config.encap.ttl);
  } else {
    out.set_ttl_inherit(true);
  }
  if (config.encap.tos) out.set_tos(*config.encap.tos);
  out.set_df(DfToProto(config.encap.df));
  out.set_ecn(config.encap.ecn == encap::EcnMode::kCompat ? v1::ECN_COMPAT
                                                          : v1::ECN_NORMAL);
  if (config.mtu) out.set_mtu(*config.mtu);
  out.set_underlay_device(config.underlay_device);
  out.set_fwmark(config.fwmark);
  for (const encap::IpPrefix& prefix : config.addresses) {
    out.add_addresses(prefix.ToString());
  }
  out.set_queues(config.queues);
  out.set_txqueuelen(config.txqueuelen);
  out.set_admin_state(config.admin_up ? v1::ADMIN_UP : v1::ADMIN_DOWN);
  for (const auto& [key, value] : config.labels) {
    (*out.mutable_labels())[key] = value;
  }
  return out;
}

v1::Tunnel ViewToProto(const TunnelView& view) {
  v1::Tunnel out = SpecToProto(view.config);
  out.set_oper_state(OperStateToProto(view.oper_state));
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
  out.set_etag(view.etag);
  return out;
}

}  // namespace tunnel::ctl
