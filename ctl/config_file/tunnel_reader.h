// One table of a config file to one Tunnel.

#ifndef CTL_CONFIG_FILE_TUNNEL_READER_H_
#define CTL_CONFIG_FILE_TUNNEL_READER_H_

#include <set>
#include <string>
#include <vector>

#include "ctl/config_file/document.h"
#include "ctl/config_file/place.h"
#include "proto/tunnel/v1/tunnel.pb.h"

namespace tunnel::ctl {

struct TunnelReading {
  v1::Tunnel tunnel;
  TunnelPlace place;
  std::vector<SyntaxError> errors;
  // Fields of the schema that an error has left without their value.
  std::set<std::string> bad_fields;
};

// Reads `table`, which is of kind kTable: every word that can be read is.
// `allow_status`: fields that the daemon alone writes are passed over, as they
// stand in what it prints; else they are errors.
TunnelReading ReadTunnel(const Value& table, bool allow_status);

// A number, or a dotted quad as 32 bits in network order. False for all else.
bool ReadKeyText(absl::string_view text, uint32_t* key);

}  // namespace tunnel::ctl

#endif  // CTL_CONFIG_FILE_TUNNEL_READER_H_
