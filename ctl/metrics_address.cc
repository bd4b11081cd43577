#include "ctl/metrics_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace tunnel::ctl {

absl::StatusOr<MetricsAddress> ParseMetricsAddress(absl::string_view text) {
  const size_t colon = std::min(text.find(':'), text.size());
  const std::string host(text.substr(0, colon));
  in_addr parsed{};
  int port = 0;
  if (colon == text.size() || inet_pton(AF_INET, host.c_str(), &parsed) != 1 ||
      !absl::SimpleAtoi(text.substr(colon + 1), &port) || port < 1 ||
      port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", text,
        "\" is not an IPv4 address and a port, like 127.0.0.1:9469"));
  }
  return MetricsAddress{host, static_cast<uint16_t>(port)};
}

}  // namespace tunnel::ctl
