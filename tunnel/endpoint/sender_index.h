// SenderIndex: which tunnel sends packets with given outer headers, for the
// quote of an ICMP error.
//
// It leads to the tunnels whose output is published. Several may send alike
// (they differ in the input key alone): then to the one that came last.
// Readers: any worker inside a ReadSection; no lock [T1] [S1]. Writers: need a
// ConfigSection. Lifetime: what Find() returns is good until the ReadSection
// ends.

#ifndef TUNNEL_ENDPOINT_SENDER_INDEX_H_
#define TUNNEL_ENDPOINT_SENDER_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "encap/address.h"
#include "encap/encap_config.h"
#include "encap/icmp_quote.h"
#include "tunnel/endpoint/hash_index.h"
#include "tunnel/sync/config_lock.h"
#include "tunnel/sync/snapshot.h"

namespace tunnel {

class Endpoint;

// Outer headers as they are sent.
struct SenderKey {
  encap::AddressPair addresses;
  uint8_t protocol = 0;   // 4, 41, 47 or 17
  uint16_t udp_port = 0;  // destination; 0 without UDP
  // Stands for all keys, and for those who have none: a quote may end early.
  bool any_key = false;
  std::optional<uint32_t> key;  // GRE, with its presence

  friend bool operator==(const SenderKey&, const SenderKey&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const SenderKey& k) {
    return H::combine(std::move(h), k.addresses.local, k.addresses.remote,
                      k.protocol, k.udp_port, k.any_key, k.key.has_value(),
                      k.key.value_or(0));
  }
};

// All that a tunnel sends with. `config` has the source in force.
std::vector<SenderKey> SenderKeys(const encap::EncapConfig& config);

class SenderIndex {
 public:
  // ---- workers, inside a ReadSection ----
  // A tunnel that sends such packets, as far as the quote tells; nullptr: none.
  // What the quote does not tell is for the caller to compare (IsQuoteOf()).
  const Endpoint* Find(const encap::OuterError& error) const noexcept;

  // ---- writers ----
  // `endpoint` sends with `keys` from now on, and with nothing else.
  void Set(const ConfigSection&, const Endpoint& endpoint,
           const std::vector<SenderKey>& keys);
  // It sends no more. It may be freed after a grace period.
  void Remove(const ConfigSection& section, const Endpoint& endpoint) {
    Set(section, endpoint, {});
  }
  // Frees what is in no use. A grace period must have passed since.
  void Reclaim(const ConfigSection&) { senders_.Reclaim(); }

  size_t size() const { return senders_.size(); }  // for the writer

 private:
  struct Senders {
    Snapshot<Endpoint> first;          // what Find() gives
    std::vector<const Endpoint*> all;  // the writer's own; back() is `first`
  };
  const Endpoint* First(const SenderKey& key) const noexcept;
  void Add(const SenderKey& key, const Endpoint& endpoint);
  void Erase(const SenderKey& key, const Endpoint& endpoint);

  HashIndex<SenderKey, Senders> senders_;
  // The writer's own.
  absl::flat_hash_map<const Endpoint*, std::vector<SenderKey>> keys_;
};

}  // namespace tunnel

#endif  // TUNNEL_ENDPOINT_SENDER_INDEX_H_
