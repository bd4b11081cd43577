#include "ctl/cli/grammar.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"

namespace tunnel::ctl::cli {
namespace {

constexpr CommandInfo kCommands[] = {
    {Verb::kCreate, "create", "add", Operands::kOne, "NAME",
     "create a tunnel and start it"},
    {Verb::kShow, "show", "list", Operands::kAny, "NAME",
     "configuration and state (the default command)"},
    {Verb::kSet, "set", "", Operands::kOne, "NAME",
     "change in place: interface, index, addresses and routes stay"},
    {Verb::kDelete, "delete", "del", Operands::kSome, "NAME",
     "delete tunnels with their interfaces"},
    {Verb::kUp, "up", "", Operands::kOne, "NAME",
     "set the tunnel administratively up"},
    {Verb::kDown, "down", "", Operands::kOne, "NAME",
     "set the tunnel administratively down"},
    {Verb::kPause, "pause", "", Operands::kOne, "NAME",
     "hold back output; packets wait in the device queue"},
    {Verb::kResume, "resume", "", Operands::kOne, "NAME",
     "let output go on after pause"},
    {Verb::kDetach, "detach", "", Operands::kOne, "NAME",
     "take the endpoint out: nothing in, nothing out"},
    {Verb::kAttach, "attach", "", Operands::kOne, "NAME",
     "put the endpoint back after detach"},
    {Verb::kApply, "apply", "", Operands::kNone, "",
     "bring tunnels to the state that a file has, all or nothing"},
    {Verb::kConfirm, "confirm", "", Operands::kOptional, "ID",
     "keep the configuration that awaits confirmation"},
    {Verb::kRevert, "revert", "", Operands::kOptional, "ID",
     "undo the configuration that awaits confirmation"},
    {Verb::kDiff, "diff", "", Operands::kNone, "",
     "what apply would do: + create, ~ change, - delete"},
    {Verb::kValidate, "validate", "", Operands::kNone, "",
     "check a file, by the daemon too when one answers"},
    {Verb::kWatch, "watch", "", Operands::kAny, "NAME",
     "snapshot, SYNCED, then each change, until Ctrl-C"},
    {Verb::kStats, "stats", "", Operands::kAny, "NAME",
     "counters and drop reasons"},
    {Verb::kTop, "top", "", Operands::kAny, "NAME",
     "rates of tunnels, workers and hand-offs, until Ctrl-C"},
    {Verb::kMetrics, "metrics", "", Operands::kNone, "",
     "counters and histograms in the text format of Prometheus"},
    {Verb::kCapture, "capture", "", Operands::kOne, "NAME",
     "copy packets of a tunnel to a pcapng file, until Ctrl-C"},
    {Verb::kLockShow, "lock show", "", Operands::kNone, "",
     "holder, waiters and times of the configuration lock"},
    {Verb::kLockInterrupt, "lock interrupt", "", Operands::kOne, "ID",
     "end the wait, or the uncommitted work, of one party"},
    {Verb::kResizeHandoff, "resize-handoff", "", Operands::kOne, "PACKETS",
     "room of each ring between two workers"},
    {Verb::kExplain, "explain", "", Operands::kOptional, "REASON",
     "what a drop reason or an error reason means, and what to do"},
    {Verb::kCompletion, "completion", "", Operands::kOne, "SHELL",
     "print the completion script for a shell (bash)"},
    {Verb::kVersion, "version", "", Operands::kNone, "",
     "version of this program"},
    {Verb::kHelp, "help", "", Operands::kAny, "COMMAND",
     "this text, or that of one command"},
};

}  // namespace

absl::Span<const CommandInfo> Commands() { return kCommands; }

bool WantsValue(const WordInfo& word) { return !word.value.empty(); }

bool IsRepeatable(const WordInfo& word) {
  return word.kind == ValueKind::kList || word.kind == ValueKind::kLabel ||
         word.kind == ValueKind::kLabelKey;
}

std::vector<absl::string_view> Choices(const WordInfo& word) {
  std::vector<absl::string_view> choices;
  for (absl::string_view part : absl::StrSplit(word.value, '|')) {
    if (!part.empty() && absl::ascii_islower(part.front()) &&
        part.find(':') == absl::string_view::npos) {
      choices.push_back(part);
    }
  }
  return choices;
}

const CommandInfo& Command(Verb verb) {
  return kCommands[static_cast<size_t>(verb)];
}

const CommandInfo* FindCommand(absl::string_view name) {
  for (const CommandInfo& command : kCommands) {
    if (command.name == name) return &command;
    if (!command.alias.empty() && command.alias == name) return &command;
  }
  return nullptr;
}

const WordInfo* FindWord(const CommandInfo& command, absl::string_view name) {
  for (const WordInfo& word : Words()) {
    if (word.name == name && Takes(command, word)) return &word;
  }
  return nullptr;
}

const WordInfo* FindShortFlag(const CommandInfo& command, char flag) {
  for (const WordInfo& word : Words()) {
    if (word.short_flag == flag && Takes(command, word)) return &word;
  }
  return nullptr;
}

}  // namespace tunnel::ctl::cli
