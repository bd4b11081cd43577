// EndpointTable: unique index of EndpointKey and the receive demux in one.
//
// Readers: any worker inside a ReadSection; no lock [T1]. Writers: need a
// ConfigSection. Lifetime: what a find returns is good until the ReadSection
// ends. Errors: Reserve() refuses a key that another endpoint holds, names the
// holder and changes nothing.

#ifndef TUNNEL_ENDPOINT_ENDPOINT_TABLE_H_
#define TUNNEL_ENDPOINT_ENDPOINT_TABLE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "encap/drop_reason.h"
#include "encap/outer_parse.h"
#include "tunnel/endpoint/endpoint.h"
#include "tunnel/endpoint/endpoint_key.h"
#include "tunnel/endpoint/hash_index.h"
#include "tunnel/endpoint/sender_index.h"
#include "tunnel/endpoint/variant.h"
#include "tunnel/sync/config_lock.h"
#include "tunnel/sync/snapshot.h"

namespace tunnel {

class EndpointTable {
 public:
  EndpointTable() = default;

  // ---- workers, inside a ReadSection ----

  // The variant that receives a packet with these outer headers that came in by
  // `ifindex`. A tunnel with this very remote goes before one that receives
  // from any, and among these one that is bound to the interface before one
  // that is bound to none. `variant` null says why not: kNoTunnel,
  // kWrongSource, kMartianSource, kKeyMissing, kKeyUnexpected, kKeyMismatch;
  // or, with the endpoint that holds the key but does not receive on it now,
  // what Attach() gave. kMartianSource with an endpoint: it receives from any
  // host, but no host has that address.
  struct Found {
    const Variant* variant = nullptr;
    const Endpoint* holder = nullptr;  // only without a variant
    encap::DropReason why = encap::DropReason::kNone;
  };
  Found Find(const encap::OuterInfo& outer, uint32_t ifindex) const noexcept;

  // True when a packet with these addresses and protocol is one that a tunnel
  // of this host has made: local is its source, remote its destination,
  // `udp_port` its destination port when the protocol is UDP.
  bool IsOwnOuter(uint8_t protocol, const encap::AddressPair& addresses,
                  uint16_t udp_port = 0) const noexcept;
  // True when a tunnel in UDP receives on this port of this address.
  bool ReceivesUdp(const encap::IpAddress& local, uint16_t port) const noexcept;
  // False: no tunnel is in UDP, and IsOwnOuter() of a UDP packet is false.
  bool HasUdp() const noexcept {
    return in_udp_.load(std::memory_order_relaxed) != 0;  // hint, see bound_
  }

  // The same by what is sent.
  const SenderIndex& senders() const { return senders_; }

  // ---- writers ----

  SenderIndex& senders(const ConfigSection&) { return senders_; }

  // Takes `key` for `owner` without receiving on it yet. nullptr when it is
  // done or `owner` holds the key already; else the endpoint that holds it, and
  // no change.
  const Endpoint* Reserve(const ConfigSection&, const EndpointKey& key,
                          const Endpoint& owner);

  // The endpoint that holds `key`, or nullptr.
  const Endpoint* Holder(const ConfigSection&, const EndpointKey& key) const;

  // Packets for the reserved `key` go to `variant` from now on; nullptr: to
  // nobody, and are dropped for `why`.
  void Attach(const ConfigSection&, const EndpointKey& key,
              const Variant* variant,
              encap::DropReason why = encap::DropReason::kPaused);

  // Gives `key` back. The entry is freed by Reclaim().
  void Release(const ConfigSection&, const EndpointKey& key);

  // Frees released entries. A grace period must have passed since.
  void Reclaim(const ConfigSection&);

  size_t size() const { return entries_.size(); }  // for the writer

 private:
  struct Entry {
    explicit Entry(const Endpoint* o) : owner(o) {}
    const Endpoint* const owner;
    Snapshot<Variant> variant;  // null: reserved only
    // While there is no variant. Relaxed: the name of a drop.
    std::atomic<encap::DropReason> why{encap::DropReason::kPaused};
  };
  // Which keys exist between two addresses: tells why a find failed. With a
  // remote of no address it stands for all tunnels that end at the local
  // address.
  struct PairKey {
    encap::AddressPair addresses;
    uint8_t protocol;
    uint16_t udp_port;
    friend bool operator==(const PairKey&, const PairKey&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const PairKey& k) {
      return H::combine(std::move(h), k.addresses.local, k.addresses.remote,
                        k.protocol, k.udp_port);
    }
  };
  struct PairCount {
    // Written by the writer, read by workers for the name of a drop: relaxed.
    std::atomic<uint32_t> with_key{0};
    std::atomic<uint32_t> without_key{0};
  };

  // The entry of `key` on `ifindex`, or on any interface. `key.ifindex` is 0,
  // and is so again afterwards.
  const Entry* FindOn(EndpointKey& key, uint32_t ifindex) const noexcept;
  // Of a key that nobody holds.
  encap::DropReason Explain(const EndpointKey& key) const noexcept;
  const PairCount* FindPair(const EndpointKey& key) const noexcept;
  static void Step(std::atomic<uint32_t>& counter, int delta);
  void Count(const EndpointKey& key, int delta);
  void CountPair(const PairKey& pair, bool has_key, int delta);

  SenderIndex senders_;
  HashIndex<EndpointKey, Entry> entries_;
  HashIndex<PairKey, PairCount> pairs_;
  // Entries that are bound to an interface: 0 saves the second find. Relaxed: a
  // worker that reads an old value sees the table as it was before the change.
  std::atomic<uint32_t> bound_{0};
  // The same: entries that receive from any remote, and entries in UDP.
  std::atomic<uint32_t> wildcards_{0};
  std::atomic<uint32_t> in_udp_{0};
};

}  // namespace tunnel

#endif  // TUNNEL_ENDPOINT_ENDPOINT_TABLE_H_
