// The config file of apply, diff and validate.

#ifndef CTL_CLI_CONFIG_INPUT_H_
#define CTL_CLI_CONFIG_INPUT_H_

#include "ctl/cli/errors.h"
#include "ctl/cli/parse.h"
#include "ctl/config_file/config_file.h"
#include "proto/tunnel/v1/tunnel_service.pb.h"

namespace tunnel::ctl::cli {

// Reads the file that --file names, or stdin; Ctrl-C then ends the program.
// Errors: USAGE without --file; CONFIG_FILE_INVALID with a violation for each
// error, whose field is its place, "tunnels.toml:3:1".
CallError ReadConfigInput(const Invocation& invocation, ConfigFile* file);

// The request with the tunnels of the file and the words of the command line.
v1::ApplyConfigRequest ApplyRequest(const Invocation& invocation,
                                    const ConfigFile& file);

// Gives an error of the daemon its place in the file, where it is of one of the
// tunnels there: violations of a field get the place as their field and make
// the error CONFIG_FILE_INVALID; without violations the message gets it.
void LocateError(const ConfigFile& file, CallError* error);

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_CONFIG_INPUT_H_
