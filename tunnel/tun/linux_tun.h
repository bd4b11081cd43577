// LinuxTunFactory: TUN and TAP devices of the kernel.
//
// Every queue carries a virtio_net_hdr in front of each packet. With offloads
// the kernel hands over TCP and UDP super-packets and partial checksums, as far
// as it can; without them packets read are finished. Packets written may be
// super-packets in both cases.

#ifndef TUNNEL_TUN_LINUX_TUN_H_
#define TUNNEL_TUN_LINUX_TUN_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tunnel/netlink/netlink_socket.h"
#include "tunnel/netlink/tun_link.h"
#include "tunnel/sync/mutex.h"
#include "tunnel/tun/tun_device.h"

namespace tunnel {

class LinuxTunFactory : public TunFactory {
 public:
  struct Options {
    std::string path = "/dev/net/tun";  // the control node
    bool offload = true;
  };
  LinuxTunFactory() : LinuxTunFactory(Options()) {}
  explicit LinuxTunFactory(Options options);

  // As TunFactory::Open(), and FIELD_INVALID for a name that is empty, longer
  // than 15 bytes or has a '%' (which the kernel would fill in), and for a
  // number of queues that is 0.
  absl::StatusOr<std::unique_ptr<TunDevice>> Open(
      const Request& request) override;
  // As TunFactory::Adopt(). Looks at the device by netlink before it attaches,
  // since attaching changes flags, and makes the device when there is none. A
  // device that is in use is waited for, kPatience long over all calls: a
  // process that was killed may still be closing its devices.
  absl::StatusOr<std::unique_ptr<TunDevice>> Adopt(const Request& request,
                                                   uint32_t ifindex) override;
  static constexpr std::chrono::milliseconds kPatience{2000};

 private:
  // As CheckAdoptable(); returns once nobody is attached, or patience is over.
  absl::Status AwaitIdle(NetlinkSocket& socket, const Request& request,
                         uint32_t ifindex);
  // False when patience is over.
  bool WaitABit() ABSL_LOCKS_EXCLUDED(mu_);

  const Options options_;
  Mutex mu_;
  std::chrono::milliseconds waited_ ABSL_GUARDED_BY(mu_){0};
};

// Errors of the two steps of Open(), pure. `error_number` is an errno.
absl::Status TunNodeError(int error_number, absl::string_view path);
absl::Status TunAttachError(int error_number, absl::string_view name,
                            size_t queue);

// NAME_IN_USE when `link` is not the idle device that Adopt() may take; says
// what differs. Pure.
absl::Status CheckAdoptable(const TunLink& link,
                            const TunFactory::Request& request,
                            uint32_t ifindex);

}  // namespace tunnel

#endif  // TUNNEL_TUN_LINUX_TUN_H_
