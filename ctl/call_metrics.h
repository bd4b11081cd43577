// CallMetrics: what the API counts about its own calls.
//
// Any thread may call; one leaf mutex, control path only.

#ifndef CTL_CALL_METRICS_H_
#define CTL_CALL_METRICS_H_

#include <grpcpp/support/status.h>

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "tunnel/base/latency_histogram.h"
#include "tunnel/tunnel_types.h"

namespace tunnel::ctl {

class CallMetrics {
 public:
  // Steps of a change, as ChangeTiming has them.
  static constexpr std::array<const char*, 7> kPhases = {
      "prepare", "pause",     "disestablish", "detach",
      "attach",  "establish", "resume"};

  // Counts each step of each tunnel that was really changed.
  void CountPhases(const ChangeResult& result) ABSL_LOCKS_EXCLUDED(mu_);
  void CountPhases(const ApplyResult& result) ABSL_LOCKS_EXCLUDED(mu_);

  // A call of `method` ("CreateTunnel") has ended with `code`.
  void CountHandled(absl::string_view method, grpc::StatusCode code)
      ABSL_LOCKS_EXCLUDED(mu_);

  struct Snapshot {
    std::array<LatencyHistogram, kPhases.size()> phases;  // as kPhases
    std::map<std::pair<std::string, grpc::StatusCode>, uint64_t> handled;
  };
  Snapshot Read() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  mutable absl::Mutex mu_;
  Snapshot counted_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tunnel::ctl

#endif  // CTL_CALL_METRICS_H_
