#include "ctl/config_file/place.h"

namespace tunnel::ctl {

Position TunnelPlace::Find(absl::string_view field) const {
  while (true) {
    const auto found = fields.find(std::string(field));
    if (found != fields.end()) return found->second;
    const size_t part = field.find_last_of(".[");
    if (part == absl::string_view::npos) return at;
    field = field.substr(0, part);
  }
}

}  // namespace tunnel::ctl
