#include "tests/concurrency/ledger.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "encap/outer_parse.h"
#include "tests/concurrency/lab.h"

namespace tunnel {
namespace {

// A stamp is 1 to kStamps - 1: TTL 20 to 219, DSCP 0 to 63.
constexpr uint32_t kTtls = 200, kFirstTtl = 20, kStamps = kTtls * 64;

uint32_t StampOf(const encap::OuterInfo& outer) {
  return (outer.tos >> 2) * kTtls + outer.ttl - kFirstTtl;
}

}  // namespace

void Failures::Add(std::string what) {
  MutexLock lock(mu_);
  if (list_.size() < 10) list_.push_back(std::move(what));
  any_.store(true, std::memory_order_relaxed);
}

std::vector<std::string> Failures::list() const {
  MutexLock lock(mu_);
  return list_;
}

std::optional<uint32_t> Place::key_value() const {
  constexpr uint32_t kValues[kKeys] = {0, 0, 7};
  if (key == 0) return std::nullopt;
  return kValues[key];
}

Slot::Slot(size_t slot_index, encap::Mode slot_mode, bool is_keeper,
           bool has_sequence)
    : index(slot_index),
      name(absl::StrCat(encap::IsGre(slot_mode) ? "gre" : "gif", slot_index)),
      mode(slot_mode),
      keeper(is_keeper),
      sequence(has_sequence),
      meaning(kStamps) {}

EndpointConfig Slot::Propose(Place place) {
  last_stamp = last_stamp % (kStamps - 1) + 1;
  EndpointConfig config = GreConfig(name, place.remote, place.key_value());
  config.encap.mode = mode;
  config.encap.sequence = sequence;
  config.encap.ttl = static_cast<uint8_t>(kFirstTtl + last_stamp % kTtls);
  config.encap.tos = static_cast<uint8_t>(last_stamp / kTtls << 2);
  // So that a change makes requests to the kernel too.
  config.mtu = 1300 + last_stamp % 3;
  config.txqueuelen = 100 + last_stamp % 2;
  meaning[last_stamp].store(static_cast<uint16_t>(place.index()),
                            std::memory_order_relaxed);
  ever.fetch_or(1u << place.index(), std::memory_order_relaxed);
  if (displaced.load(std::memory_order_relaxed) == last_stamp)
    displaced.store(0, std::memory_order_relaxed);
  pending.store(last_stamp, std::memory_order_release);
  return config;
}

void Slot::Settle(bool taken) {
  if (taken) current.store(pending.load(std::memory_order_relaxed));
  // After `current`: CheckSent() reads in the other order.
  pending.store(0, std::memory_order_release);
}

Ledger::Ledger(Failures& failures) : failures_(failures) {
  for (size_t i = 0; i < 16; ++i) {
    const bool gif = i % 8 >= 6;
    slots_.push_back(
        std::make_unique<Slot>(i, gif ? encap::Mode::kGif : encap::Mode::kGre,
                               i < 8, !gif && i % 3 == 0));
  }
}

void Ledger::Fault(const Slot& slot, const std::string& what) {
  failures_.Add(absl::StrCat("packet of ", slot.name, ": ", what));
}

void Ledger::CheckSent(std::span<const uint8_t> outer, const SendRoute& route) {
  encap::OuterInfo info;
  if (encap::ParseOuter(outer, true, info) != encap::DropReason::kNone) {
    return failures_.Add("a packet was sent that can not be parsed");
  }
  const auto tag = TagOf(outer.subspan(info.header_len));
  if (!tag || *tag >= slots_.size()) {
    return failures_.Add("a packet was sent whose inner packet is damaged");
  }
  Slot& slot = *slots_[*tag];
  slot.sent.fetch_add(1, std::memory_order_relaxed);
  if (slot.silent.load(std::memory_order_relaxed)) {
    Fault(slot, "sent while the tunnel was paused, detached, down or deleted");
  }
  const uint32_t stamp = StampOf(info);
  // First `pending`, see Settle().
  if (slot.pending.load(std::memory_order_acquire) == stamp) {
    if (slot.stored.load(std::memory_order_relaxed) != stamp)
      Fault(slot, "sent with a configuration that the store does not have");
  } else if (slot.current.load(std::memory_order_acquire) != stamp) {
    return Fault(slot, "sent with a configuration that is not in force");
  }
  const size_t index = slot.meaning[stamp].load(std::memory_order_relaxed);
  const Place place{index / Place::kKeys, index % Place::kKeys};
  // ParseOuter() speaks as the receiver: its local is where this packet goes.
  const encap::AddressPair want{RemoteAddress(place.remote), LocalAddress()};
  const uint8_t protocol =
      slot.mode == encap::Mode::kGre ? encap::kProtoGre : encap::kProtoIpip;
  if (info.addresses != want || route.remote != want.local ||
      info.key != place.key_value() || info.protocol != protocol) {
    Fault(slot, "its addresses, key and TTL are of different configurations");
  }
  CheckAlone(slot, place, stamp);
  if (info.sequence.has_value() != slot.sequence) {
    Fault(slot, "has a sequence number, or none, against its configuration");
  } else if (slot.sequence) {
    const uint32_t next = slot.next_sequence.load(std::memory_order_relaxed);
    if (*info.sequence != next) {
      Fault(slot,
            absl::StrCat("sequence number ", *info.sequence, ", want ", next));
    }
    slot.next_sequence.store(*info.sequence + 1, std::memory_order_relaxed);
  }
}

void Ledger::CheckAlone(Slot& slot, Place place, uint32_t stamp) {
  auto& sender =
      senders_[slot.mode == encap::Mode::kGif ? 1 : 0][place.index()];
  const uint32_t before =
      sender.exchange(static_cast<uint32_t>(slot.index) << 16 | stamp,
                      std::memory_order_relaxed);
  // 0 stands for nobody: no stamp is 0.
  if (before != 0 && before >> 16 != slot.index)
    slots_[before >> 16]->displaced.store(before & 0xffff,
                                          std::memory_order_relaxed);
  if (slot.displaced.load(std::memory_order_relaxed) == stamp)
    Fault(slot, "sent with an identity that another tunnel sends with");
}

void Ledger::NoteStored(const EndpointConfig& config) {
  for (const auto& slot : slots_) {
    if (slot->name != config.name) continue;
    const uint32_t tos = config.encap.tos.value_or(0);
    const uint32_t ttl = config.encap.ttl.value_or(0);
    slot->stored.store((tos >> 2) * kTtls + ttl - kFirstTtl,
                       std::memory_order_relaxed);
  }
}

uint16_t Ledger::PlaceTag(encap::Mode mode, Place place) {
  return static_cast<uint16_t>(0x100 * (1 + static_cast<int>(mode)) +
                               place.index());
}

void Ledger::CheckReceived(const Slot& slot, std::span<const uint8_t> inner) {
  const auto tag = TagOf(inner);
  if (!tag) return Fault(slot, "received damaged");
  const uint32_t deaf_from = slot.deaf_from.load(std::memory_order_relaxed);
  if (deaf_from != 0 && NumberOf(inner) > deaf_from)
    Fault(slot, "received while the tunnel was detached or down");
  const uint16_t base = PlaceTag(slot.mode, {});
  const bool known =
      *tag >= base && *tag < base + Place::kRemotes * Place::kKeys;
  if (!known ||
      !(slot.ever.load(std::memory_order_relaxed) >> (*tag - base) & 1)) {
    Fault(slot,
          absl::StrCat("received from a place that it never had, tag ", *tag));
  }
}

std::vector<std::string> Holders::Identities(encap::Mode mode, Place place) {
  const std::string remote = RemoteAddress(place.remote).ToString();
  if (mode == encap::Mode::kGif) {
    return {absl::StrCat("4 ", remote), absl::StrCat("41 ", remote)};
  }
  const auto key = place.key_value();
  return {absl::StrCat("47 ", remote, " ", key ? absl::StrCat(*key) : "none")};
}

void Holders::MayBegin(const std::vector<std::string>& ids,
                       const std::string& name) {
  MutexLock lock(mu_);
  for (const std::string& id : ids) may_[{id, name}] = SteadyTime::max();
}

void Holders::MayEnd(const std::vector<std::string>& ids,
                     const std::string& name) {
  MutexLock lock(mu_);
  for (const std::string& id : ids) may_[{id, name}] = SteadyNow();
}

void Holders::MustBegin(const std::vector<std::string>& ids,
                        const std::string& name) {
  MutexLock lock(mu_);
  for (const std::string& id : ids) {
    const auto [it, added] = must_.emplace(id, name);
    if (!added && it->second != name) {
      failures_.Add(absl::StrCat("identity ", id, " is held by ", it->second,
                                 " and by ", name, " at once"));
    }
  }
}

void Holders::MustEnd(const std::vector<std::string>& ids,
                      const std::string& name) {
  MutexLock lock(mu_);
  for (const std::string& id : ids) {
    const auto it = must_.find(id);
    if (it != must_.end() && it->second == name) must_.erase(it);
  }
}

bool Holders::CouldHold(const std::vector<std::string>& ids,
                        const std::string& name, SteadyTime since) const {
  MutexLock lock(mu_);
  for (const std::string& id : ids) {
    const auto it = may_.find({id, name});
    if (it != may_.end() && it->second >= since) return true;
  }
  return false;
}

}  // namespace tunnel
