#include "tunnel/underlay_changes.h"

#include <algorithm>

namespace tunnel {
void UnderlayChanges::Add(const LinkEvent& event) {
  switch (event.kind) {
    case LinkEvent::Kind::kResync:
      resync_ = true;
      break;
    case LinkEvent::Kind::kLink:
      links_.insert(event.ifindex);
      if (event.removed) removed_.insert(event.ifindex);
      break;
    case LinkEvent::Kind::kAddress:
      // What it does to routes comes as events of its own.
      addresses_.insert(event.address);
      break;
    case LinkEvent::Kind::kRoute:
      if (!event.destination || routes_.size() >= kMostRoutes) {
        all_routes_ = true;
      } else {
        routes_.push_back(*event.destination);
      }
      break;
  }
}

bool UnderlayChanges::empty() const {
  return !resync_ && !all_routes_ && routes_.empty() && addresses_.empty() &&
         links_.empty() && removed_.empty() && tunnels_.empty();
}

void UnderlayChanges::SetOwn(std::vector<uint32_t> own) {
  std::sort(own.begin(), own.end());
  // A real interface may carry any route, or be one that was waited for; one
  // that has gone concerns those that used it.
  foreign_link_ =
      std::any_of(links_.begin(), links_.end(), [&](uint32_t ifindex) {
        return removed_.count(ifindex) == 0 &&
               !std::binary_search(own.begin(), own.end(), ifindex);
      });
}

bool UnderlayChanges::Concerns(const TunnelRecord& tunnel) const {
  if (resync_ || all_routes_ || foreign_link_) return true;
  const Wiring& wiring = tunnel.wiring;
  if (!addresses_.empty() &&
      (addresses_.count(wiring.local) != 0 ||
       (tunnel.overlap && addresses_.count(tunnel.overlap->old.local) != 0))) {
    return true;
  }
  if (!wiring.config.local_device.empty() &&
      (!addresses_.empty() || !removed_.empty())) {
    return true;
  }
  if (!links_.empty() && (links_.count(wiring.underlay.route_ifindex) != 0 ||
                          links_.count(wiring.underlay_ifindex) != 0)) {
    return true;
  }
  const encap::IpAddress& remote = wiring.config.encap.remote;
  if (std::any_of(routes_.begin(), routes_.end(),
                  [&](const encap::IpPrefix& route) {
                    return route.Contains(remote);
                  })) {
    return true;
  }
  return !tunnels_.empty() && tunnels_.count(tunnel.name()) != 0;
}

}  // namespace tunnel
