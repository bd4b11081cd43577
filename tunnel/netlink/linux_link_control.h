// LinuxLinkControl: LinkControl of the running kernel, over netlink.
//
// Thread-safe; requests wait for each other. Serves the network namespace of
// the thread that makes it; StartMonitor() must be called from the same
// namespace.

#ifndef TUNNEL_NETLINK_LINUX_LINK_CONTROL_H_
#define TUNNEL_NETLINK_LINUX_LINK_CONTROL_H_

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tunnel/netlink/link_control.h"
#include "tunnel/netlink/monitor.h"
#include "tunnel/netlink/netlink_socket.h"
#include "tunnel/netlink/next_hops.h"
#include "tunnel/sync/mutex.h"

namespace tunnel {

class LinuxLinkControl : public LinkControl {
 public:
  // FollowNextHop() returns nullptr if `sending` is kNever, else it follows.
  // Errors: FD_LIMIT, NETLINK_ERROR.
  static absl::StatusOr<std::unique_ptr<LinuxLinkControl>> Create(
      LinkSending sending = LinkSending::kNever);
  ~LinuxLinkControl() override;

  absl::Status SetUp(uint32_t ifindex, bool up) override;
  absl::Status SetMtu(uint32_t ifindex, uint32_t mtu_bytes) override;
  absl::Status SetTxQueueLen(uint32_t ifindex, uint32_t packets) override;
  absl::Status AddAddress(uint32_t ifindex,
                          const encap::IpPrefix& address) override;
  absl::Status DeleteAddress(uint32_t ifindex,
                             const encap::IpPrefix& address) override;
  absl::StatusOr<LinkSettings> Inspect(uint32_t ifindex) override;
  absl::StatusOr<bool> Exists(uint32_t ifindex) override;
  uint64_t TransmitDrops(uint32_t ifindex) override;
  uint32_t IndexOf(absl::string_view device) override;
  // While no monitor runs, each call asks the kernel.
  bool IsLocalAddress(const encap::IpAddress& address) override;
  encap::IpAddress AddressOf(absl::string_view device,
                             encap::IpFamily family) override;
  absl::StatusOr<RouteInfo> RouteTo(const encap::IpAddress& remote,
                                    const encap::IpAddress& local,
                                    uint32_t ifindex, uint32_t mark) override;
  std::shared_ptr<const NextHop> FollowNextHop(const encap::IpAddress& remote,
                                               const encap::IpAddress& local,
                                               uint32_t ifindex,
                                               uint32_t mark) override;
  std::string NextHopsHeld() override;
  bool GoesStraight() override;
  bool HasIpsecPolicies() override;
  // INVALID_STATE when one runs.
  absl::Status StartMonitor(
      std::function<void(const LinkEvent&)> callback) override;
  void StopMonitor() override;

 private:
  LinuxLinkControl(NetlinkSocket socket, std::unique_ptr<NextHops> next_hops);
  std::shared_ptr<const LinkMonitor> monitor();
  // The addresses as the kernel has them now; none when it does not answer.
  AddressView ReadAddresses();

  const std::unique_ptr<NextHops> next_hops_;  // may be null
  Mutex request_mu_;
  NetlinkSocket socket_ ABSL_GUARDED_BY(request_mu_);
  Mutex monitor_mu_;
  std::shared_ptr<LinkMonitor> monitor_ ABSL_GUARDED_BY(monitor_mu_);
};

}  // namespace tunnel

#endif  // TUNNEL_NETLINK_LINUX_LINK_CONTROL_H_
