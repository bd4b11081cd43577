// The six verbs of a rewire, each one step under the configuration lock.
//
//   pause         no new output, then wait until every worker has left
//   disestablish  take the queues and per-CPU contexts off the workers
//   detach        the table no longer leads to the tunnel
//   attach        the table leads to the new variant
//   establish     hand queues and contexts to the workers
//   resume        publish the variant for output
//
// None of them can fail: what can was prepared before the commit line.

#ifndef TUNNEL_REWIRE_STEPS_H_
#define TUNNEL_REWIRE_STEPS_H_

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "encap/drop_reason.h"
#include "tunnel/bpf/fast_path.h"
#include "tunnel/endpoint/endpoint_table.h"
#include "tunnel/path/worker_pool.h"
#include "tunnel/rewire/tunnel_record.h"
#include "tunnel/sync/config_lock.h"
#include "tunnel/sync/qsbr.h"

namespace tunnel {

// What the steps work on; all outlive it.
struct Datapath {
  EndpointTable& table;
  WorkerPool& pool;
  Qsbr& qsbr;
  FastPath& fast;
};

// A grace period of the workers and of the fast path.
inline void WaitForAll(const Datapath& path) {
  path.qsbr.Wait();
  path.fast.Wait();
}

// What the fast path looks a packet up by where the table does by `key`;
// nullopt: it knows no such packets.
std::optional<FastInputKey> FastKeyOf(const EndpointKey& key);

// When it returns, no packet of these tunnels begins its way out until
// Resume(). What waits in the device queues stays there. One grace period
// serves all.
void Pause(const ConfigSection& section, const Datapath& path,
           std::span<TunnelRecord* const> tunnels);
void Pause(const ConfigSection& section, const Datapath& path,
           TunnelRecord& tunnel);

// Workers know nothing of the tunnel's queues afterwards.
void Disestablish(const ConfigSection& section, const Datapath& path,
                  TunnelRecord& tunnel);

// The keys stay reserved for the tunnel; packets for them are dropped for `why`
// and counted on it. A grace period behind, none comes in any more.
void Detach(const ConfigSection& section, const Datapath& path,
            const std::vector<EndpointKey>& keys,
            encap::DropReason why = encap::DropReason::kDown);

// Packets for the (reserved) keys of `wiring` go to its variant.
void Attach(const ConfigSection& section, const Datapath& path,
            const Wiring& wiring);

// Nobody has the key any more.
void Release(const ConfigSection& section, const Datapath& path,
             const EndpointKey& key);

void Establish(const ConfigSection& section, const Datapath& path,
               TunnelRecord& tunnel);

// Publishes the tunnel's variant for output.
void Resume(const ConfigSection& section, const Datapath& path,
            TunnelRecord& tunnel);

}  // namespace tunnel

#endif  // TUNNEL_REWIRE_STEPS_H_
