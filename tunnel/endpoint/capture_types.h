// What a capture of a tunnel's packets is asked for, and what it gives.

#ifndef TUNNEL_ENDPOINT_CAPTURE_TYPES_H_
#define TUNNEL_ENDPOINT_CAPTURE_TYPES_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "encap/drop_reason.h"

namespace tunnel {

// Bounds that keep the memory of captures bounded.
inline constexpr size_t kMaxCapturesOfTunnel = 4;
// The largest packet with its outer headers, and the least that tells one from
// another.
inline constexpr uint32_t kMaxSnapLength = 65535 + 128;
inline constexpr uint32_t kMinSnapLength = 16;

struct CaptureOptions {
  bool outer = false;  // sent to, received from the underlay
  bool inner = false;  // read from, written to the device
  bool drops = false;
  uint32_t snap_length = kMaxSnapLength;  // bytes kept of each packet
};

struct CapturedPacket {
  // What `bytes` begin with: an outer IP header, or what the device carries.
  enum class Layer : uint8_t { kOuter, kInner };

  uint64_t time_ns = 0;  // since 1970
  Layer layer = Layer::kOuter;
  bool transmit = false;  // on its way out
  encap::DropReason drop = encap::DropReason::kNone;
  uint32_t length = 0;             // bytes of the packet
  std::span<const uint8_t> bytes;  // the first of them
};

}  // namespace tunnel

#endif  // TUNNEL_ENDPOINT_CAPTURE_TYPES_H_
