#include "tunnel/rewire/steps.h"

#include "tunnel/base/fault.h"

namespace tunnel {
namespace {

Establishment::Spread SpreadOf(const TunnelRecord& tunnel) {
  const EndpointConfig& config = tunnel.wiring.config;
  return {HasOneWorker(config) ? 1 : size_t{config.queues}, tunnel.spread};
}

}  // namespace

void Pause(const ConfigSection& section, const Datapath& path,
           std::span<TunnelRecord* const> tunnels) {
  section.SetStep("pause");
  for (TunnelRecord* tunnel : tunnels) {
    tunnel->endpoint->output().Publish(nullptr);
    path.table.senders(section).Remove(section, *tunnel->endpoint);
  }
  if (FaultActive(Fault::kPauseWithoutWait)) return;
  path.qsbr.Wait();
}

void Pause(const ConfigSection& section, const Datapath& path,
           TunnelRecord& tunnel) {
  TunnelRecord* const one = &tunnel;
  Pause(section, path, std::span(&one, 1));
}

void Disestablish(const ConfigSection& section, const Datapath& path,
                  TunnelRecord& tunnel) {
  section.SetStep("disestablish");
  if (tunnel.establishment == nullptr) return;
  path.pool.Remove(section, *tunnel.establishment);
  tunnel.establishment.reset();
}

void Detach(const ConfigSection& section, const Datapath& path,
            const std::vector<EndpointKey>& keys, encap::DropReason why) {
  section.SetStep("detach");
  if (FaultActive(Fault::kDetachSkipped)) return;
  for (const EndpointKey& key : keys)
    path.table.Attach(section, key, nullptr, why);
}

void Attach(const ConfigSection& section, const Datapath& path,
            const std::vector<EndpointKey>& keys, const Variant& variant) {
  section.SetStep("attach");
  for (const EndpointKey& key : keys) path.table.Attach(section, key, &variant);
}

void Establish(const ConfigSection& section, const Datapath& path,
               TunnelRecord& tunnel) {
  section.SetStep("establish");
  tunnel.establishment = std::make_unique<Establishment>(
      *tunnel.endpoint, path.pool.size(), SpreadOf(tunnel));
  path.pool.Add(section, *tunnel.establishment);
}

void Resume(const ConfigSection& section, const Datapath& path,
            TunnelRecord& tunnel) {
  section.SetStep("resume");
  const Variant& variant = *tunnel.wiring.variant;
  tunnel.endpoint->output().Publish(&variant);
  path.table.senders(section).Set(section, *tunnel.endpoint,
                                  SenderKeys(variant.config));
  if (FaultActive(Fault::kResumeWithoutUnpark)) return;
  if (tunnel.establishment != nullptr)
    path.pool.Unpark(section, *tunnel.establishment);
}

}  // namespace tunnel
