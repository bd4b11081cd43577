// Times and durations of the API.

#ifndef CTL_WIRE_TIME_H_
#define CTL_WIRE_TIME_H_

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <chrono>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ctl/faults.h"

namespace tunnel::ctl {

google::protobuf::Timestamp TimeToProto(absl::Time time);
google::protobuf::Duration DurationToProto(std::chrono::nanoseconds duration);
// 1'500'000'000 ns is 1.5; a decimal bound like 20 us is the double nearest to
// 2e-05.
double ToSeconds(std::chrono::nanoseconds duration);

// Whole milliseconds, rounded up. A negative or malformed duration (seconds and
// nanos of different sign, nanos out of range) is a fault of `field`, and so is
// one above a year; nullopt then.
std::optional<std::chrono::milliseconds> DurationFromProto(
    absl::string_view field, const google::protobuf::Duration& duration,
    Faults& faults);

}  // namespace tunnel::ctl

#endif  // CTL_WIRE_TIME_H_
