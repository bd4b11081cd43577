// Client: the calls of the API over one connection.
//
// Only client.cc sees gRPC, since each file that does costs seconds to compile.

#ifndef CTL_CLI_CLIENT_H_
#define CTL_CLI_CLIENT_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "ctl/cli/errors.h"
#include "proto/tunnel/v1/tunnel_service.pb.h"

namespace tunnel::ctl::cli {

// How long a call may last, and whether Ctrl-C cancels it.
struct CallLimits {
  absl::Time deadline = absl::InfiniteFuture();
  bool interruptible = true;
};

// One thread. Every call blocks until it has ended; an error carries the reason
// of the daemon, or DEADLINE_EXCEEDED, or CANCELLED without a reason.
class Client {
 public:
  // Takes over `fd`, a connected socket that does not block; `target` is for
  // messages.
  Client(int fd, std::string target);
  ~Client();

  template <typename Request, typename Reply>
  using Method = CallError (Client::*)(const Request&, const CallLimits&,
                                       Reply*);

  CallError Create(const v1::CreateTunnelRequest& request,
                   const CallLimits& limits, v1::TunnelChange* reply);
  CallError Get(const v1::GetTunnelRequest& request, const CallLimits& limits,
                v1::Tunnel* reply);
  CallError List(const v1::ListTunnelsRequest& request,
                 const CallLimits& limits, v1::ListTunnelsResponse* reply);
  CallError Update(const v1::UpdateTunnelRequest& request,
                   const CallLimits& limits, v1::TunnelChange* reply);
  CallError Delete(const v1::DeleteTunnelRequest& request,
                   const CallLimits& limits, v1::TunnelChange* reply);
  CallError Pause(const v1::PauseTunnelRequest& request,
                  const CallLimits& limits, v1::TunnelChange* reply);
  CallError Resume(const v1::ResumeTunnelRequest& request,
                   const CallLimits& limits, v1::TunnelChange* reply);
  CallError Detach(const v1::DetachEndpointRequest& request,
                   const CallLimits& limits, v1::TunnelChange* reply);
  CallError Attach(const v1::AttachEndpointRequest& request,
                   const CallLimits& limits, v1::TunnelChange* reply);
  CallError Apply(const v1::ApplyConfigRequest& request,
                  const CallLimits& limits, v1::ConfigChange* reply);
  CallError Confirm(const v1::ConfirmApplyRequest& request,
                    const CallLimits& limits, v1::ConfigChange* reply);
  CallError Revert(const v1::RevertApplyRequest& request,
                   const CallLimits& limits, v1::ConfigChange* reply);
  CallError GetLock(const v1::GetConfigLockRequest& request,
                    const CallLimits& limits, v1::ConfigLockState* reply);
  CallError InterruptLock(const v1::InterruptConfigLockRequest& request,
                          const CallLimits& limits,
                          v1::InterruptConfigLockResponse* reply);
  CallError ResizeHandoff(const v1::ResizeHandoffRequest& request,
                          const CallLimits& limits,
                          v1::ResizeHandoffResponse* reply);
  CallError GetStats(const v1::GetStatsRequest& request,
                     const CallLimits& limits, v1::GetStatsResponse* reply);
  CallError GetMetrics(const v1::GetMetricsRequest& request,
                       const CallLimits& limits, v1::GetMetricsResponse* reply);

  // Gives each event to `handle` until that returns false (the result is then
  // OK), or the stream ends.
  CallError Watch(
      const v1::WatchTunnelsRequest& request, const CallLimits& limits,
      const std::function<bool(const v1::WatchTunnelsResponse&)>& handle);
  // The same for captured packets. Ctrl-C ends the capture in order: what has
  // been captured until then is still given to `handle`.
  CallError Capture(
      const v1::CaptureRequest& request, const CallLimits& limits,
      const std::function<bool(const v1::CaptureResponse&)>& handle);

 private:
  struct Stubs;

  const std::string target_;
  const std::unique_ptr<Stubs> stubs_;
};

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_CLIENT_H_
