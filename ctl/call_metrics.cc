#include "ctl/call_metrics.h"

namespace tunnel::ctl {

void CallMetrics::CountPhases(const ChangeResult& result) {
  if (result.no_op || result.validated_only || result.replayed) return;
  const ChangeTiming& timing = result.timing;
  const std::array<const ChangeTiming::Span*, kPhases.size()> spans = {
      &timing.prepare, &timing.pause,     &timing.disestablish, &timing.detach,
      &timing.attach,  &timing.establish, &timing.resume};
  absl::MutexLock lock(&mu_);
  for (size_t i = 0; i < spans.size(); ++i) {
    if (spans[i]->has_value()) counted_.phases[i].Record(**spans[i]);
  }
}

void CallMetrics::CountPhases(const ApplyResult& result) {
  if (result.no_op || result.validated_only || result.replayed) return;
  for (const ChangeResult& change : result.changes) CountPhases(change);
}

void CallMetrics::CountHandled(absl::string_view method,
                               grpc::StatusCode code) {
  absl::MutexLock lock(&mu_);
  ++counted_.handled[{std::string(method), code}];
}

CallMetrics::Snapshot CallMetrics::Read() const {
  absl::MutexLock lock(&mu_);
  return counted_;
}

}  // namespace tunnel::ctl
