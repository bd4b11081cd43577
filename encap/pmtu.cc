#include "encap/pmtu.h"

#include <algorithm>
#include <array>

namespace encap {
namespace {

// RFC 1191 7.1, table 7-1, down to the floor.
constexpr std::array<uint32_t, 9> kPlateaus = {
    65535, 32000, 17914, 8166, 4352, 2002, 1492, 1006, kMinPathMtuV4};

}  // namespace

uint32_t PlateauBelow(uint32_t packet_len) noexcept {
  for (const uint32_t plateau : kPlateaus) {
    if (plateau < packet_len) return plateau;
  }
  return kMinPathMtuV4;
}

bool PathMtu::Learn(uint32_t mtu, uint32_t packet_len,
                    uint64_t now_ns) noexcept {
  if (outer_ == IpFamily::kV6) {
    if (mtu < kMinPathMtuV6) return false;
  } else {
    // A quoted length can be larger than what was sent (RFC 1191 5).
    if (mtu == 0) {
      mtu =
          PlateauBelow(packet_len == 0 ? value_ : std::min(packet_len, value_));
    }
    mtu = std::max(mtu, kMinPathMtuV4);
  }
  if (mtu >= value_) return false;
  value_ = mtu;
  learned_ = true;
  learned_ns_ = now_ns;
  return true;
}

bool PathMtu::SetUnderlayMtu(uint32_t underlay_mtu) noexcept {
  underlay_mtu_ = underlay_mtu;
  if (learned_ && value_ < underlay_mtu) return false;
  const bool changed = value_ != underlay_mtu;
  value_ = underlay_mtu;
  learned_ = false;
  return changed;
}

bool PathMtu::Age(uint64_t now_ns) noexcept {
  if (!learned_ || now_ns < expires_ns()) return false;
  return Forget();
}

bool PathMtu::Forget() noexcept {
  if (!learned_) return false;
  learned_ = false;
  const bool changed = value_ != underlay_mtu_;
  value_ = underlay_mtu_;
  return changed;
}

}  // namespace encap
