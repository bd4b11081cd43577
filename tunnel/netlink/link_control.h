// LinkControl: interfaces, addresses and routes of the kernel, as the manager
// needs them. Implemented over libnl; tests bring one in memory.

#ifndef TUNNEL_NETLINK_LINK_CONTROL_H_
#define TUNNEL_NETLINK_LINK_CONTROL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "encap/address.h"
#include "tunnel/netlink/next_hop.h"

namespace tunnel {

struct RouteInfo {
  uint32_t ifindex = 0;  // interface that the route leaves by
  std::string device;    // its name
  uint32_t mtu = 0;  // bytes: of the route if it has one, else of the interface
  // The interface has link headers of Ethernet, and is no TUN or TAP device.
  bool ethernet = false;
  // The route says more than a next hop: it is local, broadcast or multicast,
  // or encapsulates (`ip route ... encap`).
  bool special = false;
  encap::IpAddress gateway;  // no address: the remote is on the link
};

// Something of the underlay has changed. Events are hints: a reader looks at
// the state itself. Several changes may come as one event.
struct LinkEvent {
  enum class Kind {
    kLink,     // an interface came, went, changed its flags, name or MTU
    kAddress,  // a local address came or went
    kRoute,    // a route or a rule of policy routing came or went
    kResync,   // events were lost (ENOBUFS): look at everything again
  };
  Kind kind = Kind::kResync;
  uint32_t ifindex = 0;        // kLink, kAddress: the interface
  bool removed = false;        // kLink: the interface has gone
  encap::IpAddress address{};  // kAddress
  // kRoute: where it leads; nullopt: several routes, or unknown.
  std::optional<encap::IpPrefix> destination{};
};

// An interface as the kernel has it.
struct LinkSettings {
  bool up = false;
  uint32_t mtu = 0;         // bytes
  uint32_t txqueuelen = 0;  // packets
  struct Address {
    encap::IpPrefix prefix;
    // Set by AddAddress(), not by other programs (IFA_PROTO, Linux 5.18; false
    // where the kernel does not tell).
    bool ours = false;
  };
  std::vector<Address> addresses;  // without link-local ones of the kernel
};

class LinkControl {
 public:
  virtual ~LinkControl() = default;

  // ---- changes; all are idempotent. Errors: NETLINK_ERROR with the kernel's
  // words, MISSING_CAPABILITY, DEVICE_NOT_FOUND (no such ifindex). ----
  virtual absl::Status SetUp(uint32_t ifindex, bool up) = 0;
  virtual absl::Status SetMtu(uint32_t ifindex, uint32_t mtu_bytes) = 0;
  virtual absl::Status SetTxQueueLen(uint32_t ifindex, uint32_t packets) = 0;
  virtual absl::Status AddAddress(uint32_t ifindex,
                                  const encap::IpPrefix& address) = 0;
  virtual absl::Status DeleteAddress(uint32_t ifindex,
                                     const encap::IpPrefix& address) = 0;

  // ---- reads ----
  // Asks the kernel. DEVICE_NOT_FOUND; NETLINK_ERROR.
  virtual absl::StatusOr<LinkSettings> Inspect(uint32_t ifindex) = 0;
  // False when the interface has gone. Asks the kernel. NETLINK_ERROR.
  virtual absl::StatusOr<bool> Exists(uint32_t ifindex) = 0;
  // Packets sent through the interface that the kernel has dropped: its queue
  // was full, or was being resized (counted since Linux 6.11). 0 when it
  // can not be told.
  virtual uint64_t TransmitDrops(uint32_t ifindex) = 0;
  // 0 when no interface has the name.
  virtual uint32_t IndexOf(absl::string_view device) = 0;
  // True when the host has this address on any interface (kept up to date by
  // the monitor; does not ask the kernel each time).
  virtual bool IsLocalAddress(const encap::IpAddress& address) = 0;
  // The global address of `family` that the interface `device` would be
  // addressed by: not deprecated before deprecated, primary before secondary,
  // then the one that has been there longest. No address when it has none or
  // there is no such interface. Of the monitor's view, as above.
  virtual encap::IpAddress AddressOf(absl::string_view device,
                                     encap::IpFamily family) = 0;
  // The route to `remote` from `local`, leaving by `ifindex` if not 0, with
  // `mark`. NOT_FOUND-coded status without reason when there is none.
  virtual absl::StatusOr<RouteInfo> RouteTo(const encap::IpAddress& remote,
                                            const encap::IpAddress& local,
                                            uint32_t ifindex,
                                            uint32_t mark) = 0;

  // The next hop on the way of RouteTo() with these arguments, kept up to date
  // for as long as somebody has it; unknown while packets can not go straight
  // to it. nullptr: nothing is followed here.
  virtual std::shared_ptr<const NextHop> FollowNextHop(
      const encap::IpAddress& remote, const encap::IpAddress& local,
      uint32_t ifindex, uint32_t mark) {
    static_cast<void>(remote), static_cast<void>(local);
    static_cast<void>(ifindex), static_cast<void>(mark);
    return nullptr;
  }

  // Why none of those is known at present, in words; empty: each may be.
  virtual std::string NextHopsHeld() { return ""; }

  // Packets may pass by the IP stack: next hops are followed, and nothing keeps
  // them from being known.
  virtual bool GoesStraight() { return false; }

  // IPsec policies are in force, so that packets of this host may have to be
  // encrypted. Asks the kernel; true where it does not tell.
  virtual bool HasIpsecPolicies() = 0;

  // ---- watching ----
  // Calls `callback` from a thread of its own until StopMonitor() has returned.
  // At most one monitor. The address view is current before each callback.
  virtual absl::Status StartMonitor(
      std::function<void(const LinkEvent&)> callback) = 0;
  virtual void StopMonitor() = 0;
};

}  // namespace tunnel

#endif  // TUNNEL_NETLINK_LINK_CONTROL_H_
