// NextHops: follows the next hop of each way that somebody sends on, by the
// routes and neighbours of the kernel, from a thread of its own.
//
// A next hop is known while its route leads over Ethernet to a host whose
// address the kernel knows, and no IPsec policy is in force. When something
// changes it is forgotten first and looked up then, so that the kernel finds
// the way in between.

#ifndef TUNNEL_NETLINK_NEXT_HOPS_H_
#define TUNNEL_NETLINK_NEXT_HOPS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "encap/address.h"
#include "tunnel/base/clock.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/netlink/neighbour.h"
#include "tunnel/netlink/netlink_socket.h"
#include "tunnel/netlink/next_hop.h"
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
  // Follows in the namespace of the calling thread. Errors: FD_LIMIT,
  // NETLINK_ERROR.
  static absl::StatusOr<std::unique_ptr<NextHops>> Start();
  ~NextHops();

  // The same object for the same way, followed as long as somebody else has it;
  // still unknown when it is a new one. Any thread.
  std::shared_ptr<const NextHop> Of(const Way& way) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Followed {
    std::shared_ptr<NextHop> hop;
    LinkDestination now;       // what `hop` says
    NeighbourKey neighbour{};  // ifindex 0: no route to one is known
    uint32_t mtu = 0;          // bytes, of the route
    bool stale = false;        // as Neighbour
    bool dirty = true;         // to be looked up
  };

  NextHops(NetlinkSocket events, NetlinkSocket requests, UniqueFd wake);

  void Run();
  void Wake();
  // False when the thread is to end.
  bool TakeNew() ABSL_LOCKS_EXCLUDED(mu_);
  void Take(const nlmsghdr* message);
  void TakeNeighbour(const Neighbour& neighbour);
  // Each that `concerns` chooses is to be looked up.
  void Forget(const std::function<bool(const Way&, const Followed&)>& concerns);
  // What no event tells.
  void Look();
  void DropUnused() ABSL_LOCKS_EXCLUDED(mu_);
  void Resolve(const Way& way, Followed& followed);
  static void Publish(Followed& followed, const Neighbour& neighbour);

  NetlinkSocket events_;
  NetlinkSocket requests_;
  const UniqueFd wake_;
  // Of the thread.
  std::map<Way, Followed> followed_;
  SteadyTime look_{};   // the next Look()
  SteadyTime retry_{};  // when those without a route are looked up again
  bool ipsec_ = false;

  Mutex mu_;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::map<Way, std::weak_ptr<NextHop>> known_ ABSL_GUARDED_BY(mu_);
  std::vector<std::pair<Way, std::shared_ptr<NextHop>>> fresh_
      ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace tunnel

#endif  // TUNNEL_NETLINK_NEXT_HOPS_H_
