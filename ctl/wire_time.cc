#include "ctl/wire_time.h"

#include <cstdint>

#include "absl/strings/str_cat.h"

namespace tunnel::ctl {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;
constexpr int64_t kMaxSeconds = int64_t{366} * 24 * 3600;

}  // namespace

google::protobuf::Timestamp TimeToProto(absl::Time time) {
  const timespec parts = absl::ToTimespec(time);
  google::protobuf::Timestamp out;
  out.set_seconds(parts.tv_sec);
  out.set_nanos(static_cast<int32_t>(parts.tv_nsec));
  return out;
}

google::protobuf::Duration DurationToProto(std::chrono::nanoseconds duration) {
  google::protobuf::Duration out;
  out.set_seconds(duration.count() / kNanosPerSecond);
  out.set_nanos(static_cast<int32_t>(duration.count() % kNanosPerSecond));
  return out;
}

double ToSeconds(std::chrono::nanoseconds duration) {
  return static_cast<double>(duration.count()) / 1e9;
}

std::optional<std::chrono::milliseconds> DurationFromProto(
    absl::string_view field, const google::protobuf::Duration& duration,
    Faults& faults) {
  const int64_t seconds = duration.seconds();
  const int64_t nanos = duration.nanos();
  if (seconds < 0 || nanos < 0 || nanos >= kNanosPerSecond ||
      seconds > kMaxSeconds) {
    faults.AddInvalid(
        field, absl::StrCat(seconds, " s and ", nanos, " ns; want 0 s to ",
                            kMaxSeconds, " s with 0 to 999999999 ns"));
    return std::nullopt;
  }
  return std::chrono::ceil<std::chrono::milliseconds>(
      std::chrono::seconds(seconds) + std::chrono::nanoseconds(nanos));
}

}  // namespace tunnel::ctl
