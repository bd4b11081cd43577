#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>
#include <utility>

#include "encap/c/convert.h"
#include "encap/c/encap.h"
#include "encap/c/handles.h"
#include "encap/icmp_error.h"
#include "encap/icmp_quote.h"
#include "encap/pmtu.h"
#include "encap/reassembly.h"

using encap::EncapConfig;
using encap::c::Guarded;
using encap::c::ToPacket;
using encap::c::Update;

struct encap_reassembler {
  explicit encap_reassembler(const encap::ReassemblyOptions& options)
      : reassembler(options) {}
  encap::Reassembler reassembler;
};

struct encap_path_mtu {
  EncapConfig config;
  encap::PathMtu path;
};

void encap_reassembly_options_init(encap_reassembly_options* options,
                                   size_t size) {
  const encap::ReassemblyOptions defaults;
  encap_reassembly_options init = {};
  init.size = static_cast<uint32_t>(size);
  init.max_packets = static_cast<uint32_t>(defaults.max_packets);
  init.max_bytes = defaults.max_bytes;
  init.timeout_ns = defaults.timeout_ns;
  init.hash_seed = defaults.hash_seed;
  init.max_fragments = static_cast<uint32_t>(defaults.max_fragments);
  std::memset(static_cast<void*>(options), 0, size);
  std::memcpy(static_cast<void*>(options), &init, std::min(size, sizeof(init)));
}

encap_status encap_reassembler_create(const encap_reassembly_options* options,
                                      encap_reassembler** reassembler) {
  return Guarded([&]() -> encap_status {
    encap::ReassemblyOptions read;
    if (options != nullptr) {
      const encap_status status = encap::c::ToReassemblyOptions(*options, read);
      if (status != ENCAP_OK) return status;
    }
    *reassembler = new encap_reassembler(read);
    return ENCAP_OK;
  });
}

void encap_reassembler_destroy(encap_reassembler* reassembler) {
  delete reassembler;
}

int32_t encap_reassembler_add(encap_reassembler* reassembler,
                              encap_packet* packet, uint64_t now_ns) {
  static_assert(ENCAP_DROPPED ==
                static_cast<int>(encap::ReassemblyVerdict::kDropped));
  encap::PacketBuffer buffer = ToPacket(*packet);
  const encap::ReassemblyVerdict verdict =
      reassembler->reassembler.Add(buffer, now_ns);
  if (verdict == encap::ReassemblyVerdict::kComplete) {
    packet->storage = buffer.data() - buffer.headroom();
    packet->capacity = buffer.headroom() + buffer.size() + buffer.tailroom();
    Update(buffer, *packet);
  }
  return static_cast<int32_t>(verdict);
}

void encap_reassembler_expire(encap_reassembler* reassembler, uint64_t now_ns) {
  reassembler->reassembler.Expire(now_ns);
}

uint64_t encap_reassembler_dropped(const encap_reassembler* reassembler) {
  const auto& dropped = reassembler->reassembler.stats().dropped;
  return std::accumulate(dropped.begin(), dropped.end(), uint64_t{0});
}

encap_status encap_path_mtu_create(const encap_config* config,
                                   uint32_t underlay_mtu,
                                   encap_path_mtu** path) {
  return Guarded([&]() -> encap_status {
    EncapConfig valid;
    const encap_status status = encap::c::ToValidConfig(*config, valid);
    if (status != ENCAP_OK) return status;
    const encap::PathMtu start(valid.remote.family(), underlay_mtu);
    *path = new encap_path_mtu{std::move(valid), start};
    return ENCAP_OK;
  });
}

void encap_path_mtu_destroy(encap_path_mtu* path) { delete path; }

uint32_t encap_path_mtu_value(const encap_path_mtu* path) {
  return path->path.value();
}

int32_t encap_path_mtu_learn(encap_path_mtu* path, const uint8_t* message,
                             size_t length, uint64_t now_ns) {
  const std::optional<encap::OuterError> error =
      encap::ParseIcmpError({message, length}, path->config.remote.family());
  if (!error || error->kind != encap::IcmpErrorKind::kTooBig ||
      !IsQuoteOf(*error, path->config)) {
    return 0;
  }
  return path->path.Learn(error->head.info, error->packet_len, now_ns);
}

int32_t encap_path_mtu_age(encap_path_mtu* path, uint64_t now_ns) {
  return path->path.Age(now_ns);
}

size_t encap_compose_icmp_error(int32_t error, uint32_t info,
                                const uint8_t* packet, size_t length,
                                const encap_address* source, uint8_t* out,
                                size_t out_size) {
  using Kind = encap::InnerError::Kind;
  static_assert(ENCAP_ICMP_PARAMETER_PROBLEM ==
                static_cast<int>(Kind::kParameterProblem));
  const auto address = encap::c::ToAddress(*source);
  if (error < 0 || error > ENCAP_ICMP_PARAMETER_PROBLEM || !address) return 0;
  return ComposeIcmpError({static_cast<Kind>(error), info}, {packet, length},
                          *address, {out, out_size});
}
