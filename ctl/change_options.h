// Options of a mutation, read from the API. Pure functions.

#ifndef CTL_CHANGE_OPTIONS_H_
#define CTL_CHANGE_OPTIONS_H_

#include <google/protobuf/message.h>

#include <string>

#include "absl/strings/string_view.h"
#include "ctl/faults.h"
#include "proto/tunnel/v1/tunnel_service.pb.h"
#include "tunnel/tunnel_types.h"

namespace tunnel::ctl {

// What a method makes of options that not every method has.
struct OptionRules {
  bool if_match = true;
  bool overlap = false;
};

// The options of `request`, which is the message of `method` and may have a
// field "options". Faults: an option that the method does not have, a
// request_id that is no UUID, an overlap outside of 1 ms to 1 h, a malformed
// duration; fields are named "options.X".
ChangeOptions ReadChangeOptions(absl::string_view method,
                                const google::protobuf::Message& request,
                                const v1::ChangeOptions& options,
                                const OptionRules& rules, Faults& faults);

// 8-4-4-4-12 hexadecimal digits (RFC 4122), in any case.
bool IsUuid(absl::string_view text);

// What was asked, as a short text: equal for equal messages of one method,
// whatever options.lock_timeout says, in this and in later runs of the daemon.
// Not equal by chance for others (128 bits); no protection against somebody who
// seeks two requests of one fingerprint.
std::string Fingerprint(absl::string_view method,
                        const google::protobuf::Message& request);

}  // namespace tunnel::ctl

#endif  // CTL_CHANGE_OPTIONS_H_
