// Rewire: which steps a change needs, and the one place that runs them.

#ifndef TUNNEL_REWIRE_REWIRE_H_
#define TUNNEL_REWIRE_REWIRE_H_

#include <memory>
#include <span>

#include "tunnel/endpoint/endpoint_config.h"
#include "tunnel/rewire/steps.h"
#include "tunnel/rewire/tunnel_record.h"
#include "tunnel/sync/config_lock.h"
#include "tunnel/tunnel_types.h"

namespace tunnel {

enum class RewirePlan {
  kPublish,  // only how packets look: one publication, nothing stops
  kMove,     // other workers: output waits in the queues, input goes on
  kRewire,   // identity or peer: all six steps
};

// Pure. kRewire unless both configs have the same endpoint keys, outer
// addresses, output key, mark and sequence setting; then kMove when the number
// of queues differs or a rate comes or goes, else kPublish.
RewirePlan PlanRewire(const Wiring& from, const Wiring& to);

// One tunnel of a change.
struct RewireItem {
  enum class Kind {
    kEstablish,  // the first time: its wiring is set
    kChange,     // turns to `next`
    kRemove,     // for good: afterwards no worker knows of it
  };
  Kind kind = Kind::kChange;
  TunnelRecord* tunnel = nullptr;
  // kChange: the wiring to turn to, its variant built; afterwards it holds the
  // old wiring.
  Wiring* next = nullptr;
  RewirePlan plan = RewirePlan::kRewire;
  ChangeTiming* timing = nullptr;
};

// Past the commit line: runs each step for all items before the next one, so
// that one grace period serves them all and tunnels may swap their endpoints. A
// key that a tunnel is to have and nobody else gives up in `items` is reserved;
// keys that are no longer wanted are given back. Cannot fail. When it returns,
// no worker uses what was replaced or removed. `timing` gets the time of each
// step of the whole change that the item took part in.
void ExecuteRewire(const ConfigSection& section, const Datapath& path,
                   std::span<const RewireItem> items);

// A tunnel's variant with its blocks, for `wiring`; `contexts` are shared with
// it.
std::unique_ptr<Variant> BuildVariant(Endpoint& endpoint, const Wiring& wiring,
                                      std::shared_ptr<FlowContexts> contexts);

// All packets of the tunnel that were dropped so far, both directions.
uint64_t TotalDrops(const Endpoint& endpoint);

}  // namespace tunnel

#endif  // TUNNEL_REWIRE_REWIRE_H_
