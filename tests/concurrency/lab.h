// Lab: a TunnelManager over devices, a wire and links in memory, and the
// packets that the tests of this room send through it.

#ifndef TESTS_CONCURRENCY_LAB_H_
#define TESTS_CONCURRENCY_LAB_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "encap/address.h"
#include "encap/encap_config.h"
#include "tests/concurrency/faulty_platform.h"
#include "tunnel/config_store.h"
#include "tunnel/endpoint/endpoint_config.h"
#include "tunnel/netlink/memory_link_control.h"
#include "tunnel/platform.h"
#include "tunnel/stats/stats_snapshot.h"
#include "tunnel/tun/memory_tun.h"
#include "tunnel/tunnel_manager.h"
#include "tunnel/underlay/memory_transport.h"

namespace tunnel {

struct Lab {
  // `workers` packet workers; the host has the addresses LocalAddress() and
  // RemoteAddress(0..9) is reached by the default route.
  explicit Lab(int workers, size_t max_lock_waiters = 256,
               ConfigStore* store = nullptr);

  MemoryTunFactory tun;
  MemoryTransportFactory wire;
  MemoryLinkControl links;
  // Calls of a thread with a FaultScript fail.
  FaultyTun faulty_tun{tun};
  FaultyLinks faulty_links{links};
  Platform platform{faulty_tun, wire, faulty_links};
  std::unique_ptr<TunnelManager> manager;
};

encap::IpAddress LocalAddress();
encap::IpAddress RemoteAddress(size_t index);  // index < 10

// True as soon as nobody holds the configuration lock; false when that does not
// happen in a minute. The monitor holds it for a moment when links have
// changed, so it may be held after a change that has left it.
bool LockComesFree(const TunnelManager& manager);

// A GRE tunnel from LocalAddress() with this key both ways.
EndpointConfig GreConfig(const std::string& name, size_t remote,
                         std::optional<uint32_t> key);

// Bytes of the headers that InnerDatagram() writes.
inline constexpr size_t kInnerHeaderLen = 28;

// IPv4 and UDP headers between two inner hosts in front of `payload` bytes of
// zeros; no UDP checksum.
std::vector<uint8_t> InnerDatagram(uint16_t source_port, size_t payload);

// An inner IPv4 UDP packet that carries `tag` and `number`; each number is a
// flow of its own.
std::vector<uint8_t> InnerPacket(uint16_t tag, uint32_t number);
// The tag of such a packet; nullopt for anything else.
std::optional<uint16_t> TagOf(std::span<const uint8_t> inner);
// The number of a packet that has a tag.
uint32_t NumberOf(std::span<const uint8_t> inner);

// `inner` as the peer of a tunnel with `config` would send it to this host.
std::vector<uint8_t> FromPeer(const encap::EncapConfig& config,
                              std::span<const uint8_t> inner);

// Packets that came out of each device and were sent or dropped, by name.
std::map<std::string, uint64_t> TransmitTotals(const StatsSnapshot& stats);
// Packets that came off the wire and were handed to a device or dropped.
uint64_t ReceiveTotal(const StatsSnapshot& stats);

// The drops of all tunnels and of packets of no tunnel, by reason, as text.
std::string DropsText(const StatsSnapshot& stats);

// Seconds that a test with load runs: TORTURE_SECONDS, else 20 under
// ThreadSanitizer, 8 under AddressSanitizer and 3 without one.
int LoadSeconds();
// TORTURE_SEED, else a random one, which is printed the first time.
uint32_t Seed();

}  // namespace tunnel

#endif  // TESTS_CONCURRENCY_LAB_H_
