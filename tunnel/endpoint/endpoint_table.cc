#include "tunnel/endpoint/endpoint_table.h"

#include "tunnel/base/fault.h"
namespace tunnel {

EndpointTable::Found EndpointTable::Find(const encap::OuterInfo& outer,
                                         uint32_t ifindex) const noexcept {
  EndpointKey key{outer.addresses, outer.key, 0, outer.protocol};
  const Entry* entry = nullptr;
  if (bound_.load(std::memory_order_relaxed) != 0) {  // hint only, see bound_
    key.ifindex = ifindex;
    entry = entries_.Find(key);
    key.ifindex = 0;
  }
  if (entry == nullptr) entry = entries_.Find(key);
  if (entry == nullptr) return {nullptr, nullptr, Explain(key)};
  if (const Variant* variant = entry->variant.Load())
    return {variant, nullptr, encap::DropReason::kNone};
  return {nullptr, entry->owner,
          entry->why.load(std::memory_order_relaxed)};  // name only
}

encap::DropReason EndpointTable::Explain(
    const EndpointKey& key) const noexcept {
  if (const PairCount* pair = pairs_.Find({key.addresses, key.protocol})) {
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
  const PairKey local_only{{key.addresses.local, {}}, key.protocol};
  return pairs_.Find(local_only) != nullptr ? encap::DropReason::kWrongSource
                                            : encap::DropReason::kNoTunnel;
}

bool EndpointTable::IsOwnOuter(
    uint8_t protocol, const encap::AddressPair& addresses) const noexcept {
  return pairs_.Find({addresses, protocol}) != nullptr;
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

void EndpointTable::Reclaim(const ConfigSection&) {
  entries_.Reclaim();
  pairs_.Reclaim();
}

void EndpointTable::Count(const EndpointKey& key, int delta) {
  if (key.ifindex != 0) {
    bound_.store(bound_.load(std::memory_order_relaxed) + delta,  // one writer
                 std::memory_order_relaxed);
  }
  CountPair({key.addresses, key.protocol}, key.key.has_value(), delta);
  CountPair({{key.addresses.local, {}}, key.protocol}, key.key.has_value(),
            delta);
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
