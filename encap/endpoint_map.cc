#include "encap/endpoint_map.h"

#include <utility>

#include "encap/wire/udp.h"

namespace encap {
namespace {

// Bits of a tag. A slot with a tag of 0 is free.
constexpr uint64_t kTunnel = 1;  // one identity
constexpr uint64_t kPair = 2;    // all tunnels between two addresses
constexpr uint64_t kLocal = 4;   // all tunnels that end at a local address
constexpr uint64_t kHasKey = 8;
constexpr uint64_t kIsV6 = 16;
constexpr int kProtocolShift = 8;
constexpr int kPortShift = 16;
constexpr int kKeyShift = 32;
constexpr uint64_t kKindAndKey =
    kTunnel | kPair | kLocal | kHasKey | uint64_t{0xffffffff} << kKeyShift;

constexpr size_t kLeastSlots = 16;

uint64_t KeyBits(const std::optional<uint32_t>& key) noexcept {
  return key ? kHasKey | uint64_t{*key} << kKeyShift : 0;
}

}  // namespace

EndpointMap::EndpointMap() : slots_(kLeastSlots) {}

// Inline, with what Find() needs beside: it stands on the path of every packet.
[[gnu::always_inline]] inline EndpointMap::Key EndpointMap::KeyOf(
    const AddressPair& addresses, uint8_t protocol, uint16_t port,
    uint64_t bits) noexcept {
  Key key;
  key.addresses = {addresses.local.first_word(), addresses.local.second_word(),
                   addresses.remote.first_word(),
                   addresses.remote.second_word()};
  key.tag = kTunnel | bits | (addresses.local.is_v6() ? kIsV6 : 0) |
            uint64_t{port == 0 ? protocol : kProtoUdp} << kProtocolShift |
            uint64_t{port} << kPortShift;
  return key;
}

[[gnu::always_inline]] inline EndpointMap::Key EndpointMap::KeyOf(
    const OuterInfo& outer) noexcept {
  return KeyOf(outer.addresses, outer.protocol, outer.udp_port,
               KeyBits(outer.key));
}

EndpointMap::Key EndpointMap::WithAnyRemote(Key key) noexcept {
  key.addresses[2] = key.addresses[3] = 0;
  return key;
}

EndpointMap::Key EndpointMap::PairOf(Key key) noexcept {
  key.tag = (key.tag & ~kKindAndKey) | kPair;
  return key;
}

EndpointMap::Key EndpointMap::LocalOf(Key key) noexcept {
  key = WithAnyRemote(key);
  key.tag = (key.tag & ~kKindAndKey) | kLocal;
  return key;
}

EndpointMap::Keys EndpointMap::KeysOf(const EncapConfig& config) noexcept {
  const AddressPair pair{config.local, config.remote};
  const uint64_t bits = KeyBits(config.input_key);
  if (config.transport == OuterTransport::kUdp) {
    return {KeyOf(pair, kProtoUdp, UdpPort(config), bits), Key{}};
  }
  switch (config.mode) {
    case Mode::kGif:
      return {KeyOf(pair, kProtoIpip, 0, bits),
              KeyOf(pair, kProtoIpv6, 0, bits)};
    case Mode::kIpip:
      return {KeyOf(pair, kProtoIpip, 0, bits), Key{}};
    case Mode::kSit:
    case Mode::kIp6ip6:
      return {KeyOf(pair, kProtoIpv6, 0, bits), Key{}};
    case Mode::kGre:
    case Mode::kGretap:
      break;
  }
  return {KeyOf(pair, kProtoGre, 0, bits), Key{}};
}

[[gnu::always_inline]] inline size_t EndpointMap::Home(
    const Key& key) const noexcept {
  // Odd numbers with bits in no order. The products run side by side; a product
  // carries upwards alone, so its upper half is folded down and spread once
  // more.
  uint64_t hash = key.addresses[0] * 0x9fb21c651e98df25 ^
                  key.addresses[1] * 0xd6e8feb86659fd93 ^
                  key.addresses[2] * 0xa0761d6478bd642f ^
                  key.addresses[3] * 0xe7037ed1a0b428db ^
                  key.tag * 0x8ebc6af09c88c6e3;
  hash = (hash ^ hash >> 32) * 0x9fb21c651e98df25;
  return (hash ^ hash >> 32) & (slots_.size() - 1);
}

[[gnu::always_inline]] inline const EndpointMap::Slot* EndpointMap::FindSlot(
    const Key& key) const noexcept {
  size_t at = Home(key);
  while (slots_[at].key.tag != 0) {
    if (slots_[at].key == key) return &slots_[at];
    at = (at + 1) & (slots_.size() - 1);
  }
  return nullptr;
}

EndpointMap::Slot& EndpointMap::Take(const Key& key) {
  if (const Slot* slot = FindSlot(key)) return const_cast<Slot&>(*slot);
  if (2 * (taken_ + 1) > slots_.size()) Grow();
  size_t at = Home(key);
  while (slots_[at].key.tag != 0) at = (at + 1) & (slots_.size() - 1);
  ++taken_;
  slots_[at].key = key;
  return slots_[at];
}

void EndpointMap::Grow() {
  const std::vector<Slot> before =
      std::exchange(slots_, std::vector<Slot>(2 * slots_.size()));
  for (const Slot& slot : before) {
    if (slot.key.tag == 0) continue;
    size_t at = Home(slot.key);
    while (slots_[at].key.tag != 0) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = slot;
  }
}

// What stands behind the slot moves up where it can, so that no search ends too
// early.
void EndpointMap::EraseSlot(const Key& key) noexcept {
  const size_t mask = slots_.size() - 1;
  size_t hole = static_cast<size_t>(FindSlot(key) - slots_.data());
  for (size_t at = (hole + 1) & mask; slots_[at].key.tag != 0;
       at = (at + 1) & mask) {
    if (((at - Home(slots_[at].key)) & mask) < ((at - hole) & mask)) continue;
    slots_[hole] = slots_[at];
    hole = at;
  }
  // In place: a stack need not hold what is aligned to a cache line.
  slots_[hole].key = Key{};
  slots_[hole].first = slots_[hole].second = 0;
  --taken_;
}

std::optional<uint32_t> EndpointMap::Insert(const EncapConfig& config,
                                            uint32_t tunnel) {
  const Keys keys = KeysOf(config);
  size_t own = 0;
  size_t wanted = 0;
  std::optional<uint32_t> holder;
  for (const Key& key : keys) {
    if (key.tag == 0) continue;
    ++wanted;
    const Slot* slot = FindSlot(key);
    if (slot == nullptr) continue;
    if (slot->first == tunnel) ++own;
    if (!holder || slot->first != tunnel) holder = slot->first;
  }
  if (holder) return own == wanted ? std::nullopt : holder;
  for (const Key& key : keys) {
    if (key.tag == 0) continue;
    Take(key).first = tunnel;
    Count(key, +1);
  }
  ++tunnels_;
  if (IsWildcard(config.remote)) ++wildcards_;
  return std::nullopt;
}

bool EndpointMap::Erase(const EncapConfig& config, uint32_t tunnel) {
  const Keys keys = KeysOf(config);
  for (const Key& key : keys) {
    if (key.tag == 0) continue;
    const Slot* holder = FindSlot(key);
    if (holder == nullptr || holder->first != tunnel) return false;
  }
  for (const Key& key : keys) {
    if (key.tag == 0) continue;
    EraseSlot(key);
    Count(key, -1);
  }
  --tunnels_;
  if (IsWildcard(config.remote)) --wildcards_;
  return true;
}

void EndpointMap::Count(const Key& key, int delta) {
  const bool has_key = (key.tag & kHasKey) != 0;
  CountOne(PairOf(key), has_key, delta);
  CountOne(LocalOf(key), has_key, delta);
}

void EndpointMap::CountOne(const Key& counted, bool has_key, int delta) {
  Slot& slot = Take(counted);
  (has_key ? slot.first : slot.second) += static_cast<uint32_t>(delta);
  if (slot.first + slot.second == 0) EraseSlot(counted);
}

EndpointMap::Found EndpointMap::Find(const OuterInfo& outer) const noexcept {
  const Key key = KeyOf(outer);
  if (const Slot* slot = FindSlot(key)) return {slot->first, DropReason::kNone};
  return FindOther(key, outer.addresses.remote);
}

EndpointMap::Found EndpointMap::FindOther(
    const Key& key, const IpAddress& remote) const noexcept {
  if (remote.IsMartianSource()) return {0, DropReason::kMartianSource};
  const Slot* slot = wildcards_ == 0 ? nullptr : FindSlot(WithAnyRemote(key));
  if (slot != nullptr) return {slot->first, DropReason::kNone};
  return {0, Explain(key)};
}

DropReason EndpointMap::Explain(const Key& key) const noexcept {
  const Slot* pair = FindSlot(PairOf(key));
  if (pair == nullptr) pair = FindSlot(PairOf(WithAnyRemote(key)));
  if (pair == nullptr) {
    return FindSlot(LocalOf(key)) != nullptr ? DropReason::kWrongSource
                                             : DropReason::kNoTunnel;
  }
  // Without a key only tunnels with one can have missed it.
  if ((key.tag & kHasKey) == 0) return DropReason::kKeyMissing;
  return pair->first != 0 ? DropReason::kKeyMismatch
                          : DropReason::kKeyUnexpected;
}

void EndpointMap::Prefetch(const OuterInfo& outer) const noexcept {
  __builtin_prefetch(&slots_[Home(KeyOf(outer))]);
}

}  // namespace encap
