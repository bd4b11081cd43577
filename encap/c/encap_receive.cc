#include <optional>
#include <span>

#include "encap/c/convert.h"
#include "encap/c/encap.h"
#include "encap/c/handles.h"
#include "encap/endpoint_map.h"

using encap::DropReason;
using encap::EncapConfig;
using encap::c::CreateFrom;
using encap::c::Guarded;
using encap::c::Number;
using encap::c::ToPacket;
using encap::c::Update;

struct encap_map {
  encap::EndpointMap map;
};

namespace {

// As in batch.cc.
constexpr size_t kAhead = 16;

DropReason Decapsulate(const encap_input_tunnel& tunnel,
                       encap::PacketBuffer& packet,
                       const encap::OuterInfo& outer) noexcept {
  encap_input_state& state = *tunnel.state;
  encap::InputState input{state.last_sequence, state.seen_sequence != 0};
  const DropReason reason =
      tunnel.decapsulator->decapsulator.Decapsulate(packet, outer, input);
  state = {input.last_sequence, input.seen_sequence};
  return reason;
}

struct BatchInput {
  const encap::EndpointMap& map;
  std::span<const encap_input_tunnel> tunnels;
  const encap::ParseOptions& options;

  DropReason Deliver(encap::PacketBuffer& packet,
                     uint32_t& tunnel) const noexcept {
    encap::OuterInfo outer;
    const DropReason reason = encap::ParseOuter(packet.bytes(), options, outer);
    if (reason != DropReason::kNone) return reason;
    const encap::EndpointMap::Found found = map.Find(outer);
    if (found.why != DropReason::kNone) return found.why;
    tunnel = found.tunnel;
    if (tunnel >= tunnels.size() || tunnels[tunnel].decapsulator == nullptr) {
      return DropReason::kDown;
    }
    return Decapsulate(tunnels[tunnel], packet, outer);
  }
};

}  // namespace

encap_drop encap_parse_outer(const uint8_t* packet, size_t length,
                             uint32_t flags, encap_outer* outer) {
  encap::OuterInfo info;
  const DropReason reason = encap::ParseOuter(
      {packet, length}, encap::c::ToParseOptions(flags), info);
  if (reason == DropReason::kNone) *outer = encap::c::FromOuter(info);
  return Number(reason);
}

encap_status encap_decapsulator_create(const encap_config* config,
                                       encap_decapsulator** decapsulator) {
  return CreateFrom(config, decapsulator);
}

void encap_decapsulator_destroy(encap_decapsulator* decapsulator) {
  delete decapsulator;
}

encap_drop encap_decapsulate(const encap_decapsulator* decapsulator,
                             encap_packet* packet, const encap_outer* outer,
                             encap_input_state* state) {
  encap::PacketBuffer buffer = ToPacket(*packet);
  const DropReason reason =
      Decapsulate({decapsulator, state}, buffer, encap::c::ToOuter(*outer));
  Update(buffer, *packet);
  return Number(reason);
}

encap_status encap_map_create(encap_map** map) {
  return Guarded([&]() -> encap_status {
    *map = new encap_map;
    return ENCAP_OK;
  });
}

encap_status encap_map_copy(const encap_map* map, encap_map** copy) {
  return Guarded([&]() -> encap_status {
    *copy = new encap_map(*map);
    return ENCAP_OK;
  });
}

void encap_map_destroy(encap_map* map) { delete map; }

encap_status encap_map_insert(encap_map* map, const encap_config* config,
                              uint32_t tunnel, uint32_t* holder) {
  return Guarded([&]() -> encap_status {
    EncapConfig valid;
    const encap_status status = encap::c::ToValidConfig(*config, valid);
    if (status != ENCAP_OK) return status;
    const std::optional<uint32_t> held = map->map.Insert(valid, tunnel);
    if (!held) return ENCAP_OK;
    if (holder != nullptr) *holder = *held;
    return ENCAP_IN_USE;
  });
}

encap_status encap_map_erase(encap_map* map, const encap_config* config,
                             uint32_t tunnel) {
  return Guarded([&]() -> encap_status {
    EncapConfig valid;
    const encap_status status = encap::c::ToValidConfig(*config, valid);
    if (status != ENCAP_OK) return status;
    return map->map.Erase(valid, tunnel) ? ENCAP_OK : ENCAP_NOT_FOUND;
  });
}

encap_drop encap_map_find(const encap_map* map, const encap_outer* outer,
                          uint32_t* tunnel) {
  const encap::EndpointMap::Found found =
      map->map.Find(encap::c::ToOuter(*outer));
  if (found.why == DropReason::kNone) *tunnel = found.tunnel;
  return Number(found.why);
}

size_t encap_decapsulate_batch(const encap_map* map,
                               const encap_input_tunnel* tunnels,
                               size_t tunnel_count, uint32_t flags,
                               encap_packet* packets, size_t count,
                               encap_input_result* results) {
  const encap::ParseOptions options = encap::c::ToParseOptions(flags);
  const BatchInput input{map->map, {tunnels, tunnel_count}, options};
  size_t taken = 0;
  for (size_t i = 0; i < count; ++i) {
    if (i + kAhead < count) {
      const encap_packet& next = packets[i + kAhead];
      __builtin_prefetch(next.storage + next.offset, 1);
    }
    encap::PacketBuffer packet = ToPacket(packets[i]);
    results[i] = {ENCAP_NO_TUNNEL, ENCAP_NOT_DROPPED, {}};
    const DropReason reason = input.Deliver(packet, results[i].tunnel);
    Update(packet, packets[i]);
    results[i].drop = Number(reason);
    if (reason == DropReason::kNone) ++taken;
  }
  return taken;
}
