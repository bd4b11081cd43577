#include "ctl/metrics_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <string.h>
#include <sys/socket.h>

#include <exception>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ctl/metrics.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/base/unique_fd.h"

namespace tunnel::ctl {
namespace {

// What a scrape reads.
class Source final : public prometheus::Collectable {
 public:
  Source(const TunnelManager& manager, const CallMetrics& calls)
      : manager_(manager), calls_(calls) {}
  std::vector<prometheus::MetricFamily> Collect() const override {
    return CollectMetrics(manager_, calls_);
  }

 private:
  const TunnelManager& manager_;
  const CallMetrics& calls_;
};

std::string Text(const MetricsAddress& address) {
  return absl::StrCat(address.host, ":", address.port);
}

absl::Status CanNotServe(const MetricsAddress& address, absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat(
      "--metrics_listen=", Text(address), ": can not listen: ", why));
}

// The web server does not say why it can not listen: ask the kernel first.
absl::Status TryToListen(const MetricsAddress& address) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(address.port);
  inet_pton(AF_INET, address.host.c_str(), &where.sin_addr);
  if (!fd.valid() ||
      setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      bind(fd.get(), reinterpret_cast<const sockaddr*>(&where),
           sizeof(where)) != 0 ||
      listen(fd.get(), 1) != 0) {
    return CanNotServe(address, strerror(errno));
  }
  return absl::OkStatus();
}

}  // namespace

class MetricsServer::Impl {
 public:
  // Throws what the web server throws.
  Impl(const MetricsAddress& address, const TunnelManager& manager,
       const CallMetrics& calls)
      : source_(std::make_shared<Source>(manager, calls)),
        exposer_({"listening_ports", Text(address), "num_threads", "2",
                  "request_timeout_ms", "10000", "enable_keep_alive", "no"}) {
    exposer_.RegisterCollectable(source_);
  }

 private:
  const std::shared_ptr<Source> source_;
  prometheus::Exposer exposer_;
};

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(
    const MetricsAddress& address, const TunnelManager& manager,
    const CallMetrics& calls) {
  RETURN_IF_ERROR(TryToListen(address));
  try {
    return std::unique_ptr<MetricsServer>(
        new MetricsServer(std::make_unique<Impl>(address, manager, calls)));
  } catch (const std::exception& error) {
    return CanNotServe(address, error.what());
  }
}

MetricsServer::MetricsServer(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}
MetricsServer::~MetricsServer() = default;

}  // namespace tunnel::ctl
