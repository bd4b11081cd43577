#include "ctl/privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace tunnel::ctl {
namespace {

constexpr int kMaxCapability = 63;
constexpr int kKept[] = {CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF};

bool IsKept(int capability) {
  return std::find(std::begin(kKept), std::end(kKept), capability) !=
         std::end(kKept);
}

absl::Status Refused(absl::string_view call) {
  return absl::FailedPreconditionError(absl::StrCat(
      "capabilities can not be given up: ", call, ": ", std::strerror(errno)));
}

// The bounding set can be cut by holders of CAP_SETPCAP only; who does not have
// it could not gain anything by exec either, once no_new_privs is set.
absl::Status CutBoundingSet() {
  for (int capability = 0; capability <= kMaxCapability; ++capability) {
    if (IsKept(capability)) continue;
    if (prctl(PR_CAPBSET_READ, capability, 0, 0, 0) < 0)
      break;  // past the last
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EPERM) {
      return Refused("PR_CAPBSET_DROP");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status KeepNetworkCapabilitiesOnly() {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return Refused("PR_SET_NO_NEW_PRIVS");
  }
  if (absl::Status status = CutBoundingSet(); !status.ok()) return status;
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3,
                                  .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  if (syscall(SYS_capget, &header, data.data()) != 0) return Refused("capget");
  std::array<uint32_t, _LINUX_CAPABILITY_U32S_3> kept{};
  for (const int capability : kKept)
    kept[CAP_TO_INDEX(capability)] |= CAP_TO_MASK(capability);
  for (size_t i = 0; i < data.size(); ++i) {
    data[i].effective &= kept[i];
    data[i].permitted &= kept[i];
    data[i].inheritable = 0;
  }
  if (syscall(SYS_capset, &header, data.data()) != 0) return Refused("capset");
  return absl::OkStatus();
}

}  // namespace tunnel::ctl
