#include "tunnel/base/fault.h"

#ifdef TUNNELD_SEEDED_FAULTS
#include <cstdio>
#include <cstdlib>

namespace tunnel {
namespace {

Fault ReadFault() {
  const char* value = std::getenv("TUNNELD_FAULT");
  if (value == nullptr || *value == '\0') return Fault::kNone;
  for (int i = 0; i <= static_cast<int>(kLastFault); ++i) {
    const Fault fault = static_cast<Fault>(i);
    if (FaultName(fault) == value) return fault;
  }
  std::fprintf(stderr, "TUNNELD_FAULT: unknown fault \"%s\"\n", value);
  std::abort();
}

}  // namespace

bool FaultActive(Fault fault) {
  static const Fault active = ReadFault();
  return fault == active;
}

}  // namespace tunnel
#endif  // TUNNELD_SEEDED_FAULTS
