// NextHops: follows the next hop of each way that somebody sends on, by the
// routes and neighbours of the kernel, from a thread of its own.
//
// A next hop is known while its route leads over Ethernet to a host whose
// address the kernel knows, no IPsec policy is in force and, if that was asked
// for, no rule is that packets would pass by (OutputRules). When something
// changes it is forgotten first and looked up then, so that the kernel finds
// the way in between.

#ifndef TUNNEL_NETLINK_NEXT_HOPS_H_
#define TUNNEL_NETLINK_NEXT_HOPS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "encap/address.h"
#include "tunnel/base/clock.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/netlink/neighbour.h"
#include "tunnel/netlink/netlink_socket.h"
#include "tunnel/netlink/next_hop.h"
#include "tunnel/netlink/output_rules.h"
#include "tunnel/sync/mutex.h"

namespace tunnel {

// What the kernel chooses a route by.
struct Way {
  encap::IpAddress remote;
  encap::IpAddress local;
  uint32_t ifindex = 0;  // 0: any
  uint32_t mark = 0;

  friend auto operator<=>(const Way&, const Way&) = default;
};

class NextHops {
 public:
  // Follows in the namespace of the calling thread; none is known while there
  // are output rules if `mind_rules`. Errors: FD_LIMIT, NETLINK_ERROR.
  static absl::StatusOr<std::unique_ptr<NextHops>> Start(bool mind_rules);
  ~NextHops();

  // The same object for the same way, followed as long as somebody else has it;
  // still unknown when it is a new one. Any thread.
  std::shared_ptr<const NextHop> Of(const Way& way) ABSL_LOCKS_EXCLUDED(mu_);

  // Why none is known, in words ("IPsec policies are in force"); empty: each
  // may be. As of the last look, at most 200 ms ago while any is followed. Any
  // thread.
  std::string Held() const ABSL_LOCKS_EXCLUDED(mu_);
  // A look has been taken, and nothing was found. Any thread.
  bool Free() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Followed {
    std::shared_ptr<NextHop> hop;
    LinkDestination now;       // what `hop` says
    NeighbourKey neighbour{};  // ifindex 0: no route to one is known
    uint32_t mtu = 0;          // bytes, of the route
    bool stale = false;        // as Neighbour
    bool dirty = true;         // in dirty_
  };

  NextHops(NetlinkSocket events, NetlinkSocket requests,
           std::optional<OutputRules> rules, UniqueFd wake);

  void Run();
  void Wake();
  // False when the thread is to end.
  bool TakeNew() ABSL_LOCKS_EXCLUDED(mu_);
  void Take(const nlmsghdr* message);
  void TakeNeighbour(const Neighbour& neighbour);
  // They are to be looked up, and not known until then. The next hops whose
  // packets leave by an interface; whose remote is in a prefix, nullopt: any.
  void Forget(const Way& way, Followed& followed);
  void ForgetInterface(uint32_t ifindex);
  void ForgetRoute(const std::optional<encap::IpPrefix>& to);
  void ForgetAll();
  // What no event tells.
  void Look() ABSL_LOCKS_EXCLUDED(mu_);
  // Why the kernel has to find every way; empty: it need not.
  std::string FindHold();
  void LookAgainAtUnknown();
  void DropUnused() ABSL_LOCKS_EXCLUDED(mu_);
  void ResolveDirty();
  void Resolve(const Way& way, Followed& followed);
  void SetNeighbour(const Way& way, Followed& followed,
                    const NeighbourKey& neighbour);
  static void Publish(Followed& followed, const Neighbour& neighbour);

  NetlinkSocket events_;
  NetlinkSocket requests_;
  std::optional<OutputRules> rules_;  // nullopt: they do not matter
  const UniqueFd wake_;
  // Of the thread.
  std::map<Way, Followed> followed_;
  std::set<Way> dirty_;
  // Each with a neighbour. An event looks at what it concerns alone: as many
  // events come as there are tunnels.
  std::set<std::pair<NeighbourKey, Way>> by_neighbour_;
  SteadyTime look_{};   // the next Look()
  SteadyTime retry_{};  // when those without a route are looked up again
  bool held_ = false;   // no next hop is to be known

  mutable Mutex mu_;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  // Held(); nullopt before the first look.
  std::optional<std::string> hold_ ABSL_GUARDED_BY(mu_);
  std::map<Way, std::weak_ptr<NextHop>> known_ ABSL_GUARDED_BY(mu_);
  std::vector<std::pair<Way, std::shared_ptr<NextHop>>> fresh_
      ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace tunnel

#endif  // TUNNEL_NETLINK_NEXT_HOPS_H_
