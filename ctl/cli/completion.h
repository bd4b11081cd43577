// Shell completion, made from the table of the grammar.

#ifndef CTL_CLI_COMPLETION_H_
#define CTL_CLI_COMPLETION_H_

#include <string>

namespace tunnel::ctl::cli {

// Script for bash: commands, words of the command, choices of the word before
// the cursor, and the names of tunnels as the daemon tells them.
std::string BashCompletion();

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_COMPLETION_H_
