// How a call runs that may wait for the configuration lock and changes no
// tunnel: on a thread of its own, logged.

#ifndef CTL_ACTION_CALL_H_
#define CTL_ACTION_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "ctl/service_context.h"
#include "tunnel/tunnel_manager.h"

namespace tunnel::ctl {

// Checks access, calls `run` on the pool, logs the action and finishes the call
// with its status. Never blocks. The caller's cancel and deadline reach the
// manager as in a change. What `run` uses of the call lives long enough.
grpc::ServerUnaryReactor* StartAction(
    const ServiceContext& context, grpc::CallbackServerContext* rpc,
    absl::string_view method, const std::string& name,
    std::function<absl::Status(const CallContext&)> run);

}  // namespace tunnel::ctl

#endif  // CTL_ACTION_CALL_H_
