#include "tunnel/netlink/address_view.h"

#include <algorithm>
#include <utility>

namespace tunnel {
namespace {

// Lower is better.
int Rank(const LocalAddress& address) {
  return (address.deprecated ? 2 : 0) + (address.secondary ? 1 : 0);
}

auto FindPrefix(std::vector<LocalAddress>& list,
                const encap::IpPrefix& prefix) {
  return std::find_if(list.begin(), list.end(), [&](const LocalAddress& known) {
    return known.prefix == prefix;
  });
}

}  // namespace

void AddressView::Count(const LocalAddress& address, bool add) {
  if (!address.usable) return;
  size_t& count = usable_[address.prefix.address];
  count += add ? 1 : -1;
  if (count == 0) usable_.erase(address.prefix.address);
}

void AddressView::Set(const LocalAddress& address) {
  std::vector<LocalAddress>& list = interfaces_[address.ifindex];
  const auto known = FindPrefix(list, address.prefix);
  if (known == list.end()) {
    list.push_back(address);
  } else {
    Count(*known, false);
    *known = address;
  }
  Count(address, true);
}

void AddressView::Remove(const LocalAddress& address) {
  const auto interface = interfaces_.find(address.ifindex);
  if (interface == interfaces_.end()) return;
  std::vector<LocalAddress>& list = interface->second;
  const auto known = FindPrefix(list, address.prefix);
  if (known == list.end()) return;
  Count(*known, false);
  list.erase(known);
  if (list.empty()) interfaces_.erase(interface);
}

void AddressView::RemoveInterface(uint32_t ifindex) {
  const auto interface = interfaces_.find(ifindex);
  if (interface == interfaces_.end()) return;
  for (const LocalAddress& address : interface->second) Count(address, false);
  interfaces_.erase(interface);
}

void AddressView::Reset(const std::vector<LocalAddress>& addresses) {
  const auto before = std::exchange(interfaces_, {});
  usable_.clear();
  const auto is_known = [&](const LocalAddress& address) {
    const auto it = before.find(address.ifindex);
    return it != before.end() &&
           std::any_of(it->second.begin(), it->second.end(),
                       [&](const LocalAddress& known) {
                         return known.prefix == address.prefix;
                       });
  };
  // First the known ones, in the order in which they came; Set() below fills
  // in what is new of them.
  std::map<std::pair<uint32_t, encap::IpPrefix>, const LocalAddress*> fresh;
  for (const LocalAddress& address : addresses)
    fresh[{address.ifindex, address.prefix}] = &address;
  for (const auto& [ifindex, list] : before) {
    for (const LocalAddress& known : list) {
      const auto it = fresh.find({ifindex, known.prefix});
      if (it != fresh.end()) Set(*it->second);
    }
  }
  // The kernel lists IPv4 addresses as they came, IPv6 ones newest first.
  for (const LocalAddress& address : addresses) {
    if (address.prefix.address.is_v4() && !is_known(address)) Set(address);
  }
  for (auto it = addresses.rbegin(); it != addresses.rend(); ++it) {
    if (it->prefix.address.is_v6() && !is_known(*it)) Set(*it);
  }
}

bool AddressView::Has(const encap::IpAddress& address) const {
  return usable_.count(address) != 0;
}

encap::IpAddress AddressView::First(uint32_t ifindex,
                                    encap::IpFamily family) const {
  const auto interface = interfaces_.find(ifindex);
  if (interface == interfaces_.end()) return {};
  const LocalAddress* best = nullptr;
  for (const LocalAddress& address : interface->second) {
    if (!address.usable || !address.global ||
        address.prefix.address.family() != family) {
      continue;
    }
    if (best == nullptr || Rank(address) < Rank(*best)) best = &address;
  }
  return best == nullptr ? encap::IpAddress() : best->prefix.address;
}

}  // namespace tunnel
