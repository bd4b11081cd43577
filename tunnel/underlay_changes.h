// UnderlayChanges: what has happened below the tunnels since the last look, and
// which tunnels it may concern.
//
// A plain value. Events about the tunnels' own interfaces, of which every
// change of a tunnel causes some, concern the others only if those are routed
// through them; so a change of one tunnel does not cost a look at all.

#ifndef TUNNEL_UNDERLAY_CHANGES_H_
#define TUNNEL_UNDERLAY_CHANGES_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "encap/address.h"
#include "tunnel/netlink/link_control.h"
#include "tunnel/rewire/tunnel_record.h"

namespace tunnel {

class UnderlayChanges {
 public:
  void Add(const LinkEvent& event);
  // The tunnel is to be looked at, whatever has happened.
  void AddTunnel(const std::string& name) { tunnels_.insert(name); }

  bool empty() const;
  // Interfaces that have gone.
  const std::set<uint32_t>& removed() const { return removed_; }
  // Events were lost: interfaces may have gone unnoticed.
  bool resync() const { return resync_; }
  // Before Concerns(): `own` are the interfaces of all tunnels, in any order.
  void SetOwn(std::vector<uint32_t> own);
  // Whether `tunnel` has to be looked at. Cheap: it is asked of every tunnel
  // after every change.
  bool Concerns(const TunnelRecord& tunnel) const;

 private:
  // More routes than this are taken for all.
  static constexpr size_t kMostRoutes = 256;

  bool resync_ = false;
  bool foreign_link_ = false;  // an interface of no tunnel has changed
  bool all_routes_ = false;
  std::vector<encap::IpPrefix> routes_;
  std::set<encap::IpAddress> addresses_;
  std::set<uint32_t> links_;
  std::set<uint32_t> removed_;
  std::set<std::string> tunnels_;
};

}  // namespace tunnel

#endif  // TUNNEL_UNDERLAY_CHANGES_H_
