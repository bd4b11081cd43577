// Server: the management API on a unix socket.
//
// Two gRPC servers without a listening port, one for callers who may change
// things and one for those who may only read, are fed by one acceptor, which
// decides by the kernel's credentials. So what a caller may do is fixed before
// its first byte is read.

#ifndef CTL_SERVER_H_
#define CTL_SERVER_H_

#include <chrono>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "ctl/acceptor.h"
#include "ctl/listen_socket.h"
#include "ctl/metrics_address.h"
#include "ctl/watch_hub.h"
#include "tunnel/tunnel_manager.h"

namespace tunnel::ctl {

class ServerImpl;

class Server {
 public:
  struct Options {
    ListenSocket::Options listen;
    Acceptor::Options acceptor;
    WatchHub::Options watch;
    // Changes that run or wait at once; above it CONFIG_LOCK_QUEUE_FULL.
    size_t max_changes = 272;
    // Where to serve the metrics over HTTP; nullopt: nowhere.
    std::optional<MetricsAddress> metrics_listen;
    // A peer that is silent for `keepalive` is asked, and given up when it does
    // not answer within `keepalive_timeout`.
    std::chrono::milliseconds keepalive{10'000};
    std::chrono::milliseconds keepalive_timeout{5'000};
  };

  // Serves as soon as it returns. `manager` outlives it. Errors:
  // FailedPrecondition with one sentence for the operator.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const Options& options,
                                                       TunnelManager& manager);
  // The same on a socket that is open already, whatever options.listen says.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const Options& options,
                                                       ListenSocket listener,
                                                       TunnelManager& manager);
  // Shutdown() with no time to drain.
  ~Server();

  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Health says NOT_SERVING from now on; calls are still answered.
  void StopAdmission();

  // Ends watches and captures with SHUTTING_DOWN, stops accepting, removes the
  // socket, gives calls `drain` to finish and cancels the rest. Call
  // TunnelManager::Shutdown() first, so that changes that wait leave. The
  // manager may go when it has returned.
  void Shutdown(std::chrono::milliseconds drain);

 private:
  explicit Server(std::unique_ptr<ServerImpl> impl);
  std::unique_ptr<ServerImpl> impl_;
};

}  // namespace tunnel::ctl

#endif  // CTL_SERVER_H_
