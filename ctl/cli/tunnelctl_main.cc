// tunnelctl: the command line client of tunneld.

#include <signal.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "ctl/cli/commands.h"

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  const std::vector<std::string> args(argv + 1, argv + argc);
  const int exit_code = tunnel::ctl::cli::RunTunnelctl(args);
  // Everything is written and nothing is buffered: the libraries need not be
  // taken down, and a thread of theirs can not hold up the end.
  _exit(exit_code);
}
