// Audit: one log line for each mutation, whatever came of it.
//
// A line has the message "audit" and these fields:
//   operation, uid, pid   who asked for what
//   request_id            of the client, if it gave one
//   result, code          "ok" or the reason; the status code
//   took_us, lock_wait_us, hold_us   hold_us only where the lock was had
//   changed, validate_only, replayed
//   generation_before, generation_after   of one tunnel; 0: there is none
//   tunnels               of several: "gre0:3>4,gre1:0>1", in as many lines as
//                         that takes, which then are numbered: "part"
//   error                 the message of an error

#ifndef CTL_AUDIT_H_
#define CTL_AUDIT_H_

#include <chrono>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tunnel/tunnel_manager.h"

namespace tunnel::ctl {

struct AuditRecord {
  const CallContext& call;
  absl::string_view request_id;
  std::chrono::steady_clock::time_point start;  // of the call
  LockTimes lock_times;
};

void AuditChange(const AuditRecord& record,
                 const absl::StatusOr<ChangeResult>& result);
void AuditChange(const AuditRecord& record,
                 const absl::StatusOr<ApplyResult>& result);

// For TunnelManager::Options::on_own_change.
void AuditOwnChange(const CallContext& call,
                    const absl::StatusOr<ApplyResult>& result);

// The same for what is no change of a tunnel (InterruptConfigLock).
void AuditAction(const AuditRecord& record, const absl::Status& status);

}  // namespace tunnel::ctl

#endif  // CTL_AUDIT_H_
