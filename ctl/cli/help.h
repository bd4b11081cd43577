// Help, made from the table of the grammar.

#ifndef CTL_CLI_HELP_H_
#define CTL_CLI_HELP_H_

#include <string>

#include "ctl/cli/grammar.h"

namespace tunnel::ctl::cli {

// What the program is, all commands, the global flags, the exit codes.
std::string GeneralHelp();

// Usage line, words with their values, flags, examples.
std::string CommandHelp(const CommandInfo& command);

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_HELP_H_
