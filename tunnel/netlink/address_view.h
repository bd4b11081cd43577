// AddressView: the addresses of the host, kept up to date by a monitor.
//
// A plain value without a lock. Interfaces are told apart by index.

#ifndef TUNNEL_NETLINK_ADDRESS_VIEW_H_
#define TUNNEL_NETLINK_ADDRESS_VIEW_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "encap/address.h"

namespace tunnel {

// An address on an interface. The same address may stand there with two prefix
// lengths.
struct LocalAddress {
  uint32_t ifindex = 0;
  encap::IpPrefix prefix;
  // It can be sent from: one that waits for duplicate address detection, or has
  // failed it, can not.
  bool usable = false;
  // Of global scope, and not from the link-local range.
  bool global = false;
  // Not to be used for new communication (RFC 4862 5.5.4).
  bool deprecated = false;
  // IPv4: of the subnet of an older address of the interface. IPv6: temporary
  // (RFC 8981).
  bool secondary = false;
};

class AddressView {
 public:
  // Adds it, or replaces what is known of it; its place in the order stays.
  void Set(const LocalAddress& address);
  void Remove(const LocalAddress& address);
  void RemoveInterface(uint32_t ifindex);
  // Makes the view one of `addresses`, in the order of the kernel. Those that
  // are known keep their places.
  void Reset(const std::vector<LocalAddress>& addresses);

  // True when the host can send from `address`.
  bool Has(const encap::IpAddress& address) const;

  // The global address of `family` to use on the interface: one that is not
  // deprecated before one that is, a primary before a secondary one, and of
  // those the one that has been there longest. No address when there is none.
  encap::IpAddress First(uint32_t ifindex, encap::IpFamily family) const;

 private:
  // Oldest first.
  std::map<uint32_t, std::vector<LocalAddress>> interfaces_;
  // On how many places an address can be used.
  std::map<encap::IpAddress, size_t> usable_;

  void Count(const LocalAddress& address, bool add);
};

}  // namespace tunnel

#endif  // TUNNEL_NETLINK_ADDRESS_VIEW_H_
