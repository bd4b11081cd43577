// Make before break: for a while after a change of identity the old one is
// received too, and output turns to the new one in the middle of it. When both
// ends are changed within the first half, nothing is lost.
//
//   start          turn             end
//   |  output: old  |  output: new   |
//   |  input: old and new            |  input: new

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tunnel/base/clock.h"
#include "tunnel/base/error.h"
#include "tunnel/base/log.h"
#include "tunnel/manager_impl.h"
#include "tunnel/rewire/timed.h"

namespace tunnel {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kMaxOverlap = std::chrono::hours(1);

bool Contains(const std::vector<EndpointKey>& keys, const EndpointKey& key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

}  // namespace

std::vector<EndpointKey> ManagerImpl::OldKeys(const TunnelRecord& tunnel) {
  std::vector<EndpointKey> keys;
  for (const EndpointKey& key : tunnel.overlap->old.keys) {
    if (!Contains(tunnel.wiring.keys, key)) keys.push_back(key);
  }
  return keys;
}

absl::Status ManagerImpl::CheckOverlap(const ChangeOptions& options) {
  if (!options.overlap.has_value()) return absl::OkStatus();
  const milliseconds asked = *options.overlap;
  if (asked.count() > 0 && asked <= kMaxOverlap) return absl::OkStatus();
  const std::string wrong =
      absl::StrCat(asked.count(), " ms; want more than 0 and at most ",
                   kMaxOverlap.count(), " ms");
  return MakeError(Reason::kFieldInvalid, absl::StrCat("overlap: ", wrong), {},
                   {{"overlap", wrong}});
}

void ManagerImpl::PlanOverlap(const ChangeOptions& options,
                              TransactionPart& part) {
  const TunnelRecord& tunnel = *part.tunnel;
  const Wiring& now = tunnel.wiring;
  if (!options.overlap.has_value() || part.plan != RewirePlan::kRewire ||
      tunnel.detached || !now.config.admin_up || !part.next.config.admin_up ||
      now.keys.empty() || part.next.keys.empty()) {
    return;
  }
  const milliseconds length = *options.overlap;
  Overlap overlap;
  overlap.turn_at = Deadline(SteadyNow(), length / 2);
  overlap.end_at = Deadline(SteadyNow(), length);
  overlap.until = absl::Now() + absl::FromChrono(length);
  part.overlap = std::move(overlap);
  // What fits the new headers need not fit the old ones, which output has yet.
  UnderlayState& underlay = part.next.underlay;
  if (underlay.effective_mtu > now.underlay.effective_mtu) {
    underlay.effective_mtu = now.underlay.effective_mtu;
    underlay.mtu_reason = now.underlay.mtu_reason;
  }
}

void ManagerImpl::StartOverlap(const ConfigSection& section,
                               TransactionPart& part) {
  TunnelRecord& tunnel = *part.tunnel;
  // What an overlap that has just ended gave back may be wanted again.
  for (const EndpointKey& key : part.next.keys)
    table_.Reserve(section, key, *tunnel.endpoint);
  Timed(part.result.timing.attach,
        [&] { tunnel::Attach(section, path(), part.next); });
  tunnel.overlap = std::move(part.overlap);
  std::swap(tunnel.wiring, part.next);
  // The part keeps the old config for what is left to do of it.
  const EndpointConfig old_config = part.next.config;
  tunnel.overlap->old = std::move(part.next);
  part.next = Wiring{};
  part.next.config = old_config;
  const milliseconds left =
      std::chrono::ceil<milliseconds>(tunnel.overlap->end_at - SteadyNow());
  LogInfo("two identities of a tunnel are received for a while",
          {{"tunnel", tunnel.name()}, {"ms", absl::StrCat(left.count())}});
  NoteTimer(tunnel.overlap->turn_at);
}

void ManagerImpl::TurnOutput(const ConfigSection& section,
                             TunnelRecord& tunnel) {
  Overlap& overlap = *tunnel.overlap;
  if (overlap.turned) return;
  overlap.turned = true;
  tunnel::Pause(section, path(), tunnel);
  // Other queues, or numbers or a rate, which want one worker: other workers.
  const EndpointConfig& from = overlap.old.config;
  const EndpointConfig& to = tunnel.wiring.config;
  const bool places =
      HasOneWorker(from) != HasOneWorker(to) || from.queues != to.queues;
  if (places) Disestablish(section, path(), tunnel);
  // No worker sends for the tunnel now.
  tunnel.wiring.variant->contexts->ContinueOutputOf(
      *overlap.old.variant->contexts);
  if (places) Establish(section, path(), tunnel);
  if (!tunnel.paused) tunnel::Resume(section, path(), tunnel);
  TurnRefreshed(section, {&tunnel});
  LookAgain(tunnel.name());  // the MTU may have waited for this
}

void ManagerImpl::EndOverlap(const ConfigSection& section,
                             TunnelRecord& tunnel) {
  if (!tunnel.overlap.has_value()) return;
  TurnOutput(section, tunnel);
  const std::vector<EndpointKey> old_keys = OldKeys(tunnel);
  tunnel::Detach(section, path(), old_keys);
  for (const EndpointKey& key : old_keys) Release(section, path(), key);
  // No worker has the old variant or its entries any more, no packet comes in.
  WaitForAll(path());
  pool_->WaitHandedOver(section);
  table_.Reclaim(section);
  tunnel.overlap.reset();
  WakeWaiting(section);
}

void ManagerImpl::FinishOverlaps() {
  const std::optional<ConfigSection> section =
      EnterAsMonitor("monitor: overlap of a change");
  if (!section.has_value()) return;  // stopping
  const SteadyTime now = SteadyNow();
  for (auto& [name, tunnel] : tunnels_) {
    if (!tunnel->overlap.has_value()) continue;
    if (tunnel->overlap->end_at <= now) {
      EndOverlap(*section, *tunnel);
      Announce(*section, *tunnel);
      continue;
    }
    if (tunnel->overlap->turn_at <= now) TurnOutput(*section, *tunnel);
    NoteTimer(tunnel->overlap->turned ? tunnel->overlap->end_at
                                      : tunnel->overlap->turn_at);
  }
}

std::string ManagerImpl::OverlapNote(const EndpointKey& key,
                                     const std::string& holder) const {
  const auto it = tunnels_.find(holder);
  if (it == tunnels_.end() || !it->second->overlap.has_value()) return "";
  if (!Contains(OldKeys(*it->second), key)) return "";
  const auto left = std::chrono::ceil<milliseconds>(
      it->second->overlap->end_at - SteadyNow());
  return absl::StrCat(" for another ", std::max<int64_t>(left.count(), 0),
                      " ms, since it has just been changed (overlap)");
}

}  // namespace tunnel
