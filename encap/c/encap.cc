#include "encap/c/encap.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <optional>
#include <string>

#include "encap/batch.h"
#include "encap/c/convert.h"
#include "encap/c/handles.h"
#include "encap/checksum.h"
#include "encap/flow_hash.h"

using encap::DropReason;
using encap::EncapConfig;
using encap::c::CreateFrom;
using encap::c::Guarded;
using encap::c::Number;
using encap::c::ToPacket;
using encap::c::Update;

namespace {

// Packets that are converted at a time.
constexpr size_t kGroup = 32;

std::string FaultsOf(const EncapConfig& config) {
  std::string text;
  for (const encap::FieldError& error : encap::Validate(config)) {
    text += error.field + ": " + error.message + "\n";
  }
  if (!text.empty()) text.pop_back();
  return text;
}

}  // namespace

uint32_t encap_abi_version(void) { return ENCAP_ABI_VERSION; }

const char* encap_status_name(encap_status status) {
  static constexpr const char* kNames[] = {"ok",     "invalid",   "no_memory",
                                           "in_use", "not_found", "too_new"};
  const int64_t index = -int64_t{status};
  return index >= 0 && index < int64_t{std::size(kNames)} ? kNames[index]
                                                          : "unknown";
}

uint32_t encap_drop_count(void) { return encap::kDropReasonCount; }

// The names are made of string literals, which end in zero.
const char* encap_drop_name(encap_drop drop) {
  return drop < encap::kDropReasonCount
             ? encap::kDropReasonInfo[drop].name.data()
             : "unknown";
}

const char* encap_drop_text(encap_drop drop) {
  return drop < encap::kDropReasonCount
             ? encap::kDropReasonInfo[drop].text.data()
             : "unknown";
}

encap_status encap_address_parse(const char* text, encap_address* address) {
  const std::optional<encap::IpAddress> parsed = encap::IpAddress::Parse(text);
  if (!parsed) return ENCAP_INVALID;
  *address = encap::c::FromAddress(*parsed);
  return ENCAP_OK;
}

void encap_config_init(encap_config* config, size_t size) {
  encap_config defaults = {};
  defaults.size = static_cast<uint32_t>(size);
  defaults.ttl = 64;
  defaults.tos = -1;
  defaults.encap_limit = -1;
  std::memset(static_cast<void*>(config), 0, size);
  std::memcpy(static_cast<void*>(config), &defaults,
              std::min(size, sizeof(defaults)));
}

encap_status encap_config_check(const encap_config* config, char* message,
                                size_t message_size) {
  return Guarded([&]() -> encap_status {
    EncapConfig read;
    encap_status status = encap::c::ToConfig(*config, read);
    std::string text;
    if (status == ENCAP_OK) {
      text = FaultsOf(read);
      if (!text.empty()) status = ENCAP_INVALID;
    } else {
      text = status == ENCAP_TOO_NEW
                 ? "size: fields that this library does not have are set"
                 : "config: a number that stands for nothing";
    }
    if (message_size != 0) {
      const size_t n = std::min(text.size(), message_size - 1);
      std::memcpy(message, text.data(), n);
      message[n] = 0;
    }
    return status;
  });
}

uint32_t encap_overhead(const encap_config* config) {
  uint32_t overhead = 0;
  Guarded([&]() -> encap_status {
    EncapConfig valid;
    const encap_status status = encap::c::ToValidConfig(*config, valid);
    if (status == ENCAP_OK) overhead = encap::EncapOverhead(valid);
    return status;
  });
  return overhead;
}

encap_status encap_encapsulator_create(const encap_config* config,
                                       encap_encapsulator** encapsulator) {
  return CreateFrom(config, encapsulator);
}

void encap_encapsulator_destroy(encap_encapsulator* encapsulator) {
  delete encapsulator;
}

encap_drop encap_encapsulate(const encap_encapsulator* encapsulator,
                             encap_packet* packet, encap_output_state* state) {
  encap_drop drop = ENCAP_NOT_DROPPED;
  encap_encapsulate_batch(encapsulator, packet, 1, state, &drop);
  return drop;
}

size_t encap_encapsulate_batch(const encap_encapsulator* encapsulator,
                               encap_packet* packets, size_t count,
                               encap_output_state* state, encap_drop* drops) {
  encap::OutputState output{state->next_sequence, state->next_ipv4_id};
  std::array<encap::PacketBuffer, kGroup> group;
  std::array<DropReason, kGroup> reasons;
  size_t taken = 0;
  for (size_t done = 0; done < count;) {
    const size_t n = std::min(kGroup, count - done);
    std::transform(packets + done, packets + done + n, group.begin(), ToPacket);
    taken += EncapsulateBatch(encapsulator->encapsulator, {group.data(), n},
                              output, reasons);
    for (size_t i = 0; i < n; ++i) {
      Update(group[i], packets[done + i]);
      drops[done + i] = Number(reasons[i]);
    }
    done += n;
  }
  state->next_sequence = output.next_sequence;
  state->next_ipv4_id = output.next_ipv4_id;
  return taken;
}

int32_t encap_judge_size(const encap_encapsulator* encapsulator,
                         const encap_packet* packet, uint32_t path_mtu,
                         uint32_t* mtu) {
  static_assert(ENCAP_REFUSE == static_cast<int>(encap::SizeAction::kRefuse));
  const encap::SizeVerdict verdict =
      encapsulator->size_policy.Judge(ToPacket(*packet), path_mtu);
  if (mtu != nullptr) *mtu = verdict.mtu;
  return static_cast<int32_t>(verdict.action);
}

uint16_t encap_checksum(const void* bytes, size_t length) {
  return encap::InternetChecksum({static_cast<const uint8_t*>(bytes), length})
      .raw();
}

uint32_t encap_flow_hash(const void* packet, size_t length, uint64_t seed) {
  return encap::FlowHash({static_cast<const uint8_t*>(packet), length}, seed);
}
