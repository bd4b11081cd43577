#include "ctl/metrics_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace tunnel::ctl {

absl::StatusOr<MetricsAddress> ParseMetricsAddress(absl::string_view text) {
  const absl::Status wrong = absl::InvalidArgumentError(
      absl::StrCat("\"", text,
                   "\" is not an address and a port, like 127.0.0.1:9469 or "
                   "[::1]:9469"));
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return wrong;
  MetricsAddress out;
  int port = 0;
  if (!absl::SimpleAtoi(text.substr(colon + 1), &port) || port < 1 ||
      port > 65535) {
    return wrong;
  }
  out.port = static_cast<uint16_t>(port);
  absl::string_view host = text.substr(0, colon);
  const bool v6 = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (v6) host = host.substr(1, host.size() - 2);
  out.host = std::string(host);
  in6_addr parsed{};
  if (inet_pton(v6 ? AF_INET6 : AF_INET, out.host.c_str(), &parsed) != 1) {
    return wrong;
  }
  return out;
}

}  // namespace tunnel::ctl
