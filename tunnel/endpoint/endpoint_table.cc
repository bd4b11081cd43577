#include "tunnel/endpoint/endpoint_table.h"

#include "encap/wire/udp.h"
#include "tunnel/base/fault.h"

namespace tunnel {
namespace {

encap::IpAddress AnyRemote(const encap::IpAddress& local) noexcept {
  static constexpr uint8_t kZero[16] = {};
  return local.is_v6() ? encap::IpAddress::V6(kZero)
                       : encap::IpAddress::V4(kZero);
}

}  // namespace

const EndpointTable::Entry* EndpointTable::FindOn(
    EndpointKey& key, uint32_t ifindex) const noexcept {
  const Entry* entry = nullptr;
  if (bound_.load(std::memory_order_relaxed) != 0) {  // hint only, see bound_
    key.ifindex = ifindex;
    entry = entries_.Find(key);
    key.ifindex = 0;
  }
  return entry != nullptr ? entry : entries_.Find(key);
}

EndpointTable::Found EndpointTable::Find(const encap::OuterInfo& outer,
                                         uint32_t ifindex) const noexcept {
  EndpointKey key{outer.addresses, outer.key, 0,
                  outer.udp_port == 0 ? outer.protocol : encap::kProtoUdp,
                  outer.udp_port};
  const Entry* entry = FindOn(key, ifindex);
  if (wildcards_.load(std::memory_order_relaxed) != 0) {  // hint, see bound_
    // Their remote is itself an address that no host has.
    const bool martian = outer.addresses.remote.IsMartianSource();
    if (entry == nullptr || martian) {
      key.addresses.remote = AnyRemote(outer.addresses.local);
      entry = FindOn(key, ifindex);
      key.addresses.remote = outer.addresses.remote;
    }
    if (entry != nullptr && martian)
      return {nullptr, entry->owner, encap::DropReason::kMartianSource};
  }
  if (entry == nullptr) return {nullptr, nullptr, Explain(key)};
  if (const Variant* variant = entry->variant.Load())
    return {variant, nullptr, encap::DropReason::kNone};
  return {nullptr, entry->owner,
          entry->why.load(std::memory_order_relaxed)};  // name only
}

encap::DropReason EndpointTable::Explain(
    const EndpointKey& key) const noexcept {
  if (key.addresses.remote.IsMartianSource())
    return encap::DropReason::kMartianSource;
  if (const PairCount* pair = FindPair(key)) {
    const bool keyed =
        pair->with_key.load(std::memory_order_relaxed) != 0;  // name only
    if (!key.key.has_value()) {
      return keyed ? encap::DropReason::kKeyMissing
                   : encap::DropReason::kNoTunnel;
    }
    if (keyed) return encap::DropReason::kKeyMismatch;
    // Unkeyed tunnels alone; none at all is one that just left.
    return pair->without_key.load(std::memory_order_relaxed) != 0  // name only
               ? encap::DropReason::kKeyUnexpected
               : encap::DropReason::kNoTunnel;
  }
  const PairKey local_only{
      {key.addresses.local, {}}, key.protocol, key.udp_port};
  return pairs_.Find(local_only) != nullptr ? encap::DropReason::kWrongSource
                                            : encap::DropReason::kNoTunnel;
}

const EndpointTable::PairCount* EndpointTable::FindPair(
    const EndpointKey& key) const noexcept {
  const PairCount* pair =
      pairs_.Find({key.addresses, key.protocol, key.udp_port});
  if (pair != nullptr ||
      wildcards_.load(std::memory_order_relaxed) == 0) {  // hint, see bound_
    return pair;
  }
  const encap::AddressPair any{key.addresses.local,
                               AnyRemote(key.addresses.local)};
  return pairs_.Find({any, key.protocol, key.udp_port});
}

bool EndpointTable::ReceivesUdp(const encap::IpAddress& local,
                                uint16_t port) const noexcept {
  return pairs_.Find({{local, {}}, encap::kProtoUdp, port}) != nullptr;
}

bool EndpointTable::IsOwnOuter(uint8_t protocol,
                               const encap::AddressPair& addresses,
                               uint16_t udp_port) const noexcept {
  return pairs_.Find({addresses, protocol, udp_port}) != nullptr;
}

const Endpoint* EndpointTable::Reserve(const ConfigSection&,
                                       const EndpointKey& key,
                                       const Endpoint& owner) {
  if (entries_.Insert(key, &owner) != nullptr) {
    Count(key, +1);
    return nullptr;
  }
  const Endpoint* holder = entries_.Find(key)->owner;
  if (FaultActive(Fault::kCheckOwnTunnelOnly)) return nullptr;
  return holder == &owner ? nullptr : holder;
}

const Endpoint* EndpointTable::Holder(const ConfigSection&,
                                      const EndpointKey& key) const {
  if (FaultActive(Fault::kCheckOwnTunnelOnly)) return nullptr;
  const Entry* entry = entries_.Find(key);
  return entry == nullptr ? nullptr : entry->owner;
}

void EndpointTable::Attach(const ConfigSection&, const EndpointKey& key,
                           const Variant* variant, encap::DropReason why) {
  Entry* entry = entries_.Find(key);
  if (entry == nullptr) return;
  entry->why.store(why, std::memory_order_relaxed);  // name only
  entry->variant.Publish(variant);
}

void EndpointTable::Release(const ConfigSection&, const EndpointKey& key) {
  if (FaultActive(Fault::kKeyNotGivenBack)) return;
  if (entries_.Erase(key)) Count(key, -1);
  if (FaultActive(Fault::kReclaimWithoutGrace)) entries_.Reclaim();
}

void EndpointTable::Reclaim(const ConfigSection& section) {
  senders_.Reclaim(section);
  entries_.Reclaim();
  pairs_.Reclaim();
}

void EndpointTable::Count(const EndpointKey& key, int delta) {
  if (key.ifindex != 0) Step(bound_, delta);
  if (encap::IsWildcard(key.addresses.remote)) Step(wildcards_, delta);
  if (key.udp_port != 0) Step(in_udp_, delta);
  CountPair({key.addresses, key.protocol, key.udp_port}, key.key.has_value(),
            delta);
  CountPair({{key.addresses.local, {}}, key.protocol, key.udp_port},
            key.key.has_value(), delta);
}

void EndpointTable::Step(std::atomic<uint32_t>& counter, int delta) {
  counter.store(counter.load(std::memory_order_relaxed) + delta,  // one writer
                std::memory_order_relaxed);
}

void EndpointTable::CountPair(const PairKey& pair, bool has_key, int delta) {
  PairCount* count = pairs_.Find(pair);
  if (count == nullptr) count = pairs_.Insert(pair);
  std::atomic<uint32_t>& which = has_key ? count->with_key : count->without_key;
  which.store(which.load(std::memory_order_relaxed) + delta,
              std::memory_order_relaxed);
  if (count->with_key.load(std::memory_order_relaxed) == 0 &&     // own writes
      count->without_key.load(std::memory_order_relaxed) == 0) {  // own writes
    pairs_.Erase(pair);
  }
}

}  // namespace tunnel
