// LinuxPlatform: the Platform of the running kernel, in the network namespace
// of the thread that makes it.

#ifndef TUNNEL_LINUX_PLATFORM_H_
#define TUNNEL_LINUX_PLATFORM_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tunnel/bpf/linux_fast_path.h"
#include "tunnel/netlink/linux_link_control.h"
#include "tunnel/platform.h"
#include "tunnel/tun/linux_tun.h"
#include "tunnel/underlay/linux_transport.h"

namespace tunnel {

class LinuxPlatform {
 public:
  struct Options {
    bool tun_offload = true;  // LinuxTunFactory::Options::offload
    LinkSending link_sending = LinkSending::kNever;
  };

  // Errors: MISSING_CAPABILITY (metadata "capability" names each that lacks),
  // FD_LIMIT, NETLINK_ERROR.
  // Begins to load the programs of the fast path, if it may (CAP_BPF,
  // CAP_PERFMON), with the capabilities of now: later on CAP_BPF and
  // CAP_NET_ADMIN are enough for them.
  static absl::StatusOr<std::unique_ptr<LinuxPlatform>> Create(
      const Options& options);

  // Good as long as this object.
  Platform& platform() { return platform_; }

 private:
  LinuxPlatform(std::unique_ptr<LinuxLinkControl> links,
                const Options& options);

  LinuxTunFactory tun_;
  LinuxTransportFactory transport_;
  const std::unique_ptr<LinuxLinkControl> links_;
  LinuxFastPath fast_;
  Platform platform_;
};

// OK when `effective`, a set of capabilities (bit n is capability number n),
// has what the tunnels need: CAP_NET_ADMIN and CAP_NET_RAW. Else
// MISSING_CAPABILITY.
absl::Status CheckCapabilities(uint64_t effective);

}  // namespace tunnel

#endif  // TUNNEL_LINUX_PLATFORM_H_
