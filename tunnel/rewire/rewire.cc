#include "tunnel/rewire/rewire.h"

#include <algorithm>
#include <utility>

#include "tunnel/base/fault.h"
#include "tunnel/rewire/timed.h"
#include "tunnel/stats/counters.h"

namespace tunnel {
namespace {

std::vector<EndpointKey> Without(const std::vector<EndpointKey>& from,
                                 const std::vector<EndpointKey>& keys) {
  std::vector<EndpointKey> rest;
  std::copy_if(from.begin(), from.end(), std::back_inserter(rest),
               [&](const EndpointKey& key) {
                 return std::find(keys.begin(), keys.end(), key) == keys.end();
               });
  return rest;
}

void PublishOnly(const ConfigSection& section, const Datapath& path,
                 TunnelRecord& tunnel, Wiring& next, ChangeTiming& timing) {
  std::swap(tunnel.wiring, next);
  if (!tunnel.detached) {
    Timed(timing.attach, [&] {
      Attach(section, path, tunnel.wiring.keys, *tunnel.wiring.variant);
    });
    if (!tunnel.paused)
      Timed(timing.resume, [&] { Resume(section, path, tunnel); });
  }
  path.qsbr.Wait();  // no worker has the old variant any more
}

void AllSixSteps(const ConfigSection& section, const Datapath& path,
                 TunnelRecord& tunnel, Wiring& next, ChangeTiming& timing) {
  if (FaultActive(Fault::kPublishBeforePause)) {
    tunnel.endpoint->output().Publish(next.variant.get());
    path.qsbr.Wait();
  }
  Timed(timing.pause, [&] { Pause(section, path, tunnel); });
  Timed(timing.disestablish, [&] { Disestablish(section, path, tunnel); });
  const std::vector<EndpointKey> given_back =
      Without(tunnel.wiring.keys, next.keys);
  Timed(timing.detach, [&] {
    Detach(section, path, tunnel.wiring.keys);
    for (const EndpointKey& key : given_back) path.table.Release(section, key);
  });
  // No worker sends for the tunnel now, so its numbers can be carried over.
  next.variant->contexts->ContinueOutputOf(*tunnel.wiring.variant->contexts);
  std::swap(tunnel.wiring, next);
  if (!tunnel.detached) {
    Timed(timing.attach, [&] {
      Attach(section, path, tunnel.wiring.keys, *tunnel.wiring.variant);
    });
    Timed(timing.establish, [&] { Establish(section, path, tunnel); });
    if (!tunnel.paused)
      Timed(timing.resume, [&] { Resume(section, path, tunnel); });
  }
  // Receivers may still hold the old variant and entries.
  path.qsbr.Wait();
  path.table.Reclaim(section);
}

}  // namespace

RewirePlan PlanRewire(const Wiring& from, const Wiring& to) {
  const encap::EncapConfig& a = from.config.encap;
  const encap::EncapConfig& b = to.config.encap;
  const bool same = from.keys == to.keys && a.mode == b.mode &&
                    a.output_key == b.output_key && a.sequence == b.sequence &&
                    from.config.fwmark == to.config.fwmark;
  return same ? RewirePlan::kPublish : RewirePlan::kRewire;
}

void ExecuteRewire(const ConfigSection& section, const Datapath& path,
                   TunnelRecord& tunnel, Wiring next, RewirePlan plan,
                   ChangeTiming& timing) {
  const uint64_t drops = TotalDrops(*tunnel.endpoint);
  if (plan == RewirePlan::kPublish) {
    PublishOnly(section, path, tunnel, next, timing);
  } else {
    AllSixSteps(section, path, tunnel, next, timing);
  }
  timing.packets_dropped = TotalDrops(*tunnel.endpoint) - drops;
  // `next` now holds the old wiring; its variant is freed here, after the wait.
}

void ExecuteEstablish(const ConfigSection& section, const Datapath& path,
                      TunnelRecord& tunnel, ChangeTiming& timing) {
  Timed(timing.attach, [&] {
    Attach(section, path, tunnel.wiring.keys, *tunnel.wiring.variant);
  });
  Timed(timing.establish, [&] { Establish(section, path, tunnel); });
  Timed(timing.resume, [&] { Resume(section, path, tunnel); });
}

void ExecuteRemove(const ConfigSection& section, const Datapath& path,
                   TunnelRecord& tunnel, ChangeTiming& timing) {
  const uint64_t drops = TotalDrops(*tunnel.endpoint);
  Timed(timing.pause, [&] { Pause(section, path, tunnel); });
  Timed(timing.disestablish, [&] { Disestablish(section, path, tunnel); });
  Timed(timing.detach, [&] {
    Detach(section, path, tunnel.wiring.keys);
    for (const EndpointKey& key : tunnel.wiring.keys)
      path.table.Release(section, key);
    path.qsbr.Wait();
    path.table.Reclaim(section);
  });
  timing.packets_dropped = TotalDrops(*tunnel.endpoint) - drops;
}

std::unique_ptr<Variant> BuildVariant(Endpoint& endpoint, const Wiring& wiring,
                                      std::shared_ptr<FlowContexts> contexts) {
  const SendRoute route{wiring.config.encap.remote, wiring.underlay_ifindex,
                        wiring.config.fwmark};
  auto variant = std::make_unique<Variant>(endpoint, wiring.config.encap, route,
                                           std::move(contexts));
  variant->transmit_block = wiring.underlay.transmit_block;
  if (!wiring.config.admin_up) {
    variant->transmit_block = encap::DropReason::kDown;
    variant->receive_block = encap::DropReason::kDown;
  }
  return variant;
}

uint64_t TotalDrops(const Endpoint& endpoint) {
  TunnelCounters sum;
  for (const TunnelWorkerCounters& worker : *endpoint.counter_blocks())
    AddTo(worker, sum);
  uint64_t total = 0;
  for (const uint64_t n : sum.receive_drops) total += n;
  for (const uint64_t n : sum.transmit_drops) total += n;
  return total;
}

}  // namespace tunnel
