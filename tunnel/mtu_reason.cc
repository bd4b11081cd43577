#include "tunnel/mtu_reason.h"

#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"

namespace tunnel {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;

std::string Minutes(uint64_t seconds) {
  if (seconds < 60) return absl::StrCat(seconds, "s");
  return absl::StrCat(seconds / 60, "m", seconds % 60, "s");
}

}  // namespace

std::string MtuReason(const TunnelView& view, uint64_t now_ns) {
  const std::shared_ptr<const PathState> path = view.path.lock();
  if (path == nullptr) return view.mtu_reason;
  const std::optional<PathState::Learned> learned = path->LearnedNow(now_ns);
  if (!learned.has_value()) return view.mtu_reason;
  const uint64_t left = learned->expires_ns - now_ns;
  return absl::StrCat(
      learned->mtu, " (path to ", view.config.encap.remote.ToString(),
      ", learned, ", Minutes((left + kSecondNs - 1) / kSecondNs), " left) - ",
      view.overhead, " (outer headers); interface: ", view.mtu_reason);
}

}  // namespace tunnel
