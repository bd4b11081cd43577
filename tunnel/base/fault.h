// Seeded faults: defects that a test switches on to prove that it would find
// them.
//
// They exist only where TUNNELD_SEEDED_FAULTS is defined (--config=tsan);
// elsewhere FaultActive() is the constant false and costs nothing.

#ifndef TUNNEL_BASE_FAULT_H_
#define TUNNEL_BASE_FAULT_H_

#include "absl/strings/string_view.h"

namespace tunnel {

enum class Fault {
  kNone,
  kNoGracePeriod,       // Qsbr::Wait() returns at once
  kPublishBeforePause,  // a rewire publishes the new variant before the pause
};

// "no_grace_period".
constexpr absl::string_view FaultName(Fault fault) {
  switch (fault) {
    case Fault::kNone:
      return "none";
    case Fault::kNoGracePeriod:
      return "no_grace_period";
    case Fault::kPublishBeforePause:
      return "publish_before_pause";
  }
  return "none";
}

#ifdef TUNNELD_SEEDED_FAULTS
inline constexpr bool kSeededFaults = true;
// True when environment TUNNELD_FAULT, read once, names `fault`. An unknown
// name ends the process, so that a misspelt test can not pass.
bool FaultActive(Fault fault);
#else
inline constexpr bool kSeededFaults = false;
constexpr bool FaultActive(Fault) { return false; }
#endif

}  // namespace tunnel

#endif  // TUNNEL_BASE_FAULT_H_
