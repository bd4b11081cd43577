// Rewire: which steps a change needs, and the one place that runs them.

#ifndef TUNNEL_REWIRE_REWIRE_H_
#define TUNNEL_REWIRE_REWIRE_H_

#include "tunnel/endpoint/endpoint_config.h"
#include "tunnel/rewire/steps.h"
#include "tunnel/rewire/tunnel_record.h"
#include "tunnel/sync/config_lock.h"
#include "tunnel/tunnel_types.h"

namespace tunnel {

enum class RewirePlan {
  kPublish,  // only how packets look: one publication, nothing stops
  kRewire,   // identity, peer or worker set: all six steps
};

// Pure. kPublish when both configs have the same endpoint keys, outer
// addresses, output key, mark and sequence setting.
RewirePlan PlanRewire(const Wiring& from, const Wiring& to);

// Past the commit line: turns the tunnel to `next`, whose keys are reserved and
// whose variant is built, and frees what it replaces. Keys that `next` does not
// have are given back. Cannot fail. The time of each step goes into `timing`.
void ExecuteRewire(const ConfigSection& section, const Datapath& path,
                   TunnelRecord& tunnel, Wiring next, RewirePlan plan,
                   ChangeTiming& timing);

// First establishment of a tunnel whose wiring is set and whose keys are
// reserved.
void ExecuteEstablish(const ConfigSection& section, const Datapath& path,
                      TunnelRecord& tunnel, ChangeTiming& timing);

// Takes the tunnel out for good: afterwards no worker knows of it, and the
// record may be destroyed.
void ExecuteRemove(const ConfigSection& section, const Datapath& path,
                   TunnelRecord& tunnel, ChangeTiming& timing);

// A tunnel's variant with its blocks, for `wiring`; `contexts` are shared with
// it.
std::unique_ptr<Variant> BuildVariant(Endpoint& endpoint, const Wiring& wiring,
                                      std::shared_ptr<FlowContexts> contexts);

// All packets of the tunnel that were dropped so far, both directions.
uint64_t TotalDrops(const Endpoint& endpoint);

}  // namespace tunnel

#endif  // TUNNEL_REWIRE_REWIRE_H_
