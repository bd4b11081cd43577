// LinkMonitor: watches links, addresses, routes and rules from a thread of its
// own, and keeps the set of local addresses.
//
// Has() and First() may be called by any thread, Stop() by one at a time and
// not by the callback. Lost events (ENOBUFS) are made good by reading all
// addresses anew; the callback then gets kResync.

#ifndef TUNNEL_NETLINK_MONITOR_H_
#define TUNNEL_NETLINK_MONITOR_H_

#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "encap/address.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/netlink/address.h"
#include "tunnel/netlink/link_control.h"
#include "tunnel/netlink/netlink_socket.h"
#include "tunnel/sync/mutex.h"

namespace tunnel {

class LinkMonitor {
 public:
  using Callback = std::function<void(const LinkEvent&)>;

  static constexpr int kReceiveBuffer = 4 << 20;  // bytes

  // Watches the namespace of the calling thread. The view is complete when it
  // returns. `receive_buffer`: bytes of events that may wait. Errors: FD_LIMIT,
  // NETLINK_ERROR.
  static absl::StatusOr<std::unique_ptr<LinkMonitor>> Start(
      Callback callback, int receive_buffer = kReceiveBuffer);
  // Stops.
  ~LinkMonitor();

  // Returns when the last callback has. Idempotent; the view is old afterwards.
  void Stop();

  // True when the host can send from `address`.
  bool Has(const encap::IpAddress& address) const;
  // As AddressView::First().
  encap::IpAddress First(uint32_t ifindex, encap::IpFamily family) const;

 private:
  LinkMonitor(NetlinkSocket events, NetlinkSocket requests, UniqueFd stop,
              Callback callback);

  void Run();
  // Turns one message into events, and into a change of the view.
  void Take(const nlmsghdr* message, std::vector<LinkEvent>& events);
  void TakeLink(const nlmsghdr* message, std::vector<LinkEvent>& events);
  void TakeAddress(const nlmsghdr* message, std::vector<LinkEvent>& events);
  // A change of the routes to `destination`; nullopt: of any.
  static void AddRoute(const std::optional<encap::IpPrefix>& destination,
                       std::vector<LinkEvent>& events);
  absl::Status Reload();

  NetlinkSocket events_;
  NetlinkSocket requests_;
  const UniqueFd stop_;
  const Callback callback_;
  mutable Mutex mu_;
  AddressView view_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace tunnel

#endif  // TUNNEL_NETLINK_MONITOR_H_
