// Capture: one stream of copies of a tunnel's packets.

#ifndef CTL_CAPTURE_CALL_H_
#define CTL_CAPTURE_CALL_H_

#include <grpcpp/support/server_callback.h>

#include "ctl/service_context.h"
#include "proto/tunnel/v1/tunnel_service.pb.h"

namespace tunnel::ctl {

// At most one message is in flight; what a slow client does not take stays in
// the tap, which then loses packets and counts them. `request` lives as long as
// the call.
grpc::ServerWriteReactor<v1::CaptureResponse>* StartCapture(
    const ServiceContext& context, const grpc::CallbackServerContext& rpc,
    const v1::CaptureRequest& request);

}  // namespace tunnel::ctl

#endif  // CTL_CAPTURE_CALL_H_
