#include "tunnel/rewire/rewire.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "tunnel/base/fault.h"
#include "tunnel/rewire/timed.h"
#include "tunnel/rewire/turn.h"
#include "tunnel/stats/counters.h"

namespace tunnel {
namespace {

using Kind = RewireItem::Kind;
using Span = ChangeTiming::Span;

bool Contains(const std::vector<EndpointKey>& keys, const EndpointKey& key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

// One change of any number of tunnels: the steps of ExecuteRewire(), in order.
class Change {
 public:
  Change(const ConfigSection& section, const Datapath& path,
         std::span<const RewireItem> items)
      : section_(section), path_(path), items_(items) {
    for (const RewireItem& item : items) {
      drops_.push_back(TotalDrops(*item.tunnel->endpoint));
      if (Stops(item)) stopped_.push_back(item.tunnel);
      if (Stays(item)) turning_.push_back(item.tunnel);
      replaces_ |= item.kind != Kind::kEstablish;
    }
  }

  void Run() {
    Stop();
    TurnOver();
    Start();
    // Workers may still hold old variants and entries, and packets that came in
    // by them.
    path_.qsbr.Wait();
    path_.pool.WaitHandedOver(section_);
    if (replaces_) path_.fast.Wait();
    path_.table.Reclaim(section_);
    AwaitTurns(section_, path_, turning_);
    for (size_t i = 0; i < items_.size(); ++i) {
      items_[i].timing->packets_dropped =
          TotalDrops(*items_[i].tunnel->endpoint) - drops_[i];
    }
  }

 private:
  // Output stops.
  static bool Stops(const RewireItem& item) {
    return item.kind == Kind::kRemove ||
           (item.kind == Kind::kChange && item.plan != RewirePlan::kPublish);
  }
  // The table lets go of it as well.
  static bool Leaves(const RewireItem& item) {
    return Stops(item) && item.plan == RewirePlan::kRewire;
  }
  static bool Stays(const RewireItem& item) {
    return item.kind != Kind::kRemove;
  }

  // Runs `step` on the items that `which` chooses; each of them gets the time
  // of the whole.
  template <typename Which, typename Step>
  void Phase(Span ChangeTiming::*span, Which&& which, Step&& step) {
    Span time;
    Timed(time, [&] {
      for (const RewireItem& item : items_) {
        if (which(item)) step(item);
      }
    });
    for (const RewireItem& item : items_) {
      if (which(item)) item.timing->*span = time;
    }
  }

  void Stop() {
    if (stopped_.empty()) return;
    if (FaultActive(Fault::kPublishBeforePause)) PublishTooEarly();
    Span time;
    Timed(time, [&] { Pause(section_, path_, stopped_); });
    for (const RewireItem& item : items_) {
      if (Stops(item)) item.timing->pause = time;
    }
    Phase(&ChangeTiming::disestablish, Stops, [&](const RewireItem& item) {
      Disestablish(section_, path_, *item.tunnel);
    });
    Phase(&ChangeTiming::detach, Leaves, [&](const RewireItem& item) {
      Detach(section_, path_, item.tunnel->wiring.keys,
             encap::DropReason::kPaused);
      GiveBack(item);
    });
  }

  void PublishTooEarly() {
    for (const RewireItem& item : items_) {
      if (item.kind == Kind::kChange && Stops(item))
        item.tunnel->endpoint->output().Publish(item.next->variant.get());
    }
    path_.qsbr.Wait();
  }

  // Seeded fault: `next` becomes `live`, with what `next` has.
  static void EditInPlace(Wiring& now, Wiring& next) {
    Variant* const live = now.variant.get();
    Variant wanted = std::move(*next.variant);
    std::destroy_at(live);
    new (live) Variant(std::move(wanted));
    std::swap(now.variant, next.variant);
  }

  void GiveBack(const RewireItem& item) {
    for (const EndpointKey& key : item.tunnel->wiring.keys) {
      if (item.kind == Kind::kChange && Contains(item.next->keys, key))
        continue;
      Release(section_, path_, key);
    }
  }

  // The wirings change places. No worker sends for a stopped tunnel now, so its
  // numbers can be carried over.
  void TurnOver() {
    for (const RewireItem& item : items_) {
      if (item.kind == Kind::kChange) {
        Wiring& now = item.tunnel->wiring;
        if (Leaves(item)) {
          item.next->variant->contexts->ContinueOutputOf(
              *now.variant->contexts);
        }
        if (FaultActive(Fault::kVariantEditedInPlace) && !Stops(item))
          EditInPlace(now, *item.next);
        std::swap(now, *item.next);
      }
      if (!Stays(item)) continue;
      // What another tunnel has just given back; the others are held already.
      for (const EndpointKey& key : item.tunnel->wiring.keys)
        path_.table.Reserve(section_, key, *item.tunnel->endpoint);
    }
  }

  void Start() {
    const auto attached = [](const RewireItem& item) {
      return Stays(item) && !item.tunnel->detached;
    };
    Phase(&ChangeTiming::attach, attached, [&](const RewireItem& item) {
      Attach(section_, path_, item.tunnel->wiring);
    });
    Phase(
        &ChangeTiming::establish,
        [&](const RewireItem& item) {
          return attached(item) &&
                 (item.kind == Kind::kEstablish || Stops(item));
        },
        [&](const RewireItem& item) {
          Establish(section_, path_, *item.tunnel);
        });
    Phase(
        &ChangeTiming::resume,
        [&](const RewireItem& item) {
          return attached(item) && (!item.tunnel->paused ||
                                    FaultActive(Fault::kResumeForgetsPause));
        },
        [&](const RewireItem& item) { Resume(section_, path_, *item.tunnel); });
  }

  const ConfigSection& section_;
  const Datapath& path_;
  const std::span<const RewireItem> items_;
  std::vector<TunnelRecord*> stopped_, turning_;
  bool replaces_ = false;  // something that a packet may have met before
  std::vector<uint64_t> drops_;
};

// A tunnel that has steered once may have packets on their way between workers
// when it does not any more.
SteerMode SteerModeOf(Endpoint& endpoint, const EndpointConfig& config) {
  if (Steers(config)) {
    endpoint.SetSteered();
    return SteerMode::kSteered;
  }
  return endpoint.has_steered() ? SteerMode::kSettling : SteerMode::kDirect;
}

}  // namespace

RewirePlan PlanRewire(const Wiring& from, const Wiring& to) {
  const encap::EncapConfig& a = from.config.encap;
  const encap::EncapConfig& b = to.config.encap;
  const bool same = from.keys == to.keys && a.mode == b.mode &&
                    a.output_key == b.output_key && a.sequence == b.sequence &&
                    from.config.fwmark == to.config.fwmark;
  if (!same) return RewirePlan::kRewire;
  const bool places = HasOneWorker(from.config) == HasOneWorker(to.config) &&
                      from.config.queues == to.config.queues;
  return places ? RewirePlan::kPublish : RewirePlan::kMove;
}

void ExecuteRewire(const ConfigSection& section, const Datapath& path,
                   std::span<const RewireItem> items) {
  if (FaultActive(Fault::kSwapOneByOne)) {
    for (size_t i = 0; i < items.size(); ++i)
      Change(section, path, items.subspan(i, 1)).Run();
    return;
  }
  Change(section, path, items).Run();
}

std::unique_ptr<Variant> BuildVariant(Endpoint& endpoint, const Wiring& wiring,
                                      std::shared_ptr<FlowContexts> contexts) {
  const SendRoute route{wiring.config.encap.remote, wiring.underlay_ifindex,
                        wiring.config.fwmark, wiring.underlay.next_hop};
  auto variant = std::make_unique<Variant>(endpoint, EffectiveEncap(wiring),
                                           route, std::move(contexts));
  variant->transmit_block = wiring.underlay.transmit_block;
  variant->path = wiring.underlay.path;
  variant->mss = MssLimitsFor(wiring);
  variant->shape = {wiring.config.rate, EffectiveBurst(wiring.config)};
  variant->steer = SteerModeOf(endpoint, wiring.config);
  if (!wiring.config.admin_up) {
    variant->transmit_block = encap::DropReason::kDown;
    variant->receive_block = encap::DropReason::kDown;
  }
  return variant;
}

uint64_t TotalDrops(const Endpoint& endpoint) {
  const TunnelCounters sum = endpoint.counter_blocks()->Sum();
  uint64_t total = 0;
  for (const uint64_t n : sum.receive_drops) total += n;
  for (const uint64_t n : sum.transmit_drops) total += n;
  return total;
}

}  // namespace tunnel
