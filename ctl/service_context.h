// What every service needs.

#ifndef CTL_SERVICE_CONTEXT_H_
#define CTL_SERVICE_CONTEXT_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "ctl/call_metrics.h"
#include "ctl/capture_hub.h"
#include "ctl/change_pool.h"
#include "ctl/peer_credentials.h"
#include "ctl/peer_directory.h"
#include "ctl/watch_hub.h"
#include "tunnel/tunnel_manager.h"

namespace tunnel::ctl {

// All of it outlives the services.
struct ServiceContext {
  TunnelManager& manager;
  ChangePool& pool;
  WatchHub& watches;
  CaptureHub& captures;
  const PeerDirectory& peers;
  CallMetrics& metrics;
  Access access;  // of everybody who is connected to this service
};

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
