// The address that the metrics are served at.

#ifndef CTL_METRICS_ADDRESS_H_
#define CTL_METRICS_ADDRESS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tunnel::ctl {

struct MetricsAddress {
  std::string host;   // a literal IPv4 address
  uint16_t port = 0;  // from 1
};

// "127.0.0.1:9469". IPv4 alone, as the web server of the system has no other.
// Errors: InvalidArgument.
absl::StatusOr<MetricsAddress> ParseMetricsAddress(absl::string_view text);

}  // namespace tunnel::ctl

#endif  // CTL_METRICS_ADDRESS_H_
