#include "tunnel/bpf/eligibility.h"

#include <cstring>

#include "encap/bytes.h"
#include "encap/dscp_ecn.h"

namespace tunnel {
namespace {

using encap::EncapConfig;

void CopyAddress(const encap::IpAddress& address, uint32_t (&words)[4]) {
  std::memset(words, 0, sizeof(words));
  const auto bytes = address.bytes();
  std::memcpy(words, bytes.data(), bytes.size());
}

uint32_t OnTheWire(uint32_t host) { return encap::Be32(host).raw(); }

uint8_t DfOf(encap::DfPolicy policy) {
  switch (policy) {
    case encap::DfPolicy::kOn:
      return kFpDfOn;
    case encap::DfPolicy::kOff:
      return kFpDfOff;
    case encap::DfPolicy::kInherit:
      return kFpDfInherit;
  }
  return kFpDfOn;
}

}  // namespace

std::string WhyNeverFast(const EncapConfig& config) {
  if (config.mode == encap::Mode::kGretap) return "the payload is Ethernet";
  if (config.transport == encap::OuterTransport::kUdp) {
    // No helper notes in a super-packet that a checksum is wanted.
    if (config.remote.is_v6()) return "transport is udp over IPv6";
    if (!config.udp_zero_checksum) return "noudpcsum is not set";
  }
  if (config.checksum) return "checksum is on";
  if (config.sequence) return "seq is on";
  if (encap::IsWildcard(config.remote)) return "remote is any";
  if (config.encap_limit.has_value() && config.remote.is_v6())
    return "encaplimit is set";
  if (!config.allowed_sources.empty()) return "allowed-ips is set";
  if (config.mss_clamp.has_value()) return "mss-clamp is set";
  return "";
}

std::string WhyUserPath(const EncapConfig& config,
                        const FastSurroundings& around) {
  const std::string why = WhyNeverFast(config);
  if (!why.empty()) return why;
  if (!around.admin_up) return "administratively down";
  if (around.underlay_ifindex == 0) return "no route to the remote";
  if (!around.can_transmit) return "nothing can be sent now";
  if (around.underlay_is_tunnel) return "the route leads through a tunnel";
  if (!around.underlay_ethernet) return "the underlay is not Ethernet";
  if (around.has_xfrm_policy) return "IPsec policies are in force";
  return "";
}

fp_slot SlotFor(uint32_t tunnel_id, uint32_t device_ifindex,
                const FastRecord& record) {
  const EncapConfig& config = record.config;
  fp_slot slot{};
  slot.tunnel = tunnel_id;
  slot.device = device_ifindex;
  slot.underlay = record.underlay_ifindex;
  slot.bound = record.bound_ifindex;
  slot.mark = record.fwmark;
  slot.path_mtu = record.path_mtu;
  slot.family = config.remote.is_v6() ? 6 : 4;
  slot.is_gre = encap::IsGre(config.mode) ? 1 : 0;
  if (encap::Carries(config.mode, encap::IpFamily::kV4))
    slot.carries |= kFpCarriesV4;
  if (encap::Carries(config.mode, encap::IpFamily::kV6))
    slot.carries |= kFpCarriesV6;
  slot.df = DfOf(config.df);
  slot.tos_fixed =
      encap::WithEcn(encap::EncapsulateDscp(config.tos, 0),
                     encap::EncapsulateEcn(config.ecn, encap::Ecn::kNotEct));
  const uint8_t all =
      encap::WithEcn(encap::EncapsulateDscp(config.tos, encap::kDscpMask),
                     encap::EncapsulateEcn(config.ecn, encap::Ecn::kCe));
  slot.tos_copied = static_cast<uint8_t>(all & ~slot.tos_fixed);
  slot.ttl_fixed = config.ttl.value_or(0);
  slot.ttl_copied = config.ttl.has_value() ? 0 : 0xff;
  slot.has_output_key = config.output_key.has_value() ? 1 : 0;
  slot.output_key = OnTheWire(config.output_key.value_or(0));
  slot.has_input_key = config.input_key.has_value() ? 1 : 0;
  slot.input_key = OnTheWire(config.input_key.value_or(0));
  if (config.transport == encap::OuterTransport::kUdp) {
    slot.udp_port = encap::Be16(encap::UdpPort(config)).raw();
    slot.udp_source_port = encap::Be16(config.udp_source_port).raw();
  }
  CopyAddress(config.remote, slot.remote);
  CopyAddress(config.local, slot.local);
  return slot;
}

fp_input_key InputKeyFor(const FastInputKey& key) {
  fp_input_key raw{};
  raw.family = key.addresses.local.is_v6() ? 6 : 4;
  raw.protocol = key.protocol;
  raw.has_key = key.key.has_value() ? 1 : 0;
  raw.ifindex = key.ifindex;
  raw.key = OnTheWire(key.key.value_or(0));
  raw.udp_port = encap::Be16(key.udp_port).raw();
  CopyAddress(key.addresses.remote, raw.remote);
  CopyAddress(key.addresses.local, raw.local);
  return raw;
}

}  // namespace tunnel
