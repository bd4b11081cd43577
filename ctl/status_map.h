// Statuses of the daemon as gRPC statuses (AIP-193).
//
// Every error carries, in `error_details`, one google.rpc.Status with exactly
// one ErrorInfo (domain "tunneld"); INVALID_ARGUMENT adds a BadRequest with all
// bad fields, CONFIG_LOCK_BUSY a RetryInfo. A status fits into the 8 KiB of
// trailers that clients take in: long texts are cut, and of very many bad
// fields the first are told, then one without a name that counts the rest.

#ifndef CTL_STATUS_MAP_H_
#define CTL_STATUS_MAP_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace tunnel::ctl {

inline constexpr char kErrorDomain[] = "tunneld";

// The code and message of `status`. A status without ErrorDetail gets the name
// of its code as reason ("INTERNAL").
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace tunnel::ctl

#endif  // CTL_STATUS_MAP_H_
