// Command line to Invocation: which command, on what, with which words.

#ifndef CTL_CLI_PARSE_H_
#define CTL_CLI_PARSE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "ctl/cli/errors.h"
#include "ctl/cli/grammar.h"
#include "ctl/cli/value.h"

namespace tunnel::ctl::cli {

struct Invocation {
  const CommandInfo* command = nullptr;
  std::vector<std::string> operands;
  std::vector<Setting> settings;  // in the order given

  // The first setting of the word of this name; nullptr when not given.
  const Setting* Find(absl::string_view name) const;
  bool Has(absl::string_view name) const { return Find(name) != nullptr; }
};

// Reads the arguments after the program's name. Flags of all commands may stand
// before or after the command; no command at all is `show`.
//
// False with a usage error (exit code 2): an unknown command, word or flag,
// with the nearest known one; a missing or extra operand or value; a word given
// twice; or values that can not be read, all of them at once as field
// violations.
bool Parse(const std::vector<std::string>& args, Invocation* invocation,
           CallError* error);

// True when the arguments ask for JSON, even if they can not be parsed.
bool WantsJson(const std::vector<std::string>& args);

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_PARSE_H_
