#include "ctl/status_map.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "proto/google/rpc/error_details.pb.h"
#include "proto/google/rpc/status.pb.h"
#include "tunnel/base/error.h"

namespace tunnel::ctl {
namespace {

// How long a caller that found the lock busy should wait before it asks again.
constexpr int kRetryDelaySeconds = 1;

// A client takes in 8 KiB of trailers; more would reach it as another error.
// The details travel in base64 beside the message, so all of it has to be well
// below.
constexpr size_t kMaxMessage = 1024;     // bytes
constexpr size_t kMaxText = 256;         // of one description or value
constexpr size_t kMaxViolations = 2560;  // of all of them

std::string Cut(const std::string& text, size_t limit) {
  if (text.size() <= limit) return text;
  // Not within a character of UTF-8, which protobuf would refuse.
  size_t end = limit;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) {
    --end;
  }
  return text.substr(0, end) + "...";
}

void PackErrorInfo(const ErrorDetail* detail, absl::StatusCode code,
                   google::rpc::Status& out) {
  google::rpc::ErrorInfo info;
  info.set_domain(kErrorDomain);
  if (detail == nullptr) {
    info.set_reason(absl::StatusCodeToString(code));
  } else {
    info.set_reason(std::string(ReasonName(detail->reason)));
    for (const auto& [key, value] : detail->metadata) {
      (*info.mutable_metadata())[key] = Cut(value, kMaxText);
    }
  }
  out.add_details()->PackFrom(info);
}

void PackBadRequest(const ErrorDetail& detail, google::rpc::Status& out) {
  google::rpc::BadRequest request;
  size_t bytes = 0;
  for (const FieldViolation& violation : detail.violations) {
    auto* field = request.add_field_violations();
    field->set_field(Cut(violation.field, kMaxText));
    field->set_description(Cut(violation.description, kMaxText));
    bytes += field->ByteSizeLong();
    if (bytes <= kMaxViolations) continue;
    // The last one says how many there are besides.
    const size_t told =
        static_cast<size_t>(request.field_violations_size()) - 1;
    field->clear_field();
    field->set_description(
        absl::StrCat(detail.violations.size() - told, " more fields"));
    break;
  }
  out.add_details()->PackFrom(request);
}

void PackRetryInfo(google::rpc::Status& out) {
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(kRetryDelaySeconds);
  out.add_details()->PackFrom(retry);
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  google::rpc::Status out;
  // absl and gRPC number the codes alike (google.rpc.Code).
  out.set_code(static_cast<int>(status.code()));
  out.set_message(Cut(std::string(status.message()), kMaxMessage));
  PackErrorInfo(detail ? &*detail : nullptr, status.code(), out);
  if (detail && status.code() == absl::StatusCode::kInvalidArgument) {
    PackBadRequest(*detail, out);
  }
  if (detail && detail->reason == Reason::kConfigLockBusy) PackRetryInfo(out);
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      out.message(), out.SerializeAsString());
}

}  // namespace tunnel::ctl
