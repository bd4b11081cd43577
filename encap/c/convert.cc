#include "encap/c/convert.h"

#include <algorithm>
#include <cstring>

namespace encap::c {
namespace {

static_assert(ENCAP_HEADROOM == kMaxEncapHeadroom);
static_assert(ENCAP_GRETAP == static_cast<int>(Mode::kGretap));
static_assert(ENCAP_DF_INHERIT == static_cast<int>(DfPolicy::kInherit));
static_assert(ENCAP_ECN_COMPAT == static_cast<int>(EcnMode::kCompat));
static_assert(ENCAP_OVER_UDP == static_cast<int>(OuterTransport::kUdp));
static_assert(ENCAP_FRAGMENT_NONE == static_cast<int>(FragmentPolicy::kNone));

// Copies a struct that begins with its size over one of this library that has
// its defaults. ENCAP_TOO_NEW where bytes that the library does not know are
// not zero.
template <typename Struct>
encap_status CopySized(const Struct& from, Struct& to) {
  const size_t size = from.size;
  if (size < sizeof(uint32_t)) return ENCAP_INVALID;
  const auto* bytes = reinterpret_cast<const uint8_t*>(&from);
  for (size_t i = sizeof(Struct); i < size; ++i) {
    if (bytes[i] != 0) return ENCAP_TOO_NEW;
  }
  std::memcpy(static_cast<void*>(&to), bytes, std::min(size, sizeof(Struct)));
  return ENCAP_OK;
}

bool NumbersMeanSomething(const encap_config& from) {
  return from.mode <= ENCAP_GRETAP && from.df <= ENCAP_DF_INHERIT &&
         from.ecn <= ENCAP_ECN_COMPAT && from.transport <= ENCAP_OVER_UDP &&
         from.fragment <= ENCAP_FRAGMENT_NONE && from.reserved == 0 &&
         from.tos >= -1 && from.tos <= 255 && from.encap_limit >= -1 &&
         from.encap_limit <= 255;
}

bool ToPrefixes(const encap_config& from, EncapConfig& to) {
  for (size_t i = 0; i < from.allowed_source_count; ++i) {
    const encap_prefix& prefix = from.allowed_sources[i];
    const std::optional<IpAddress> address = ToAddress(prefix.address);
    if (!address || prefix.length > 8 * address->bytes().size()) return false;
    to.allowed_sources.push_back({*address, prefix.length});
  }
  return true;
}

}  // namespace

encap_status ToConfig(const encap_config& from, EncapConfig& to) {
  encap_config config;
  encap_config_init(&config, sizeof(config));
  const encap_status status = CopySized(from, config);
  if (status != ENCAP_OK) return status;
  const std::optional<IpAddress> local = ToAddress(config.local);
  const std::optional<IpAddress> remote = ToAddress(config.remote);
  if (!local || !remote || !NumbersMeanSomething(config)) return ENCAP_INVALID;
  to = EncapConfig();
  to.mode = static_cast<Mode>(config.mode);
  to.local = *local;
  to.remote = *remote;
  if (config.has_input_key) to.input_key = config.input_key;
  if (config.has_output_key) to.output_key = config.output_key;
  to.checksum = config.checksum != 0;
  to.sequence = config.sequence != 0;
  to.ttl.reset();
  if (config.ttl != 0) to.ttl = config.ttl;
  if (config.tos >= 0) to.tos = static_cast<uint8_t>(config.tos);
  to.df = static_cast<DfPolicy>(config.df);
  to.ecn = static_cast<EcnMode>(config.ecn);
  if (config.encap_limit >= 0) {
    to.encap_limit = static_cast<uint8_t>(config.encap_limit);
  }
  to.transport = static_cast<OuterTransport>(config.transport);
  to.udp_port = config.udp_port;
  to.udp_source_port = config.udp_source_port;
  to.udp_zero_checksum = config.udp_zero_checksum != 0;
  to.fragment = static_cast<FragmentPolicy>(config.fragment);
  return ToPrefixes(config, to) ? ENCAP_OK : ENCAP_INVALID;
}

encap_status ToValidConfig(const encap_config& from, EncapConfig& to) {
  const encap_status status = ToConfig(from, to);
  if (status != ENCAP_OK) return status;
  return Validate(to).empty() ? ENCAP_OK : ENCAP_INVALID;
}

std::optional<IpAddress> ToAddress(const encap_address& from) noexcept {
  switch (from.family) {
    case 0:
      return IpAddress();
    case 4:
      return IpAddress::V4(from.bytes);
    case 6:
      return IpAddress::V6(from.bytes);
    default:
      return std::nullopt;
  }
}

encap_address FromAddress(const IpAddress& from) noexcept {
  encap_address to = {};
  to.family = static_cast<uint8_t>(from.family());
  const std::span<const uint8_t> bytes = from.bytes();
  std::copy(bytes.begin(), bytes.end(), to.bytes);
  return to;
}

PacketBuffer ToPacket(const encap_packet& from) noexcept {
  PacketBuffer to({from.storage, from.capacity}, from.offset, from.length);
  to.hint() = {static_cast<GsoType>(from.gso_type),
               from.tcp_ecn != 0,
               from.needs_checksum != 0,
               from.gso_size,
               from.header_len,
               from.checksum_start,
               from.checksum_offset};
  return to;
}

void Update(const PacketBuffer& from, encap_packet& to) noexcept {
  to.offset = from.headroom();
  to.length = from.size();
  const SegmentHint& hint = from.hint();
  to.gso_type = static_cast<uint8_t>(hint.gso_type);
  to.tcp_ecn = hint.tcp_ecn;
  to.needs_checksum = hint.needs_checksum;
  to.gso_size = hint.gso_size;
  to.header_len = hint.header_len;
  to.checksum_start = hint.checksum_start;
  to.checksum_offset = hint.checksum_offset;
}

OuterInfo ToOuter(const encap_outer& from) noexcept {
  OuterInfo to;
  to.addresses = {ToAddress(from.local).value_or(IpAddress()),
                  ToAddress(from.remote).value_or(IpAddress())};
  to.protocol = from.protocol;
  to.tos = from.tos;
  to.ttl = from.ttl;
  to.ip_header_len = from.ip_header_len;
  to.header_len = from.header_len;
  to.total_len = from.total_len;
  to.udp_port = from.udp_port;
  to.has_udp_checksum = from.has_udp_checksum != 0;
  to.gre_protocol = from.gre_protocol;
  to.has_checksum = from.has_checksum != 0;
  if (from.has_key) to.key = from.key;
  if (from.has_sequence) to.sequence = from.sequence;
  return to;
}

encap_outer FromOuter(const OuterInfo& from) noexcept {
  encap_outer to = {};
  to.local = FromAddress(from.addresses.local);
  to.remote = FromAddress(from.addresses.remote);
  to.protocol = from.protocol;
  to.tos = from.tos;
  to.ttl = from.ttl;
  to.has_checksum = from.has_checksum;
  to.has_udp_checksum = from.has_udp_checksum;
  to.has_key = from.key.has_value();
  to.has_sequence = from.sequence.has_value();
  to.ip_header_len = from.ip_header_len;
  to.header_len = from.header_len;
  to.udp_port = from.udp_port;
  to.gre_protocol = from.gre_protocol;
  to.total_len = from.total_len;
  to.key = from.key.value_or(0);
  to.sequence = from.sequence.value_or(0);
  return to;
}

ParseOptions ToParseOptions(uint32_t flags) noexcept {
  ParseOptions options;
  options.verify_header_checksum = (flags & ENCAP_PARSE_CHECKED) == 0;
  options.any_udp_port = (flags & ENCAP_PARSE_UDP) != 0;
  return options;
}

encap_status ToReassemblyOptions(const encap_reassembly_options& from,
                                 ReassemblyOptions& to) {
  encap_reassembly_options options;
  encap_reassembly_options_init(&options, sizeof(options));
  const encap_status status = CopySized(from, options);
  if (status != ENCAP_OK) return status;
  if (options.reserved != 0) return ENCAP_INVALID;
  to.max_packets = options.max_packets;
  to.max_bytes = options.max_bytes;
  to.max_fragments = options.max_fragments;
  to.timeout_ns = options.timeout_ns;
  to.hash_seed = options.hash_seed;
  return ENCAP_OK;
}

}  // namespace encap::c
