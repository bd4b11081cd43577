// Audit: one log line for each mutation, whatever came of it.

#ifndef CTL_AUDIT_H_
#define CTL_AUDIT_H_

#include <chrono>
#include <string>

#include "absl/status/statusor.h"
#include "tunnel/tunnel_types.h"

namespace tunnel::ctl {

// What was asked: operation, uid and pid of `call`. What came of it: result
// (the reason of the error, or "ok"), the generation before and after (0: there
// was, or is, no such tunnel), and how long it took since `start`.
void AuditChange(const CallContext& call, bool is_delete,
                 std::chrono::steady_clock::time_point start,
                 const absl::StatusOr<ChangeResult>& result);

// The same for what is no change of a tunnel (InterruptConfigLock).
void AuditAction(const CallContext& call,
                 std::chrono::steady_clock::time_point start,
                 const absl::Status& status);

}  // namespace tunnel::ctl

#endif  // CTL_AUDIT_H_
