#include "tunnel/linux_platform.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tunnel/base/error.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/bpf/attachment.h"

namespace tunnel {
namespace {

absl::StatusOr<uint64_t> EffectiveCapabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3,
                                  .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  if (syscall(SYS_capget, &header, data.data()) != 0) {
    return MakeError(Reason::kKernelFeatureMissing,
                     absl::StrCat("capget: ", std::strerror(errno)));
  }
  return uint64_t{data[1].effective} << 32 | data[0].effective;
}

// Behind a device without checksum offload the kernel sends UDP super-packets
// whose checksums are not begun: a second header on them spoils them.
class WithoutOffload : public NoFastPath {
 public:
  absl::Status Usable() override {
    return MakeError(Reason::kKernelFeatureMissing,
                     "the kernel carries no packets with --tun_offload=off");
  }
};

FastPath& FastPathWithoutOffload() {
  static WithoutOffload none;
  return none;
}

}  // namespace

absl::Status CheckCapabilities(uint64_t effective) {
  std::vector<std::string> missing;
  for (const auto& [number, name] : {std::pair(CAP_NET_ADMIN, "CAP_NET_ADMIN"),
                                     std::pair(CAP_NET_RAW, "CAP_NET_RAW")}) {
    if ((effective >> number & 1) == 0) missing.push_back(name);
  }
  if (missing.empty()) return absl::OkStatus();
  return MakeError(
      Reason::kMissingCapability,
      absl::StrCat("the daemon lacks ", absl::StrJoin(missing, " and "),
                   "; run it as root or give it the capability "
                   "(AmbientCapabilities= of systemd)"),
      {{"capability", absl::StrJoin(missing, ",")}});
}

absl::StatusOr<std::unique_ptr<LinuxPlatform>> LinuxPlatform::Create(
    const Options& options) {
  ASSIGN_OR_RETURN(const uint64_t effective, EffectiveCapabilities());
  RETURN_IF_ERROR(CheckCapabilities(effective));
  ASSIGN_OR_RETURN(std::unique_ptr<LinuxLinkControl> links,
                   LinuxLinkControl::Create(options.link_sending));
  return std::unique_ptr<LinuxPlatform>(
      new LinuxPlatform(std::move(links), options));
}

LinuxPlatform::LinuxPlatform(std::unique_ptr<LinuxLinkControl> links,
                             const Options& options)
    : tun_({.offload = options.tun_offload}),
      transport_({.send_on_link = options.link_sending != LinkSending::kNever}),
      links_(std::move(links)),
      platform_{
          .tun = tun_,
          .transport = transport_,
          .links = *links_,
          .fast = options.tun_offload ? &fast_ : &FastPathWithoutOffload()} {
  // Filters of a daemon that was killed would go on with a configuration that
  // nobody has any more.
  SweepFilters();
  // It takes tens of milliseconds, which tunnels of the user path need not
  // wait.
  if (options.tun_offload) fast_.Preload();
}

}  // namespace tunnel
