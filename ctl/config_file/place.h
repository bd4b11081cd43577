// Where a tunnel and its fields stand in a config file.

#ifndef CTL_CONFIG_FILE_PLACE_H_
#define CTL_CONFIG_FILE_PLACE_H_

#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "ctl/config_file/document.h"

namespace tunnel::ctl {

struct TunnelPlace {
  Position at;
  // By path in the schema: "ttl", "addresses", "addresses[1]", "labels.site".
  std::map<std::string, Position> fields;

  // The place of the field, else of what it is a part of, else of the tunnel.
  Position Find(absl::string_view field) const;
};

}  // namespace tunnel::ctl

#endif  // CTL_CONFIG_FILE_PLACE_H_
