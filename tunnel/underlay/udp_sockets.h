// UdpSockets: sockets bound to the source ports of flows, opened as they are
// asked for. One thread.
//
// They send and never receive. Each is bound to its port at a loopback address,
// where neither packets nor ICMP errors from outside reach it: nobody can teach
// the kernel a path MTU through it, and it has no pending errors.

#ifndef TUNNEL_UNDERLAY_UDP_SOCKETS_H_
#define TUNNEL_UNDERLAY_UDP_SOCKETS_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "tunnel/base/unique_fd.h"

namespace tunnel {

class UdpSockets {
 public:
  // At most this many are open.
  static constexpr size_t kMaxSockets = 128;
  // One that has sent nothing for so long may be closed for another.
  static constexpr uint64_t kIdleNs = 1'000'000'000;
  // One that has sent nothing for so long is closed by Sweep().
  static constexpr uint64_t kUnusedNs = 10'000'000'000;
  // How long Refuse() lasts.
  static constexpr uint64_t kRefusedNs = 1'000'000'000;

  struct Key {
    bool v6 = false;
    // IPv4: what the kernel sets in the packets of the socket.
    bool dont_fragment = false;
    uint16_t port = 0;  // host order, not 0
    friend bool operator==(const Key&, const Key&) = default;
  };

  // The socket, or -1: there is none, or it is refused. `now_ns` is
  // SteadyCoarseNs().
  int Find(const Key& key, uint64_t now_ns) noexcept;
  // The same, but opens it where there is none. -1 too while all sockets that
  // could give way are in use, and for kRefusedNs after an error (the port
  // belongs to another program, no descriptor is left).
  int FindOrOpen(const Key& key, uint64_t now_ns) noexcept;
  // Makes both give -1 for a while.
  void Refuse(const Key& key, uint64_t now_ns) noexcept;
  // Closes what is unused, once a second at most.
  void Sweep(uint64_t now_ns) noexcept;

  size_t open() const noexcept;

 private:
  static constexpr size_t kWays = 4;
  static constexpr size_t kSets = kMaxSockets / kWays;

  struct Slot {
    Key key;
    UniqueFd fd;
    uint64_t used_ns = 0;
    uint64_t refused_until_ns = 0;
  };
  using Set = std::array<Slot, kWays>;

  Set& SetOf(const Key& key) noexcept { return sets_[key.port % kSets]; }
  Slot* Lookup(const Key& key) noexcept;

  std::array<Set, kSets> sets_;
  uint64_t swept_ns_ = 0;
};

}  // namespace tunnel

#endif  // TUNNEL_UNDERLAY_UDP_SOCKETS_H_
