// The commands of tunnelctl. Each does its work and gives the exit code.

#ifndef CTL_CLI_COMMANDS_H_
#define CTL_CLI_COMMANDS_H_

#include <string>
#include <vector>

#include "ctl/cli/session.h"

namespace tunnel::ctl::cli {

// The whole program: `args` are those after its name. SIGPIPE must be ignored.
int RunTunnelctl(const std::vector<std::string>& args);

// Reads (commands_read.cc).
int RunShow(Session& session);
int RunStats(Session& session);
int RunLockShow(Session& session);
int RunWatch(Session& session);
int RunCapture(Session& session);  // commands_capture.cc
int RunMetrics(Session& session);
int RunTop(Session& session);  // commands_top.cc

// Changes (commands_write.cc): create, set, delete, up, down, pause, resume,
// detach, attach.
int RunMutation(Session& session);
int RunLockInterrupt(Session& session);
int RunResizeHandoff(Session& session);

// Whole configurations (commands_apply.cc).
int RunApply(Session& session);
int RunDiff(Session& session);
int RunValidate(Session& session);
int RunConfirm(Session& session);
int RunRevert(Session& session);

// Without the daemon (commands_local.cc).
int RunHelp(Session& session);
int RunVersion(Session& session);
int RunCompletion(Session& session);
int RunExplain(Session& session);

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_COMMANDS_H_
