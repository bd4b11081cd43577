#include "ctl/status_map.h"

#include <string>

#include "proto/google/rpc/error_details.pb.h"
#include "proto/google/rpc/status.pb.h"
#include "tunnel/base/error.h"

namespace tunnel::ctl {
namespace {

// How long a caller that found the lock busy should wait before it asks again.
constexpr int kRetryDelaySeconds = 1;

void PackErrorInfo(const ErrorDetail* detail, absl::StatusCode code,
                   google::rpc::Status& out) {
  google::rpc::ErrorInfo info;
  info.set_domain(kErrorDomain);
  if (detail == nullptr) {
    info.set_reason(absl::StatusCodeToString(code));
  } else {
    info.set_reason(std::string(ReasonName(detail->reason)));
    for (const auto& [key, value] : detail->metadata) {
      (*info.mutable_metadata())[key] = value;
    }
  }
  out.add_details()->PackFrom(info);
}

void PackBadRequest(const ErrorDetail& detail, google::rpc::Status& out) {
  google::rpc::BadRequest request;
  for (const FieldViolation& violation : detail.violations) {
    auto* field = request.add_field_violations();
    field->set_field(violation.field);
    field->set_description(violation.description);
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
  out.set_message(std::string(status.message()));
  PackErrorInfo(detail ? &*detail : nullptr, status.code(), out);
  if (detail && status.code() == absl::StatusCode::kInvalidArgument) {
    PackBadRequest(*detail, out);
  }
  if (detail && detail->reason == Reason::kConfigLockBusy) PackRetryInfo(out);
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      out.message(), out.SerializeAsString());
}

}  // namespace tunnel::ctl
