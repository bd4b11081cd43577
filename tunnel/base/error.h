// Errors of the control path: absl::Status with a reason out of a closed list.
//
// The reason, its metadata and all bad fields travel as one payload of the
// status, so that nothing below ctl/ knows how an API presents them.
// docs/errors.md has a row for each reason.

#ifndef TUNNEL_BASE_ERROR_H_
#define TUNNEL_BASE_ERROR_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace tunnel {

// X(Enumerator, NAME, absl::StatusCode, "what it means and what to do")
#define TUNNEL_ERROR_REASONS(X)                                               \
  X(FieldInvalid, FIELD_INVALID, kInvalidArgument,                            \
    "a field is missing, malformed or out of range; every such field is "     \
    "listed")                                                                 \
  X(FamilyMismatch, FAMILY_MISMATCH, kInvalidArgument,                        \
    "local and remote, or the mode, want different IP versions")              \
  X(UnknownMode, UNKNOWN_MODE, kInvalidArgument,                              \
    "the mode is not one of the known modes")                                 \
  X(NameInUse, NAME_IN_USE, kAlreadyExists,                                   \
    "a tunnel or another interface has this name")                            \
  X(EndpointPairInUse, ENDPOINT_PAIR_IN_USE, kAlreadyExists,                  \
    "another tunnel has the same protocol, local, remote and input key")      \
  X(EtagMismatch, ETAG_MISMATCH, kAborted,                                    \
    "the tunnel has changed since it was read; read it again and repeat")     \
  X(ConfigLockBusy, CONFIG_LOCK_BUSY, kAborted,                               \
    "the configuration lock was not free within lock_timeout; try again")     \
  X(ConfigLockInterrupted, CONFIG_LOCK_INTERRUPTED, kAborted,                 \
    "an operator ended the wait for the configuration lock; nothing has "     \
    "changed")                                                                \
  X(ConfigLockQueueFull, CONFIG_LOCK_QUEUE_FULL, kResourceExhausted,          \
    "too many changes wait for the configuration lock; try again later")      \
  X(Cancelled, CANCELLED, kCancelled,                                         \
    "the caller cancelled; nothing has changed")                              \
  X(DeadlineExceeded, DEADLINE_EXCEEDED, kDeadlineExceeded,                   \
    "the caller's deadline passed before the change began; nothing has "      \
    "changed")                                                                \
  X(ShuttingDown, SHUTTING_DOWN, kUnavailable, "the daemon is stopping")      \
  X(TunnelNotFound, TUNNEL_NOT_FOUND, kNotFound, "no tunnel has this name")   \
  X(ReadOnlyClient, READ_ONLY_CLIENT, kPermissionDenied,                      \
    "this client may read but not change")                                    \
  X(TunUnavailable, TUN_UNAVAILABLE, kFailedPrecondition,                     \
    "/dev/net/tun can not be opened; load the tun module or pass the device " \
    "in")                                                                     \
  X(MissingCapability, MISSING_CAPABILITY, kFailedPrecondition,               \
    "the daemon lacks CAP_NET_ADMIN or CAP_NET_RAW")                          \
  X(KernelFeatureMissing, KERNEL_FEATURE_MISSING, kFailedPrecondition,        \
    "the kernel refuses something that the tunnel needs")                     \
  X(DeviceNotFound, DEVICE_NOT_FOUND, kFailedPrecondition,                    \
    "the underlay device does not exist")                                     \
  X(InvalidState, INVALID_STATE, kFailedPrecondition,                         \
    "the tunnel is in a state in which this can not be done")                 \
  X(ApplyPending, APPLY_PENDING, kFailedPrecondition,                         \
    "a configuration awaits confirmation; confirm or revert it first")        \
  X(StoreFailed, STORE_FAILED, kFailedPrecondition,                           \
    "the state directory could not be written; nothing has changed")          \
  X(TunnelLimit, TUNNEL_LIMIT, kResourceExhausted,                            \
    "the limit of tunnels is reached")                                        \
  X(UdpPortInUse, UDP_PORT_IN_USE, kFailedPrecondition,                       \
    "another program receives on the UDP port of the tunnel")                 \
  X(UdpPortLimit, UDP_PORT_LIMIT, kResourceExhausted,                         \
    "the tunnels receive on too many different UDP ports")                    \
  X(FdLimit, FD_LIMIT, kResourceExhausted,                                    \
    "no file descriptors are left; raise LimitNOFILE")                        \
  X(WatchLimit, WATCH_LIMIT, kResourceExhausted, "too many watches are open") \
  X(CaptureLimit, CAPTURE_LIMIT, kResourceExhausted, "too many captures run") \
  X(LockPartyNotFound, LOCK_PARTY_NOT_FOUND, kNotFound,                       \
    "nobody holds or waits for the configuration lock under this id")         \
  X(RevisionExpired, REVISION_EXPIRED, kOutOfRange,                           \
    "the daemon no longer has this revision; watch again without one")        \
  X(NetlinkError, NETLINK_ERROR, kFailedPrecondition,                         \
    "the kernel refused a link, address or route request; the message has "   \
    "its words")

enum class Reason {
#define TUNNEL_X(id, name, code, text) k##id,
  TUNNEL_ERROR_REASONS(TUNNEL_X)
#undef TUNNEL_X
};

// "FIELD_INVALID".
absl::string_view ReasonName(Reason reason);
// The reason with this name.
std::optional<Reason> ParseReason(absl::string_view name);
// The status code that goes with it.
absl::StatusCode ReasonCode(Reason reason);
// What it means, one sentence.
absl::string_view ReasonText(Reason reason);

struct FieldViolation {
  std::string field;        // as in the API ("input_key")
  std::string description;  // what was wrong and what is wanted
};

struct ErrorDetail {
  Reason reason;
  std::map<std::string, std::string> metadata;  // every variable of the message
  std::vector<FieldViolation> violations;       // only with INVALID_ARGUMENT
};

// A status with ReasonCode(reason), this message ("subject: wanted, got") and
// the detail as payload.
absl::Status MakeError(Reason reason, absl::string_view message,
                       std::map<std::string, std::string> metadata = {},
                       std::vector<FieldViolation> violations = {});

// The detail of a status made by MakeError(); nullopt for any other one.
std::optional<ErrorDetail> GetErrorDetail(const absl::Status& status);

// Shorthand: the reason of `status`, if it has one.
std::optional<Reason> GetReason(const absl::Status& status);

}  // namespace tunnel

#endif  // TUNNEL_BASE_ERROR_H_
