// EndpointMap: which tunnel a received packet belongs to, by its outer headers.
//
// For embedders; a tunnel is a number of theirs. Identity is (outer protocol or
// UDP port, local, remote, input key with its presence): a gif tunnel over IP
// holds two, one for each protocol that it receives; in UDP the port stands for
// them, whatever the mode. A remote that is the unspecified address receives
// from any host that no other tunnel names.
//
// Threads: any number may call const functions at once, while nobody changes
// the map. To change it under traffic, copy it, change the copy and hand that
// to the threads with whatever they have (RCU, an epoch, an atomic pointer):
//
//   auto next = std::make_unique<EndpointMap>(*current);
//   next->Insert(config, tunnel);
//
// Find() takes no lock, allocates nothing and cannot fail.

#ifndef ENCAP_ENDPOINT_MAP_H_
#define ENCAP_ENDPOINT_MAP_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "encap/drop_reason.h"
#include "encap/encap_config.h"
#include "encap/outer_parse.h"

namespace encap {

class EndpointMap {
 public:
  EndpointMap();

  // Packets for `config`, which must be valid, belong to `tunnel` from now on.
  // nullopt when it is done, also where `tunnel` had it already; else the
  // tunnel that holds the identity or, of a gif tunnel, half of it, and no
  // change.
  std::optional<uint32_t> Insert(const EncapConfig& config, uint32_t tunnel);

  // False, and no change, when no tunnel or another one than `tunnel` holds
  // the identity of `config`.
  bool Erase(const EncapConfig& config, uint32_t tunnel);

  struct Found {
    uint32_t tunnel = 0;  // on kNone
    DropReason why = DropReason::kNoTunnel;
  };
  // The tunnel whose remote is the packet's source, else the one that receives
  // from any host. `why` is kNone, or: kNoTunnel; kWrongSource (a tunnel ends
  // at this local address, its remote is another host); kKeyMissing,
  // kKeyUnexpected, kKeyMismatch (between these hosts there are tunnels);
  // kMartianSource (no host has this address).
  Found Find(const OuterInfo& outer) const noexcept;

  // Asks for the memory that Find(outer) reads first.
  void Prefetch(const OuterInfo& outer) const noexcept;

  // Tunnels that were inserted; a gif tunnel is one.
  size_t size() const noexcept { return tunnels_; }

 private:
  // Words that are hashed and compared. `tag`: key, port, protocol and bits.
  struct Key {
    std::array<uint64_t, 4> addresses;  // local, remote
    uint64_t tag;
    // Word by word: a key that was just made is in registers, and wide loads
    // would wait for it to reach memory.
    friend bool operator==(const Key& a, const Key& b) noexcept {
      return ((a.addresses[0] ^ b.addresses[0]) |
              (a.addresses[1] ^ b.addresses[1]) |
              (a.addresses[2] ^ b.addresses[2]) |
              (a.addresses[3] ^ b.addresses[3]) | (a.tag ^ b.tag)) == 0;
    }
  };
  // One cache line.
  struct alignas(64) Slot {
    Key key{};
    // kTunnel: the tunnel; else tunnels with and without a key.
    uint32_t first = 0;
    uint32_t second = 0;
  };
  using Keys = std::array<Key, 2>;

  static Key KeyOf(const AddressPair& addresses, uint8_t protocol,
                   uint16_t port, uint64_t bits) noexcept;
  static Key KeyOf(const OuterInfo& outer) noexcept;
  static Key WithAnyRemote(Key key) noexcept;
  static Key PairOf(Key key) noexcept;
  static Key LocalOf(Key key) noexcept;
  // The second one has no tag where there is one only.
  static Keys KeysOf(const EncapConfig& config) noexcept;

  size_t Home(const Key& key) const noexcept;
  const Slot* FindSlot(const Key& key) const noexcept;
  Slot& Take(const Key& key);
  void EraseSlot(const Key& key) noexcept;
  void Grow();
  // Adds `delta` to what is known of the addresses of `key`.
  void Count(const Key& key, int delta);
  void CountOne(const Key& counted, bool has_key, int delta);
  // What Find() gives where no tunnel has exactly this key.
  [[gnu::noinline]] Found FindOther(const Key& key,
                                    const IpAddress& remote) const noexcept;
  DropReason Explain(const Key& key) const noexcept;

  std::vector<Slot> slots_;  // a power of two, at most half of them taken
  size_t taken_ = 0;
  size_t tunnels_ = 0;
  size_t wildcards_ = 0;
};

}  // namespace encap

#endif  // ENCAP_ENDPOINT_MAP_H_
