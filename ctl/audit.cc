#include "ctl/audit.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tunnel/base/error.h"
#include "tunnel/base/log.h"

namespace tunnel::ctl {
namespace {

constexpr size_t kMaxIdInLog = 64;       // bytes
constexpr size_t kMaxErrorInLog = 1024;  // bytes
constexpr size_t kTunnelsALine = 256;

using Fields = std::vector<LogField>;

std::string Microseconds(std::chrono::nanoseconds time) {
  return absl::StrCat(time / std::chrono::microseconds(1));
}

Fields CommonFields(const AuditRecord& record, const absl::Status& status) {
  std::string result = "ok";
  if (!status.ok()) {
    const std::optional<Reason> reason = GetReason(status);
    result = reason ? std::string(ReasonName(*reason))
                    : absl::StatusCodeToString(status.code());
  }
  Fields fields = {{"operation", record.call.operation},
                   {"uid", absl::StrCat(record.call.uid)},
                   {"pid", absl::StrCat(record.call.pid)}};
  if (!record.request_id.empty()) {
    fields.push_back(
        {"request_id", std::string(record.request_id.substr(0, kMaxIdInLog))});
  }
  fields.push_back({"result", std::move(result)});
  fields.push_back({"code", absl::StatusCodeToString(status.code())});
  fields.push_back({"took_us", Microseconds(std::chrono::steady_clock::now() -
                                            record.start)});
  fields.push_back({"lock_wait_us", Microseconds(record.lock_times.wait)});
  if (record.lock_times.hold) {
    fields.push_back({"hold_us", Microseconds(*record.lock_times.hold)});
  }
  if (!status.ok()) {
    fields.push_back(
        {"error", std::string(status.message().substr(0, kMaxErrorInLog))});
  }
  return fields;
}

template <typename Result>
void AddOutcome(const Result& result, Fields& fields) {
  const bool changed =
      !result.no_op && !result.validated_only && !result.replayed;
  fields.push_back({"changed", changed ? "yes" : "no"});
  if (result.validated_only) fields.push_back({"validate_only", "yes"});
  if (result.replayed) fields.push_back({"replayed", "yes"});
}

struct Generations {
  uint64_t before = 0, after = 0;  // 0: there is no tunnel
};

// A delete shows the tunnel as it was; each other change counts one up.
Generations GenerationsOf(const ChangeResult& result, bool changed) {
  const uint64_t shown = result.tunnel.generation;
  if (!changed) return {shown, shown};
  switch (result.action) {
    case ChangeAction::kCreated:
      return {0, shown};
    case ChangeAction::kDeleted:
      return {shown, 0};
    default:
      return {shown > 0 ? shown - 1 : 0, shown};
  }
}

void Write(const absl::Status& status, const Fields& fields) {
  Log(status.ok() ? LogLevel::kInfo : LogLevel::kWarning, "audit", fields);
}

// "gre0:3>4" for each tunnel that was changed.
std::vector<std::string> ChangedTunnels(const ApplyResult& result) {
  std::vector<std::string> out;
  if (result.validated_only || result.replayed) return out;
  for (const ChangeResult& change : result.changes) {
    if (change.no_op) continue;
    const Generations generations = GenerationsOf(change, true);
    out.push_back(absl::StrCat(change.tunnel.config.name, ":",
                               generations.before, ">", generations.after));
  }
  return out;
}

}  // namespace

void AuditChange(const AuditRecord& record,
                 const absl::StatusOr<ChangeResult>& result) {
  Fields fields = CommonFields(record, result.status());
  if (result.ok()) {
    AddOutcome(*result, fields);
    const bool changed =
        !result->no_op && !result->validated_only && !result->replayed;
    const Generations generations = GenerationsOf(*result, changed);
    fields.push_back({"generation_before", absl::StrCat(generations.before)});
    fields.push_back({"generation_after", absl::StrCat(generations.after)});
  }
  Write(result.status(), fields);
}

void AuditChange(const AuditRecord& record,
                 const absl::StatusOr<ApplyResult>& result) {
  Fields fields = CommonFields(record, result.status());
  if (!result.ok()) return Write(result.status(), fields);
  AddOutcome(*result, fields);
  const std::vector<std::string> tunnels = ChangedTunnels(*result);
  const size_t parts =
      std::max<size_t>((tunnels.size() + kTunnelsALine - 1) / kTunnelsALine, 1);
  for (size_t part = 0; part < parts; ++part) {
    const auto from = tunnels.begin() + part * kTunnelsALine;
    const auto to =
        tunnels.begin() + std::min(tunnels.size(), (part + 1) * kTunnelsALine);
    Fields line = fields;
    line.push_back({"tunnels", absl::StrJoin(from, to, ",")});
    if (parts > 1) {
      line.push_back({"part", absl::StrCat(part + 1, "/", parts)});
    }
    Write(absl::OkStatus(), line);
  }
}

void AuditOwnChange(const CallContext& call,
                    const absl::StatusOr<ApplyResult>& result) {
  AuditRecord record{.call = call};
  if (call.lock_times != nullptr) record.lock_times = *call.lock_times;
  record.start = std::chrono::steady_clock::now() - record.lock_times.wait -
                 record.lock_times.hold.value_or(std::chrono::nanoseconds(0));
  AuditChange(record, result);
}

void AuditAction(const AuditRecord& record, const absl::Status& status) {
  Write(status, CommonFields(record, status));
}

}  // namespace tunnel::ctl
