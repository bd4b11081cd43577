#include "ctl/cli/errors.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "ctl/cli/json.h"
#include "proto/google/rpc/error_details.pb.h"
#include "proto/google/rpc/status.pb.h"

namespace tunnel::ctl::cli {
namespace {

constexpr ReasonInfo kReasons[] = {
    {"FIELD_INVALID", "INVALID_ARGUMENT", kExitUsage,
     "fields of the request are missing or out of range; all of them are "
     "listed",
     "correct the fields and call again; 'tunnelctl help create' has the "
     "ranges"},
    {"FAMILY_MISMATCH", "INVALID_ARGUMENT", kExitUsage,
     "local and remote are not of one family, or not of a family that the mode "
     "has",
     "give both outer addresses in the same family"},
    {"UNKNOWN_MODE", "INVALID_ARGUMENT", kExitUsage,
     "the mode is missing or not one that the daemon has",
     "choose one of gif, ipip, sit, ip6ip6, gre, gretap"},
    {"NAME_IN_USE", "ALREADY_EXISTS", kExitConflict,
     "an interface or a tunnel of this name exists",
     "look at it with 'tunnelctl show' and 'ip link', change it with "
     "'tunnelctl "
     "set', or take another name"},
    {"ENDPOINT_PAIR_IN_USE", "ALREADY_EXISTS", kExitConflict,
     "another tunnel has the same identity: underlay, transport, local, remote "
     "and input key",
     "look at the holder with 'tunnelctl show {tunnel}'; another key or "
     "address "
     "makes the identity unique"},
    {"ETAG_MISMATCH", "ABORTED", kExitConflict,
     "the tunnel has changed since its etag was read",
     "read it again with 'tunnelctl show {tunnel} --json' and decide anew"},
    {"CONFIG_LOCK_BUSY", "ABORTED", kExitTryAgain,
     "the configuration lock was not had within the lock timeout; nothing has "
     "changed",
     "try again, or see 'tunnelctl lock show'"},
    {"CONFIG_LOCK_INTERRUPTED", "ABORTED", kExitTryAgain,
     "an operator ended the wait with 'lock interrupt'; nothing has changed",
     "ask who interrupted, then try again"},
    {"SHUTTING_DOWN", "UNAVAILABLE", kExitUnavailable,
     "the daemon is stopping and takes no more changes",
     "call again when it has been started anew"},
    {"TUNNEL_NOT_FOUND", "NOT_FOUND", kExitNotFound,
     "there is no tunnel of this name",
     "'tunnelctl list -o name' prints the names"},
    {"READ_ONLY_CLIENT", "PERMISSION_DENIED", kExitNoPermission,
     "this client may read only",
     "run it as root or as a member of group tunnel"},
    {"TUN_UNAVAILABLE", "FAILED_PRECONDITION", kExitFailure,
     "/dev/net/tun is missing or can not be opened",
     "load the module with 'modprobe tun', or give the container /dev/net/tun"},
    {"MISSING_CAPABILITY", "FAILED_PRECONDITION", kExitFailure,
     "the daemon runs without a capability that it needs",
     "start the daemon with CAP_NET_ADMIN and CAP_NET_RAW, and for the "
     "datapath "
     "bpf with CAP_BPF and CAP_PERFMON"},
    {"KERNEL_FEATURE_MISSING", "FAILED_PRECONDITION", kExitFailure,
     "the kernel lacks what this configuration needs",
     "do without that feature, or use a kernel that has it"},
    {"DEVICE_NOT_FOUND", "FAILED_PRECONDITION", kExitFailure,
     "the underlay device does not exist",
     "correct dev, or make the device first; 'ip link' lists them"},
    {"INVALID_STATE", "FAILED_PRECONDITION", kExitFailure,
     "the tunnel, the lock or the configuration is in a state in which this "
     "can not be done",
     "look at 'tunnelctl show -d' and 'tunnelctl lock show'"},
    {"UDP_PORT_IN_USE", "FAILED_PRECONDITION", kExitFailure,
     "another program receives on the UDP port of the tunnel",
     "use another port at both ends, or end the program that 'ss -ulnp' names"},
    {"UDP_PORT_LIMIT", "RESOURCE_EXHAUSTED", kExitFailure,
     "the tunnels receive on too many different UDP ports",
     "use one port for several tunnels"},
    {"APPLY_PENDING", "FAILED_PRECONDITION", kExitFailure,
     "a configuration awaits confirmation; nothing else can be changed until "
     "then",
     "keep it with 'tunnelctl confirm {id}', or go back with 'tunnelctl revert "
     "{id}'"},
    {"STORE_FAILED", "FAILED_PRECONDITION", kExitFailure,
     "the daemon could not write its state directory; nothing has changed",
     "look at the disk and at the log of the daemon"},
    {"NETLINK_ERROR", "FAILED_PRECONDITION", kExitFailure,
     "the kernel refused a link, address or route request",
     "act on the words of the kernel in the message"},
    {"CONFIG_LOCK_QUEUE_FULL", "RESOURCE_EXHAUSTED", kExitTryAgain,
     "too many changes wait for the configuration lock",
     "try again later; 'tunnelctl lock show' tells who waits"},
    {"WATCH_LIMIT", "RESOURCE_EXHAUSTED", kExitFailure,
     "too many watches are open", "end watches that nobody reads"},
    {"CAPTURE_LIMIT", "RESOURCE_EXHAUSTED", kExitFailure,
     "too many captures run",
     "end a capture of this tunnel, or of another one"},
    {"LOCK_PARTY_NOT_FOUND", "NOT_FOUND", kExitNotFound,
     "nobody holds or waits for the configuration lock under this id",
     "it has ended by itself; 'tunnelctl lock show' lists who is there now"},
    {"CANCELLED", "CANCELLED", kExitInterrupted,
     "the call was cancelled before the change began; nothing has changed",
     "call again to go on"},
    {"TUNNEL_LIMIT", "RESOURCE_EXHAUSTED", kExitFailure,
     "there are as many tunnels as the daemon may have",
     "delete tunnels, or raise the limit of the daemon"},
    {"FD_LIMIT", "RESOURCE_EXHAUSTED", kExitFailure,
     "the daemon has no file descriptors left",
     "raise LimitNOFILE of the daemon, or give it fewer --workers"},
    {"REVISION_EXPIRED", "OUT_OF_RANGE", kExitTryAgain,
     "the daemon no longer has the revision to go on from",
     "watch again without --since"},
    // The client's own.
    {"CONFIG_FILE_INVALID", "INVALID_ARGUMENT", kExitConfig,
     "the config file can not be read or has errors; nothing has changed",
     "correct the lines that are named; docs/config_file.md has every word"},
    {"USAGE", "INVALID_ARGUMENT", kExitUsage,
     "the command line can not be understood",
     "'tunnelctl help' lists the commands"},
    {"DAEMON_UNREACHABLE", "UNAVAILABLE", kExitUnavailable,
     "no daemon answers at the target",
     "start tunneld, or say where it listens with --target or "
     "TUNNELCTL_TARGET"},
    {"SOCKET_PERMISSION", "PERMISSION_DENIED", kExitNoPermission,
     "this user may not connect to the socket of the daemon",
     "run it as root or as a member of group tunnel or tunnel-ro"},
    {"INTERRUPTED", "CANCELLED", kExitInterrupted, "Ctrl-C ended the call",
     "call again to go on"},
    {"DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", kExitTryAgain,
     "the call did not end before its deadline",
     "try again with a longer --wait, or see 'tunnelctl lock show'"},
};

constexpr absl::string_view kCodeNames[] = {
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
};

int ExitCodeOfStatus(int code) {
  switch (code) {
    case 0:
      return kExitOk;
    case 3:  // INVALID_ARGUMENT
      return kExitUsage;
    case 5:  // NOT_FOUND
      return kExitNotFound;
    case 6:  // ALREADY_EXISTS
      return kExitConflict;
    case 14:  // UNAVAILABLE
      return kExitUnavailable;
    case 1:   // CANCELLED, not by Ctrl-C: that has a reason of its own
    case 4:   // DEADLINE_EXCEEDED
    case 10:  // ABORTED
    case 11:  // OUT_OF_RANGE
      return kExitTryAgain;
    case 7:   // PERMISSION_DENIED
    case 16:  // UNAUTHENTICATED
      return kExitNoPermission;
    default:
      return kExitFailure;
  }
}

std::string NextStep(const CallError& error) {
  if (!error.next_step.empty()) return error.next_step;
  const auto closest = error.metadata.find("closest");
  if (closest != error.metadata.end() && !closest->second.empty() &&
      !absl::StrContains(error.message, closest->second)) {
    return absl::StrCat("did you mean '", closest->second, "'?");
  }
  const ReasonInfo* info = FindReason(error.reason);
  if (info == nullptr) return "";
  std::string text(info->next_step);
  for (const auto& [key, value] : error.metadata) {
    text = absl::StrReplaceAll(text, {{absl::StrCat("{", key, "}"), value}});
  }
  // What the daemon did not name is left to the reader.
  for (size_t open; (open = text.find('{')) != std::string::npos;) {
    const size_t close = text.find('}', open);
    if (close == std::string::npos) break;
    const std::string key = text.substr(open + 1, close - open - 1);
    text.replace(open, close - open + 1, absl::AsciiStrToUpper(key));
  }
  return text;
}

}  // namespace

absl::Span<const ReasonInfo> Reasons() { return kReasons; }

const ReasonInfo* FindReason(absl::string_view reason) {
  for (const ReasonInfo& info : kReasons) {
    if (info.reason == reason) return &info;
  }
  return nullptr;
}

std::string CodeName(int code) {
  constexpr int kCount = sizeof(kCodeNames) / sizeof(kCodeNames[0]);
  if (code < 0 || code >= kCount) return absl::StrCat("CODE_", code);
  return std::string(kCodeNames[code]);
}

int ExitCode(const CallError& error) {
  const ReasonInfo* info = FindReason(error.reason);
  if (info != nullptr && !error.ok()) return info->exit_code;
  return ExitCodeOfStatus(error.code);
}

CallError FromStatus(int code, absl::string_view message,
                     absl::string_view details) {
  CallError error;
  error.code = code;
  error.message = std::string(message);
  google::rpc::Status status;
  if (status.ParseFromArray(details.data(), static_cast<int>(details.size()))) {
    for (const google::protobuf::Any& detail : status.details()) {
      google::rpc::ErrorInfo info;
      google::rpc::BadRequest bad;
      if (detail.UnpackTo(&info)) {
        error.reason = info.reason();
        error.metadata.insert(info.metadata().begin(), info.metadata().end());
      } else if (detail.UnpackTo(&bad)) {
        for (const auto& violation : bad.field_violations()) {
          error.field_violations.push_back(
              {violation.field(), violation.description()});
        }
      }
    }
  }
  if (error.reason.empty() && code == kCodeDeadlineExceeded) {
    error.reason = "DEADLINE_EXCEEDED";
  }
  if (error.message.empty()) error.message = CodeName(code);
  return error;
}

CallError UsageError(std::string message, std::string next_step) {
  CallError error;
  error.code = kCodeInvalidArgument;
  error.reason = "USAGE";
  error.message = std::move(message);
  error.next_step = std::move(next_step);
  return error;
}

std::string ErrorText(const CallError& error) {
  std::string fields;
  absl::string_view message = error.message;
  for (const FieldViolation& violation : error.field_violations) {
    const std::string line =
        absl::StrCat(violation.field, ": ", violation.description);
    absl::StrAppend(&fields, "  ", line, "\n");
    // A message that lists the fields too is cut where the list begins.
    message = message.substr(0, message.find(line));
  }
  while (absl::ConsumeSuffix(&message, " ") ||
         absl::ConsumeSuffix(&message, ":")) {
  }
  if (message.empty()) message = "a field is wrong";
  std::string text = absl::StrCat("tunnelctl: ", message, "\n", fields);
  const std::string next_step = NextStep(error);
  if (!next_step.empty()) absl::StrAppend(&text, "  ", next_step, "\n");
  return text;
}

std::string ErrorJson(const CallError& error, bool pretty) {
  JsonWriter json(pretty);
  json.BeginObject();
  json.Key("code").String(CodeName(error.code));
  json.Key("reason").String(error.reason);
  json.Key("message").String(error.message);
  json.Key("metadata").BeginObject();
  for (const auto& [key, value] : error.metadata) json.Key(key).String(value);
  json.EndObject();
  json.Key("field_violations").BeginArray();
  for (const FieldViolation& violation : error.field_violations) {
    json.BeginObject();
    json.Key("field").String(violation.field);
    json.Key("description").String(violation.description);
    json.EndObject();
  }
  json.EndArray();
  json.Key("next_step").String(NextStep(error));
  json.Key("exit_code").Number(static_cast<uint64_t>(ExitCode(error)));
  json.EndObject();
  return json.Take() + "\n";
}

}  // namespace tunnel::ctl::cli
