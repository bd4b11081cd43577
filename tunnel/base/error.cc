#include "tunnel/base/error.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace tunnel {
namespace {

constexpr absl::string_view kPayloadUrl = "tunneld/error_detail";

struct ReasonInfo {
  absl::string_view name;
  absl::StatusCode code;
  absl::string_view text;
};

constexpr std::array kReasons = {
#define TUNNEL_X(id, name, code, text) \
  ReasonInfo{#name, absl::StatusCode::code, text},
    TUNNEL_ERROR_REASONS(TUNNEL_X)
#undef TUNNEL_X
};

const ReasonInfo& Info(Reason reason) {
  return kReasons[static_cast<size_t>(reason)];
}

// The payload is a list of strings, each as "LENGTH:BYTES".
void AppendItem(absl::string_view text, std::string& out) {
  absl::StrAppend(&out, text.size(), ":", text);
}

// Takes the first string off `in`; nullopt when there is none.
std::optional<std::string> TakeItem(absl::string_view& in) {
  const size_t colon = in.find(':');
  size_t length = 0;
  if (colon == absl::string_view::npos ||
      !absl::SimpleAtoi(in.substr(0, colon), &length) ||
      length > in.size() - colon - 1) {
    return std::nullopt;
  }
  std::string item(in.substr(colon + 1, length));
  in.remove_prefix(colon + 1 + length);
  return item;
}

std::optional<size_t> TakeCount(absl::string_view& in) {
  const std::optional<std::string> item = TakeItem(in);
  size_t count = 0;
  if (!item || !absl::SimpleAtoi(*item, &count)) return std::nullopt;
  return count;
}

std::optional<ErrorDetail> Decode(absl::string_view in) {
  const std::optional<std::string> name = TakeItem(in);
  const std::optional<Reason> reason = name ? ParseReason(*name) : std::nullopt;
  if (!reason) return std::nullopt;
  ErrorDetail detail;
  detail.reason = *reason;
  const std::optional<size_t> entries = TakeCount(in);
  for (size_t i = 0; i < entries.value_or(0); ++i) {
    std::optional<std::string> key = TakeItem(in);
    std::optional<std::string> value = TakeItem(in);
    if (!key || !value) return std::nullopt;
    detail.metadata.emplace(*std::move(key), *std::move(value));
  }
  const std::optional<size_t> violations = TakeCount(in);
  if (!entries || !violations) return std::nullopt;
  for (size_t i = 0; i < *violations; ++i) {
    std::optional<std::string> field = TakeItem(in);
    std::optional<std::string> description = TakeItem(in);
    if (!field || !description) return std::nullopt;
    detail.violations.push_back({*std::move(field), *std::move(description)});
  }
  return detail;
}

}  // namespace

absl::string_view ReasonName(Reason reason) { return Info(reason).name; }

std::optional<Reason> ParseReason(absl::string_view name) {
  for (size_t i = 0; i < kReasons.size(); ++i) {
    if (kReasons[i].name == name) return static_cast<Reason>(i);
  }
  return std::nullopt;
}

absl::StatusCode ReasonCode(Reason reason) { return Info(reason).code; }

absl::string_view ReasonText(Reason reason) { return Info(reason).text; }

absl::Status MakeError(Reason reason, absl::string_view message,
                       std::map<std::string, std::string> metadata,
                       std::vector<FieldViolation> violations) {
  std::string payload;
  AppendItem(ReasonName(reason), payload);
  AppendItem(absl::StrCat(metadata.size()), payload);
  for (const auto& [key, value] : metadata) {
    AppendItem(key, payload);
    AppendItem(value, payload);
  }
  AppendItem(absl::StrCat(violations.size()), payload);
  for (const FieldViolation& violation : violations) {
    AppendItem(violation.field, payload);
    AppendItem(violation.description, payload);
  }
  absl::Status status(ReasonCode(reason), message);
  status.SetPayload(kPayloadUrl, absl::Cord(std::move(payload)));
  return status;
}

std::optional<ErrorDetail> GetErrorDetail(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kPayloadUrl);
  if (!payload) return std::nullopt;
  return Decode(std::string(*payload));
}

std::optional<Reason> GetReason(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  if (!detail) return std::nullopt;
  return detail->reason;
}

}  // namespace tunnel
