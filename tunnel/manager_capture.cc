// Captures: taps are put into and taken out of a tunnel without a change of its
// configuration. Its generation stays, and nobody who watches it is told.

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tunnel/base/clock.h"
#include "tunnel/base/error.h"
#include "tunnel/base/log.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/endpoint/capture_tap.h"
#include "tunnel/manager_impl.h"

namespace tunnel {
namespace {

using Taps = std::vector<std::shared_ptr<CaptureTap>>;

// Those whose reader is still there.
Taps OpenTaps(const Endpoint& endpoint) {
  Taps open;
  if (endpoint.tap_set() == nullptr) return open;
  for (const auto& tap : endpoint.tap_set()->taps()) {
    if (!tap->closed()) open.push_back(tap);
  }
  return open;
}

absl::Status CheckCapture(const CaptureOptions& options) {
  if (options.snap_length >= kMinSnapLength &&
      options.snap_length <= kMaxSnapLength) {
    return absl::OkStatus();
  }
  const std::string wrong =
      absl::StrCat(options.snap_length, "; want ", kMinSnapLength, " to ",
                   kMaxSnapLength, " bytes");
  return MakeError(Reason::kFieldInvalid, absl::StrCat("snap_length: ", wrong),
                   {}, {{"snap_length", wrong}});
}

}  // namespace

// What the caller of StartCapture() holds.
class ManagerImpl::CaptureHandle final : public TunnelManager::Capture {
 public:
  CaptureHandle(ManagerImpl& manager, uint64_t id,
                std::shared_ptr<CaptureTap> tap, bool ethernet)
      : manager_(manager), id_(id), tap_(std::move(tap)), ethernet_(ethernet) {}
  ~CaptureHandle() override {
    tap_->Close();
    if (tap_->ended()) return;
    // The reconciler takes it out.
    {
      const MutexLock lock(manager_.reconcile_mu_);
      manager_.taps_closed_ = true;
    }
    manager_.NoteTimer(SteadyNow());
  }

  size_t Read(size_t max_packets, size_t max_bytes, Take take) override {
    return tap_->Drain(max_packets, max_bytes, take);
  }
  uint64_t id() const override { return id_; }
  size_t Waiting() override { return tap_->Waiting(); }
  uint64_t lost() const override { return tap_->lost(); }
  bool ended() const override { return tap_->ended(); }
  bool ethernet() const override { return ethernet_; }

 private:
  ManagerImpl& manager_;
  const uint64_t id_;
  const std::shared_ptr<CaptureTap> tap_;
  const bool ethernet_;
};

absl::StatusOr<std::unique_ptr<TunnelManager::Capture>>
ManagerImpl::StartCapture(const CallContext& call, absl::string_view name,
                          const CaptureOptions& options) {
  RETURN_IF_ERROR(CheckCapture(options));
  ASSIGN_OR_RETURN(const ConfigSection section, Enter(call, {}));
  section.SetStep("capture");
  ASSIGN_OR_RETURN(TunnelRecord * tunnel, Lookup(section, name, {}));
  RETURN_IF_ERROR(CheckNotFailed(*tunnel));
  Taps taps = OpenTaps(*tunnel->endpoint);
  if (taps.size() >= kMaxCapturesOfTunnel) {
    return MakeError(Reason::kCaptureLimit,
                     absl::StrCat("tunnel \"", name, "\": ", taps.size(),
                                  " captures of it run, which is the limit"),
                     {{"name", std::string(name)},
                      {"limit", absl::StrCat(kMaxCapturesOfTunnel)}});
  }
  auto tap = std::make_shared<CaptureTap>(options, pool_->size());
  RETURN_IF_ERROR(section.CommitPoint());
  taps.push_back(tap);
  PublishTaps(section, *tunnel, std::move(taps));
  const uint64_t id = captures_.Add(std::string(name), tap);
  return std::make_unique<CaptureHandle>(
      *this, id, std::move(tap),
      tunnel->wiring.config.encap.mode == encap::Mode::kGretap);
}

void ManagerImpl::PublishTaps(const ConfigSection& section,
                              TunnelRecord& tunnel, Taps taps) {
  std::unique_ptr<const TapSet> next;
  if (!taps.empty()) next = std::make_unique<TapSet>(std::move(taps));
  const auto old = tunnel.endpoint->SetTaps(std::move(next));
  // No worker uses the old set, and through it a tap, afterwards.
  if (old != nullptr) qsbr_.Wait();
  // The fast path shows its packets to nobody.
  if (!RefreshFast(section, tunnel)) return;
  TurnRefreshed(section, {&tunnel});
  Announce(section, tunnel);
}

void ManagerImpl::SweepTaps() {
  {
    const MutexLock lock(reconcile_mu_);
    if (!std::exchange(taps_closed_, false)) return;
  }
  const std::optional<ConfigSection> section =
      EnterAsMonitor("monitor: capture ended");
  if (!section.has_value()) return;  // stopping
  for (auto& [name, tunnel] : tunnels_) {
    const TapSet* const now = tunnel->endpoint->tap_set();
    if (now == nullptr) continue;
    Taps open = OpenTaps(*tunnel->endpoint);
    if (open.size() != now->taps().size())
      PublishTaps(*section, *tunnel, std::move(open));
  }
}

}  // namespace tunnel
