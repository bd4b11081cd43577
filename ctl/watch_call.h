// WatchTunnels: one stream of tunnel events.

#ifndef CTL_WATCH_CALL_H_
#define CTL_WATCH_CALL_H_

#include <grpcpp/support/server_callback.h>

#include "ctl/service_context.h"
#include "proto/tunnel/v1/tunnel_service.pb.h"

namespace tunnel::ctl {

// At most one message is in flight; what happens meanwhile is coalesced by the
// manager, so a slow reader costs no memory and delays nobody. `request` lives
// as long as the call.
grpc::ServerWriteReactor<v1::WatchTunnelsResponse>* StartWatch(
    const ServiceContext& context, const v1::WatchTunnelsRequest& request);

}  // namespace tunnel::ctl

#endif  // CTL_WATCH_CALL_H_
