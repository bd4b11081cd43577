// The config file: the desired state of many tunnels, as TOML or as the JSON
// that `tunnelctl show --json` prints. docs/config_file.md has every word.

#ifndef CTL_CONFIG_FILE_CONFIG_FILE_H_
#define CTL_CONFIG_FILE_CONFIG_FILE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ctl/config_file/document.h"
#include "ctl/config_file/place.h"
#include "proto/tunnel/v1/tunnel.pb.h"

namespace tunnel::ctl {

struct ConfigFile {
  std::string name;  // for messages: the path, or "stdin"
  // The specs, in the order of the file; without status.
  std::vector<v1::Tunnel> tunnels;
  bool prune = false;  // tunnels that are not in the file are to be deleted
  std::vector<TunnelPlace> places;  // one a tunnel
};

// Something in the file that is wrong, and where.
struct ConfigFileError {
  Position at;
  std::string message;
};

// "tunnels.toml:3:1: unknown word 'remot'; did you mean 'remote'?", or without
// the position where there is none.
std::string ErrorLine(absl::string_view name, const ConfigFileError& error);

// Reads `text`. It is JSON when it begins with '{', or with '[' and then '{' or
// ']' (no TOML does), or when `name` ends in ".json"; else TOML. Pure.
//
// False with all that is wrong, in the order of the file: words that are not
// known, values of another type or out of range, what does not fit together
// within one tunnel, and names or endpoint pairs that two tunnels have. Of
// errors of syntax the first one alone, as the rest has no meaning. Whether the
// tunnels can be made on this host is for the daemon to say.
bool ParseConfigFile(absl::string_view text, std::string name, ConfigFile* file,
                     std::vector<ConfigFileError>* errors);

// Reads the file at `path`; `errors` gets what is wrong with it, as above.
// Returns NOT_FOUND, PERMISSION_DENIED or UNAVAILABLE when it can not be read.
absl::Status ReadConfigFile(const std::string& path, ConfigFile* file,
                            std::vector<ConfigFileError>* errors);

// The same with the errors as INVALID_ARGUMENT: an ErrorLine() for each.
absl::StatusOr<ConfigFile> ReadConfigFile(const std::string& path);

}  // namespace tunnel::ctl

#endif  // CTL_CONFIG_FILE_CONFIG_FILE_H_
