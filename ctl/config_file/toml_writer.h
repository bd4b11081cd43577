// Tunnels as the TOML that ParseConfigFile() reads.

#ifndef CTL_CONFIG_FILE_TOML_WRITER_H_
#define CTL_CONFIG_FILE_TOML_WRITER_H_

#include <string>
#include <vector>

#include "proto/tunnel/v1/tunnel.pb.h"

namespace tunnel::ctl {

// One [[tunnel]] each, without what is at its default and without status: read
// back, it is the same configuration. The text of no tunnel is a comment.
std::string TomlText(const std::vector<v1::Tunnel>& tunnels);

}  // namespace tunnel::ctl

#endif  // CTL_CONFIG_FILE_TOML_WRITER_H_
