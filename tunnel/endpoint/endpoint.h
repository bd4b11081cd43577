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
  ~Endpoint() { counters_->SetFast(nullptr); }
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  const std::string& name() const { return name_; }
  TunDevice& device() { return *device_; }
  const TunDevice& device() const { return *device_; }

  // What the output path encapsulates with; null while paused [S1].
  Snapshot<Variant>& output() { return output_; }
  const Snapshot<Variant>& output() const { return output_; }

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
  bool has_steered_ = false;
};

}  // namespace tunnel

#endif  // TUNNEL_ENDPOINT_ENDPOINT_H_
