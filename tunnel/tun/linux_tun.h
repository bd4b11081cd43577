// LinuxTunFactory: TUN and TAP devices of the kernel.
//
// Every queue carries a virtio_net_hdr in front of each packet. The kernel is
// asked for no offload, so that packets read are finished; packets written may
// be super-packets.

#ifndef TUNNEL_TUN_LINUX_TUN_H_
#define TUNNEL_TUN_LINUX_TUN_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tunnel/tun/tun_device.h"

namespace tunnel {

class LinuxTunFactory : public TunFactory {
 public:
  // `path` is the control node.
  explicit LinuxTunFactory(std::string path = "/dev/net/tun");

  // As TunFactory::Open(), and FIELD_INVALID for a name that is empty, longer
  // than 15 bytes or has a '%' (which the kernel would fill in), and for a
  // number of queues that is 0.
  absl::StatusOr<std::unique_ptr<TunDevice>> Open(
      const Request& request) override;

 private:
  const std::string path_;
};

// Errors of the two steps of Open(), pure. `error_number` is an errno.
absl::Status TunNodeError(int error_number, absl::string_view path);
absl::Status TunAttachError(int error_number, absl::string_view name,
                            size_t queue);

}  // namespace tunnel

#endif  // TUNNEL_TUN_LINUX_TUN_H_
