#include "ctl/cli/commands.h"

#include <unistd.h>

#include "ctl/cli/help.h"
#include "ctl/cli/interrupt.h"

namespace tunnel::ctl::cli {
namespace {

bool NeedsDaemon(Verb verb) {
  return verb != Verb::kHelp && verb != Verb::kVersion &&
         verb != Verb::kCompletion && verb != Verb::kExplain;
}

int RunCommand(Session& session) {
  switch (session.verb()) {
    case Verb::kShow:
      return RunShow(session);
    case Verb::kStats:
      return RunStats(session);
    case Verb::kTop:
      return RunTop(session);
    case Verb::kWatch:
      return RunWatch(session);
    case Verb::kCapture:
      return RunCapture(session);
    case Verb::kMetrics:
      return RunMetrics(session);
    case Verb::kApply:
      return RunApply(session);
    case Verb::kConfirm:
      return RunConfirm(session);
    case Verb::kRevert:
      return RunRevert(session);
    case Verb::kDiff:
      return RunDiff(session);
    case Verb::kValidate:
      return RunValidate(session);
    case Verb::kLockShow:
      return RunLockShow(session);
    case Verb::kLockInterrupt:
      return RunLockInterrupt(session);
    case Verb::kResizeHandoff:
      return RunResizeHandoff(session);
    case Verb::kExplain:
      return RunExplain(session);
    case Verb::kCompletion:
      return RunCompletion(session);
    case Verb::kVersion:
      return RunVersion(session);
    case Verb::kHelp:
      return RunHelp(session);
    default:
      return RunMutation(session);
  }
}

// `--help` with no command is the general help, else that of the command.
bool CommandIsGiven(const std::vector<std::string>& args) {
  for (const std::string& arg : args) {
    if (FindCommand(arg) != nullptr || arg == "lock") return true;
  }
  return false;
}

}  // namespace

int RunTunnelctl(const std::vector<std::string>& args) {
  Output out(STDOUT_FILENO);
  Invocation invocation;
  CallError error;
  if (!Parse(args, &invocation, &error)) {
    WriteStderr(WantsJson(args) ? ErrorJson(error, false) : ErrorText(error));
    return ExitCode(error);
  }
  if (!NeedsDaemon(invocation.command->verb) || invocation.Has("help")) {
    Session session(invocation, &out);
    if (!invocation.Has("help")) return RunCommand(session);
    return session.Print(CommandIsGiven(args) ? CommandHelp(*invocation.command)
                                              : GeneralHelp());
  }
  Interrupt::Get();
  Session session(invocation, &out);
  return RunCommand(session);
}

}  // namespace tunnel::ctl::cli
