#include "ctl/audit.h"

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"
#include "tunnel/base/log.h"

namespace tunnel::ctl {
namespace {

std::vector<LogField> CommonFields(const CallContext& call,
                                   std::chrono::steady_clock::time_point start,
                                   const absl::Status& status) {
  std::string result = "ok";
  if (!status.ok()) {
    const std::optional<Reason> reason = GetReason(status);
    result = reason ? std::string(ReasonName(*reason))
                    : absl::StatusCodeToString(status.code());
  }
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - start);
  return {{"operation", call.operation},
          {"uid", absl::StrCat(call.uid)},
          {"pid", absl::StrCat(call.pid)},
          {"result", std::move(result)},
          {"took_us", absl::StrCat(took.count())}};
}

void Write(const absl::Status& status, const std::vector<LogField>& fields) {
  Log(status.ok() ? LogLevel::kInfo : LogLevel::kWarning, "audit", fields);
}

}  // namespace

void AuditChange(const CallContext& call, bool is_delete,
                 std::chrono::steady_clock::time_point start,
                 const absl::StatusOr<ChangeResult>& result) {
  std::vector<LogField> fields = CommonFields(call, start, result.status());
  if (result.ok()) {
    const bool changed = !result->no_op && !result->validated_only;
    // A delete shows the tunnel as it was; each other change counts one up.
    const uint64_t shown = result->tunnel.generation;
    const uint64_t before =
        changed && !is_delete && shown > 0 ? shown - 1 : shown;
    const uint64_t after = changed && is_delete ? 0 : shown;
    fields.push_back({"changed", changed ? "yes" : "no"});
    fields.push_back({"generation_before", absl::StrCat(before)});
    fields.push_back({"generation_after", absl::StrCat(after)});
    if (result->validated_only) fields.push_back({"validate_only", "yes"});
  } else {
    fields.push_back({"error", std::string(result.status().message())});
  }
  Write(result.status(), fields);
}

void AuditAction(const CallContext& call,
                 std::chrono::steady_clock::time_point start,
                 const absl::Status& status) {
  std::vector<LogField> fields = CommonFields(call, start, status);
  if (!status.ok()) {
    fields.push_back({"error", std::string(status.message())});
  }
  Write(status, fields);
}

}  // namespace tunnel::ctl
