// Counts every call of a gRPC server when it ends, whichever service it is of.

#ifndef CTL_CALL_COUNTER_H_
#define CTL_CALL_COUNTER_H_

#include <grpcpp/server_builder.h>

#include "ctl/call_metrics.h"

namespace tunnel::ctl {

// For the server that `builder` makes; `metrics` outlives it. Calls of methods
// that the server does not have are not counted, so that no client can make up
// names.
void CountCalls(grpc::ServerBuilder& builder, CallMetrics& metrics);

}  // namespace tunnel::ctl

#endif  // CTL_CALL_COUNTER_H_
