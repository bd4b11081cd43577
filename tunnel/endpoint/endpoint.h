// Endpoint: the identity of one tunnel for as long as it lives (like a softc).
//
// Workers reach it through a Variant, inside a ReadSection. It is freed only
// after its variants have been withdrawn and a grace period has passed.

#ifndef TUNNEL_ENDPOINT_ENDPOINT_H_
#define TUNNEL_ENDPOINT_ENDPOINT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "tunnel/bpf/fast_path.h"
#include "tunnel/endpoint/capture_tap.h"
#include "tunnel/endpoint/counter_blocks.h"
#include "tunnel/endpoint/variant.h"
#include "tunnel/stats/counters.h"
#include "tunnel/sync/snapshot.h"
#include "tunnel/tun/tun_device.h"

namespace tunnel {

class Endpoint {
 public:
  Endpoint(std::string name, std::unique_ptr<TunDevice> device, size_t workers)
      : name_(std::move(name)),
        device_(std::move(device)),
        counters_(std::make_shared<TunnelCounterBlocks>(workers)) {}
  // Captures learn that nothing more will come.
  ~Endpoint() {
    counters_->SetFast(nullptr);
    if (tap_set_ == nullptr) return;
    for (const auto& tap : tap_set_->taps()) tap->End();
  }
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  const std::string& name() const { return name_; }
  TunDevice& device() { return *device_; }
  const TunDevice& device() const { return *device_; }

  // What the output path encapsulates with; null while paused [S1].
  Snapshot<Variant>& output() { return output_; }
  const Snapshot<Variant>& output() const { return output_; }

  // Those who capture the tunnel's packets; null when nobody does. They are of
  // the tunnel, not of one configuration of it: each variant has them [S1].
  const Snapshot<TapSet>& taps() const { return taps_; }
  // For the control side: what is published.
  const TapSet* tap_set() const { return tap_set_.get(); }
  // Publishes `next` (may be null); what it replaces is to be kept for a grace
  // period. By the holder of the configuration lock.
  std::unique_ptr<const TapSet> SetTaps(std::unique_ptr<const TapSet> next) {
    taps_.Publish(next.get());
    std::swap(tap_set_, next);
    return next;
  }

  TunnelWorkerCounters& counters(size_t worker) const {
    return counters_->of(worker);
  }
  std::shared_ptr<const TunnelCounterBlocks> counter_blocks() const {
    return counters_;
  }

  // Whether a variant of it has ever steered; the control side's.
  bool has_steered() const { return has_steered_; }
  void SetSteered() { has_steered_ = true; }

  // Its device in the kernel's fast path; nullptr: it has never needed one. For
  // the holder of the configuration lock.
  FastTunnel* fast() const { return fast_.get(); }
  void SetFast(std::unique_ptr<FastTunnel> fast) {
    counters_->SetFast(fast.get());
    fast_ = std::move(fast);
  }
  // What the kernel encapsulates by; nullptr: nothing is entered. Needs fast().
  void SetFastOutput(const FastEntry* entry) {
    fast_->SetOutput(entry);
    fast_output_.Publish(entry == nullptr ? nullptr : fast_.get());
  }
  // Where workers give super-packets back to; null while the kernel
  // encapsulates nothing. Gone a grace period after that [S1].
  const Snapshot<FastTunnel>& fast_output() const { return fast_output_; }

  // The queue by which `worker` hands packets to the kernel.
  TunQueue& write_queue(size_t worker) {
    return device_->queue(worker % device_->queue_count());
  }

 private:
  const std::string name_;
  const std::unique_ptr<TunDevice> device_;
  const std::shared_ptr<TunnelCounterBlocks> counters_;
  std::unique_ptr<FastTunnel> fast_;
  Snapshot<Variant> output_;
  Snapshot<TapSet> taps_;
  Snapshot<FastTunnel> fast_output_;
  std::unique_ptr<const TapSet> tap_set_;
  bool has_steered_ = false;
};

}  // namespace tunnel

#endif  // TUNNEL_ENDPOINT_ENDPOINT_H_
