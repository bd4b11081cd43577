// What every service needs, and how a change runs.

#ifndef CTL_SERVICE_CONTEXT_H_
#define CTL_SERVICE_CONTEXT_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ctl/change_pool.h"
#include "ctl/faults.h"
#include "ctl/peer_credentials.h"
#include "ctl/peer_directory.h"
#include "ctl/watch_hub.h"
#include "proto/tunnel/v1/tunnel_service.pb.h"
#include "tunnel/tunnel_manager.h"

namespace tunnel::ctl {

// All of it outlives the services.
struct ServiceContext {
  TunnelManager& manager;
  ChangePool& pool;
  WatchHub& watches;
  const PeerDirectory& peers;
  Access access;  // of everybody who is connected to this service
};

// One mutation, as a service asks for it.
struct ChangeRequest {
  absl::string_view method;  // "CreateTunnel"
  absl::string_view name;    // of the tunnel, as the client wrote it
  bool is_delete = false;
  const v1::ChangeOptions& options;
  Faults faults;  // of the request so far; those of `options` are added
  // Runs on a thread that may wait; not called when there are faults.
  std::function<absl::StatusOr<ChangeResult>(const CallContext&,
                                             const ChangeOptions&)>
      run;
};

// Checks access and options, runs the change on the pool, logs it, and finishes
// the call with what came of it. Never blocks. The caller's cancel and deadline
// reach the manager as stop token and steady deadline.
grpc::ServerUnaryReactor* StartChange(const ServiceContext& context,
                                      grpc::CallbackServerContext* rpc,
                                      ChangeRequest request,
                                      v1::TunnelChange* response);

// The caller of `rpc`, for the manager and the audit log. The operation is
// "METHOD NAME", with NAME cut to what a log line and a table can bear.
CallContext MakeCallContext(const ServiceContext& context,
                            const grpc::CallbackServerContext& rpc,
                            absl::string_view method, absl::string_view name);

// READ_ONLY_CLIENT unless the callers of this service may change things.
absl::Status CheckMayChange(const ServiceContext& context,
                            absl::string_view method);

// Finishes `rpc` at once.
grpc::ServerUnaryReactor* FinishNow(grpc::CallbackServerContext* rpc,
                                    const absl::Status& status);

}  // namespace tunnel::ctl

#endif  // CTL_SERVICE_CONTEXT_H_
