#include "tunnel/bpf/fast_path.h"

#include "tunnel/base/error.h"

namespace tunnel {

absl::Status NoFastPath::Usable() {
  return MakeError(Reason::kKernelFeatureMissing,
                   "there is no kernel that could carry packets");
}

absl::StatusOr<std::unique_ptr<FastTunnel>> NoFastPath::Open(uint32_t, size_t) {
  return Usable();
}

}  // namespace tunnel
