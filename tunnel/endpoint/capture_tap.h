// CaptureTap: copies of a tunnel's packets on their way from the workers to one
// reader.
//
// Each worker has a lane of its own: buffers that are free come to it through
// one ring and go back full through another, so it takes no lock, allocates
// nothing and never waits. Without a free buffer the copy is not made, and
// counted. Copy(): worker `worker` alone, inside the ReadSection in which it
// found the tap. Drain(): one thread at a time. lost(), Counters(), End(),
// ended(), Close(), closed(): any thread. The tap is freed one grace period
// after no Endpoint publishes it.

#ifndef TUNNEL_ENDPOINT_CAPTURE_TAP_H_
#define TUNNEL_ENDPOINT_CAPTURE_TAP_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "tunnel/base/clock.h"
#include "tunnel/endpoint/capture_types.h"
#include "tunnel/stats/depth_histogram.h"
#include "tunnel/stats/owned_counter.h"
#include "tunnel/stats/stats_snapshot.h"
#include "tunnel/sync/ring.h"

namespace tunnel {

class CaptureTap {
 public:
  // Takes memory for `workers` lanes: at most 8 MiB each, of which only what is
  // used becomes resident.
  CaptureTap(const CaptureOptions& options, size_t workers);
  ~CaptureTap();
  CaptureTap(const CaptureTap&) = delete;
  CaptureTap& operator=(const CaptureTap&) = delete;

  const CaptureOptions& options() const noexcept { return options_; }

  // Keeps the first options().snap_length bytes of `packet`.
  void Copy(size_t worker, const CapturedPacket& packet) noexcept;

  // Hands out packets in the order of their time, as far as they are there,
  // until their bytes come to `max_bytes` or their number to `max_packets`; the
  // number. What `take` gets is good until it returns.
  size_t Drain(size_t max_packets, size_t max_bytes,
               absl::FunctionRef<void(const CapturedPacket&)> take);
  // Packets that Drain() would find now. The thread of Drain().
  size_t Waiting() noexcept;
  // Copies that were not made.
  uint64_t lost() const noexcept;
  // Over all lanes. Nobody is woken: the reader comes by itself.
  HandoffCounters Counters() const;

  // The tunnel has gone: nothing more will come.
  void End() noexcept { Set(ended_); }
  bool ended() const noexcept { return Get(ended_); }
  // The reader has gone: the tap can be taken out.
  void Close() noexcept { Set(closed_); }
  bool closed() const noexcept { return Get(closed_); }

 private:
  struct Lane;

  // The lane with the packet that Drain() hands out next; null when all are
  // empty.
  Lane* Oldest() noexcept;

  // Notices of one side to the other; what was copied before is found after.
  static void Set(std::atomic<bool>& flag) noexcept {
    flag.store(true, std::memory_order_release);  // pairs with Get() [C1]
  }
  static bool Get(const std::atomic<bool>& flag) noexcept {
    return flag.load(std::memory_order_acquire);  // pairs with Set() [C1]
  }

  const CaptureOptions options_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::atomic<bool> ended_{false};
  std::atomic<bool> closed_{false};
};

// The taps of one tunnel. Immutable; published by its Endpoint, and not at all
// when there are none: what the packet path pays then is one load and one
// branch.
class TapSet {
 public:
  explicit TapSet(std::vector<std::shared_ptr<CaptureTap>> taps);

  const std::vector<std::shared_ptr<CaptureTap>>& taps() const noexcept {
    return taps_;
  }

  // By worker `worker`, with the packet as it is at that moment. `time_ns`: of
  // what has befallen it, which is earlier than now for what was sent; one
  // worker's never go back.
  void Outer(size_t worker, bool transmit, std::span<const uint8_t> bytes,
             uint64_t time_ns = RealtimeNs()) const noexcept;
  void Inner(size_t worker, bool transmit,
             std::span<const uint8_t> bytes) const noexcept;
  void Drop(size_t worker, bool transmit, encap::DropReason why,
            CapturedPacket::Layer layer, std::span<const uint8_t> bytes,
            uint64_t time_ns = RealtimeNs()) const noexcept;

 private:
  // A copy to each tap whose options have `wanted` set.
  void Give(size_t worker, bool CaptureOptions::*wanted,
            const CapturedPacket& packet) const noexcept;

  const std::vector<std::shared_ptr<CaptureTap>> taps_;
};

}  // namespace tunnel

#endif  // TUNNEL_ENDPOINT_CAPTURE_TAP_H_
