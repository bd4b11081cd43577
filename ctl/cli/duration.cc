#include "ctl/cli/duration.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace tunnel::ctl::cli {
namespace {

// "1.2", or "2" for "2.0".
std::string Rounded(double value) {
  std::string text = absl::StrFormat("%.1f", value);
  if (text.size() > 2 && text.substr(text.size() - 2) == ".0") {
    text.resize(text.size() - 2);
  }
  return text;
}

}  // namespace

bool ReadDuration(absl::string_view text, absl::Duration* out) {
  absl::Duration duration;
  if (text.empty() || text == "0" || text.front() == '+' ||
      !absl::ParseDuration(text, &duration)) {
    return false;
  }
  if (duration < absl::ZeroDuration() || duration > absl::Hours(24 * 366)) {
    return false;
  }
  *out = duration;
  return true;
}

std::string DurationText(absl::Duration duration) {
  if (duration == absl::ZeroDuration()) return "0 ms";
  if (duration < absl::Milliseconds(1)) {
    return absl::StrCat(Rounded(absl::ToDoubleMicroseconds(duration)), " us");
  }
  if (duration < absl::Seconds(1)) {
    return absl::StrCat(Rounded(absl::ToDoubleMilliseconds(duration)), " ms");
  }
  if (duration < absl::Minutes(2)) {
    return absl::StrCat(Rounded(absl::ToDoubleSeconds(duration)), " s");
  }
  if (duration < absl::Hours(2)) {
    return absl::StrCat(Rounded(absl::ToDoubleMinutes(duration)), " min");
  }
  return absl::StrCat(Rounded(absl::ToDoubleHours(duration)), " h");
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration proto;
  proto.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  proto.set_nanos(static_cast<int32_t>(
      absl::IDivDuration(duration, absl::Nanoseconds(1), &duration)));
  return proto;
}

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) +
         absl::Nanoseconds(duration.nanos());
}

}  // namespace tunnel::ctl::cli
