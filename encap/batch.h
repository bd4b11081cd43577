// EncapsulateBatch, DecapsulateBatch: many packets a call, over buffers that
// the caller owns.
//
// What the packets need next is fetched into the cache while others are worked
// on, which pays where packets come from memory that the CPU has not touched.
// Results are the same as of one call for each packet, in order. No heap, lock,
// log, exception or clock.

#ifndef ENCAP_BATCH_H_
#define ENCAP_BATCH_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "encap/decapsulator.h"
#include "encap/drop_reason.h"
#include "encap/encapsulator.h"
#include "encap/endpoint_map.h"
#include "encap/outer_parse.h"
#include "encap/packet.h"

namespace encap {

// Encapsulates each of `packets`; `reasons[i]` is what Encapsulate() says of
// packets[i], and `reasons` is at least as long as `packets`. Returns how many
// are kNone.
size_t EncapsulateBatch(const Encapsulator& encapsulator,
                        std::span<PacketBuffer> packets, OutputState& state,
                        std::span<DropReason> reasons) noexcept;

// The receiving side of one tunnel on one thread. Both are the caller's.
struct InputTunnel {
  const Decapsulator* decapsulator = nullptr;  // null: the tunnel is down
  InputState* state = nullptr;
};

struct InputResult {
  DropReason reason = DropReason::kNone;
  // Index of the tunnel; kNoTunnel where the packet belongs to none.
  uint32_t tunnel = 0;
  static constexpr uint32_t kNoTunnel = 0xffffffff;
};

// Parses each of `packets`, which start at the outer IP header, finds its
// tunnel in `map` and decapsulates it with tunnels[N], N being the number that
// `map` has for it. `results` is at least as long as `packets`. Reasons are
// those of ParseOuter(), EndpointMap::Find() and Decapsulator::Decapsulate();
// kDown for a tunnel without a decapsulator or behind the end of `tunnels`. A
// packet that is dropped is unchanged. Returns how many are kNone.
size_t DecapsulateBatch(const EndpointMap& map,
                        std::span<const InputTunnel> tunnels,
                        const ParseOptions& options,
                        std::span<PacketBuffer> packets,
                        std::span<InputResult> results) noexcept;

}  // namespace encap

#endif  // ENCAP_BATCH_H_
