// The readiness protocol of systemd, sd_notify(3), without its library.

#ifndef CTL_SD_NOTIFY_H_
#define CTL_SD_NOTIFY_H_

#include <string>

#include "absl/strings/string_view.h"

namespace tunnel::ctl {

// Sends `state` ("READY=1") to the socket that $NOTIFY_SOCKET names, a path or
// "@" and an abstract name. False when there is none or it does not take the
// datagram; nothing depends on that. Never blocks.
bool SdNotify(absl::string_view state);

}  // namespace tunnel::ctl

#endif  // CTL_SD_NOTIFY_H_
