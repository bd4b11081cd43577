#include "ctl/cli/request_id.h"

#include <sys/random.h>

#include <cstdint>
#include <cstdlib>

#include "absl/strings/str_format.h"

namespace tunnel::ctl::cli {

std::string NewRequestId() {
  uint8_t bytes[16];
  // Up to 256 bytes come whole, or not at all (getrandom(2)).
  if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) std::abort();
  bytes[6] = static_cast<uint8_t>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<uint8_t>((bytes[8] & 0x3f) | 0x80);
  std::string id;
  for (size_t i = 0; i < sizeof(bytes); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) id.push_back('-');
    absl::StrAppendFormat(&id, "%02x", bytes[i]);
  }
  return id;
}

}  // namespace tunnel::ctl::cli
