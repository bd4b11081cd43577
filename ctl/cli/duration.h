// Durations as people write and read them.

#ifndef CTL_CLI_DURATION_H_
#define CTL_CLI_DURATION_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"

namespace tunnel::ctl::cli {

// "500ms", "2s", "1m30s", "1.5h". False for anything else, for a number without
// unit, and for what is negative or longer than a year.
bool ReadDuration(absl::string_view text, absl::Duration* out);

// With one unit and up to one decimal: "0 ms", "35 us", "1.2 ms", "2 s", "3
// min".
std::string DurationText(absl::Duration duration);

google::protobuf::Duration ToProto(absl::Duration duration);
absl::Duration FromProto(const google::protobuf::Duration& duration);

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_DURATION_H_
