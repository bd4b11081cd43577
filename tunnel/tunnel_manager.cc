#include "tunnel/tunnel_manager.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "tunnel/base/clock.h"
#include "tunnel/base/cpu.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/manager_impl.h"
#include "tunnel/mtu_reason.h"
#include "tunnel/next_hop_text.h"

namespace tunnel {
namespace {

class WatcherAdapter : public TunnelManager::Watcher {
 public:
  explicit WatcherAdapter(std::unique_ptr<EventBus::Watcher> watcher)
      : watcher_(std::move(watcher)) {}
  std::vector<WatchEvent> Next(size_t max) override {
    return watcher_->Next(max);
  }

 private:
  std::unique_ptr<EventBus::Watcher> watcher_;
};

// What is asked for at the moment that it is shown. `held` is of
// LinkControl::NextHopsHeld().
void AddPresent(uint64_t now_ns, const std::string& held, TunnelView& view) {
  view.mtu_reason = MtuReason(view, now_ns);
  view.next_hop = NextHopText(view);
  if (!view.link.expired() && view.datapath_in_use == DatapathMode::kUser)
    view.next_hop_reason = held;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TunnelManager>> TunnelManager::Create(
    const Options& options, Platform& platform) {
  const size_t workers = options.workers > 0
                             ? static_cast<size_t>(options.workers)
                             : AllowedCpus().size();
  auto impl = std::make_unique<ManagerImpl>(options, platform, workers);
  RETURN_IF_ERROR(impl->Start());
  return std::unique_ptr<TunnelManager>(
      new TunnelManager(std::move(impl), platform.links));
}

TunnelManager::TunnelManager(std::unique_ptr<ManagerImpl> impl,
                             LinkControl& links)
    : impl_(std::move(impl)), links_(links) {}
TunnelManager::~TunnelManager() = default;

absl::StatusOr<ChangeResult> TunnelManager::CreateTunnel(
    const CallContext& call, const EndpointConfig& config,
    const ChangeOptions& options) {
  return impl_->Create(call, config, options);
}

absl::StatusOr<ChangeResult> TunnelManager::UpdateTunnel(
    const CallContext& call, absl::string_view name, const Edit& edit,
    const ChangeOptions& options) {
  return impl_->Update(call, name, edit, options);
}

absl::StatusOr<ChangeResult> TunnelManager::DeleteTunnel(
    const CallContext& call, absl::string_view name,
    const ChangeOptions& options) {
  return impl_->Delete(call, name, options);
}

absl::StatusOr<ChangeResult> TunnelManager::Pause(
    const CallContext& call, absl::string_view name,
    const ChangeOptions& options,
    std::optional<std::chrono::milliseconds> max) {
  return impl_->Pause(call, name, options, max);
}

absl::StatusOr<ChangeResult> TunnelManager::Resume(
    const CallContext& call, absl::string_view name,
    const ChangeOptions& options) {
  return impl_->Resume(call, name, options);
}

absl::StatusOr<ChangeResult> TunnelManager::Detach(
    const CallContext& call, absl::string_view name,
    const ChangeOptions& options) {
  return impl_->Detach(call, name, options);
}

absl::StatusOr<ChangeResult> TunnelManager::Attach(
    const CallContext& call, absl::string_view name,
    const ChangeOptions& options) {
  return impl_->Attach(call, name, options);
}

absl::StatusOr<TunnelView> TunnelManager::Get(absl::string_view name) const {
  std::optional<TunnelView> view = impl_->bus().Get(name);
  if (!view.has_value()) return impl_->NotFound(name);
  AddPresent(SteadyCoarseNs(), links_.NextHopsHeld(), *view);
  return *std::move(view);
}

TunnelList TunnelManager::List() const {
  TunnelList list = impl_->bus().List();
  const uint64_t now_ns = SteadyCoarseNs();
  const std::string held = links_.NextHopsHeld();
  for (TunnelView& view : list.tunnels) AddPresent(now_ns, held, view);
  return list;
}

absl::StatusOr<StatsSnapshot> TunnelManager::Stats(
    const std::vector<std::string>& names) const {
  return impl_->Stats(names);
}

absl::StatusOr<std::unique_ptr<TunnelManager::Watcher>> TunnelManager::Watch(
    const std::vector<std::string>& names, absl::string_view epoch,
    uint64_t since, std::function<void()> wake) {
  auto watcher = impl_->bus().Watch(names, epoch, since, std::move(wake));
  if (!watcher.ok()) return watcher.status();
  return std::make_unique<WatcherAdapter>(*std::move(watcher));
}

absl::StatusOr<std::unique_ptr<TunnelManager::Capture>>
TunnelManager::StartCapture(const CallContext& call, absl::string_view name,
                            const CaptureOptions& options) {
  return impl_->StartCapture(call, name, options);
}

absl::StatusOr<TunnelManager::HandoffResize> TunnelManager::ResizeHandoff(
    const CallContext& call, size_t packets) {
  return impl_->ResizeHandoff(call, packets);
}

ConfigLockInfo TunnelManager::LockInfo() const { return impl_->lock().Info(); }

absl::Status TunnelManager::InterruptLock(uint64_t id) {
  return impl_->lock().Interrupt(id);
}

void TunnelManager::Shutdown() { impl_->lock().Close(); }

absl::StatusOr<StatsSnapshot> ManagerImpl::Stats(
    const std::vector<std::string>& names) const {
  StatsSnapshot snapshot;
  const std::vector<EventBus::Counted> all = bus_.Counters();  // by name
  for (const std::string& name : names) {
    const bool known = std::any_of(
        all.begin(), all.end(),
        [&](const EventBus::Counted& counted) { return counted.name == name; });
    if (!known) return NotFound(name);
  }
  for (const EventBus::Counted& counted : all) {
    if (!names.empty() &&
        std::find(names.begin(), names.end(), counted.name) == names.end()) {
      continue;
    }
    StatsSnapshot::Tunnel tunnel;
    tunnel.name = counted.name;
    tunnel.counters = counted.counters->Sum();
    snapshot.tunnels.push_back(std::move(tunnel));
  }
  snapshot.unmatched_drops = pool_->UnmatchedDrops();
  snapshot.workers = pool_->Counters();
  for (CaptureCounters& capture : captures_.Counters()) {
    if (names.empty() ||
        std::find(names.begin(), names.end(), capture.tunnel) != names.end()) {
      snapshot.captures.push_back(std::move(capture));
    }
  }
  snapshot.read_time = absl::Now();
  snapshot.steady_time = SteadyNow().time_since_epoch();
  return snapshot;
}

}  // namespace tunnel
