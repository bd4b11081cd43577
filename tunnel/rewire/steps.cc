#include "tunnel/rewire/steps.h"

#include "tunnel/base/fault.h"

namespace tunnel {
namespace {

Establishment::Spread SpreadOf(const TunnelRecord& tunnel) {
  const EndpointConfig& config = tunnel.wiring.config;
  return {HasOneWorker(config) ? 1 : size_t{config.queues}, tunnel.spread};
}

void SetFastInput(const Datapath& path, const EndpointKey& key,
                  const FastEntry* entry) {
  if (const auto fast = FastKeyOf(key)) path.fast.SetInput(*fast, entry);
}

}  // namespace

std::optional<FastInputKey> FastKeyOf(const EndpointKey& key) {
  if (encap::IsWildcard(key.addresses.remote)) return std::nullopt;
  return FastInputKey{key.addresses, key.key, key.ifindex, key.protocol,
                      key.udp_port};
}

void Pause(const ConfigSection& section, const Datapath& path,
           std::span<TunnelRecord* const> tunnels) {
  section.SetStep("pause");
  for (TunnelRecord* tunnel : tunnels) {
    tunnel->endpoint->output().Publish(nullptr);
    path.table.senders(section).Remove(section, *tunnel->endpoint);
    if (tunnel->endpoint->fast() != nullptr)
      tunnel->endpoint->SetFastOutput(nullptr);
  }
  if (FaultActive(Fault::kPauseWithoutWait)) return;
  WaitForAll(path);
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
  for (const EndpointKey& key : keys) {
    path.table.Attach(section, key, nullptr, why);
    SetFastInput(path, key, nullptr);
  }
}

void Attach(const ConfigSection& section, const Datapath& path,
            const Wiring& wiring) {
  section.SetStep("attach");
  for (const EndpointKey& key : wiring.keys) {
    path.table.Attach(section, key, wiring.variant.get());
    SetFastInput(path, key, wiring.fast.entry.get());
  }
}

void Release(const ConfigSection& section, const Datapath& path,
             const EndpointKey& key) {
  path.table.Release(section, key);
  if (const auto fast = FastKeyOf(key)) path.fast.ForgetInput(*fast);
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
  if (tunnel.endpoint->fast() != nullptr)
    tunnel.endpoint->SetFastOutput(tunnel.wiring.fast.entry.get());
  if (FaultActive(Fault::kResumeWithoutUnpark)) return;
  if (tunnel.establishment != nullptr)
    path.pool.Unpark(section, *tunnel.establishment);
}

}  // namespace tunnel
