// AwaitTurns: sees directions of tunnels over from the user path to the fast
// path, so that no packet overtakes one that the workers still have.

#ifndef TUNNEL_REWIRE_TURN_H_
#define TUNNEL_REWIRE_TURN_H_

#include <chrono>
#include <span>

#include "tunnel/rewire/steps.h"
#include "tunnel/rewire/tunnel_record.h"
#include "tunnel/sync/config_lock.h"

namespace tunnel {

// How long the workers may take until a direction is turned by force.
inline constexpr std::chrono::milliseconds kMostTurn{100};

// What attach or resume has entered takes the fast path when this returns, or
// from the next packet on. A direction whose user path is not done after
// kMostTurn is turned by force: then packets may overtake what waits there, and
// none is lost. Needs a grace period since the steps where packets may have
// come before.
void AwaitTurns(const ConfigSection& section, const Datapath& path,
                std::span<TunnelRecord* const> tunnels);

}  // namespace tunnel

#endif  // TUNNEL_REWIRE_TURN_H_
