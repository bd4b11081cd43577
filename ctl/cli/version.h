// Versions that `tunnelctl version` prints.

#ifndef CTL_CLI_VERSION_H_
#define CTL_CLI_VERSION_H_

#include "absl/strings/string_view.h"

namespace tunnel::ctl::cli {

inline constexpr absl::string_view kVersion = "0.1.0";
inline constexpr absl::string_view kApiVersion = "tunnel.v1";

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_VERSION_H_
