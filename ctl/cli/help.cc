#include "ctl/cli/help.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace tunnel::ctl::cli {
namespace {

constexpr size_t kColumn = 28;
constexpr size_t kWidth = 80;

// "  LEFT      right", the right side wrapped to the width of a terminal.
void AppendRow(std::string* out, absl::string_view left,
               absl::string_view right) {
  std::string line = absl::StrCat("  ", left);
  if (line.size() + 2 > kColumn) {
    absl::StrAppend(out, line, "\n");
    line.clear();
  }
  line.resize(kColumn, ' ');
  for (absl::string_view word : absl::StrSplit(right, ' ')) {
    if (line.size() + word.size() > kWidth) {
      while (line.back() == ' ') line.pop_back();
      absl::StrAppend(out, line, "\n");
      line.assign(kColumn, ' ');
    }
    absl::StrAppend(&line, word, " ");
  }
  while (line.back() == ' ') line.pop_back();
  absl::StrAppend(out, line, "\n");
}

std::string OperandUsage(const CommandInfo& command) {
  switch (command.operands) {
    case Operands::kNone:
      return "";
    case Operands::kOptional:
      return absl::StrCat(" [", command.operand, "]");
    case Operands::kOne:
      return absl::StrCat(" ", command.operand);
    case Operands::kAny:
      return absl::StrCat(" [", command.operand, "]...");
    case Operands::kSome:
      return absl::StrCat(" ", command.operand, "...");
  }
  return "";
}

// "-j, --json", "--wait D", "key K".
std::string WordUsage(const WordInfo& word, bool dashes) {
  std::string text;
  if (word.short_flag != 0) {
    absl::StrAppend(&text, "-", std::string(1, word.short_flag), ", ");
  }
  const bool flag = dashes || word.short_flag != 0;
  absl::StrAppend(&text, flag ? "--" : "", word.name);
  if (WantsValue(word)) absl::StrAppend(&text, " ", word.value);
  return text;
}

// True when the command takes bare words, not flags alone.
bool TakesWords(const CommandInfo& command) {
  return command.operands == Operands::kNone ||
         command.operands == Operands::kOne;
}

absl::string_view Notes(Verb verb) {
  switch (verb) {
    case Verb::kCreate:
      return "Example:\n"
             "  tunnelctl create gre0 mode gre local 192.0.2.1 remote "
             "192.0.2.2 "
             "\\\n"
             "      key 42 address 10.9.0.1/30\n";
    case Verb::kSet:
      return "Only what is named is changed; traffic of other tunnels goes "
             "on.\n"
             "Examples:\n"
             "  tunnelctl set gre0 key 43\n"
             "  tunnelctl set gre0 remote 192.0.2.9 nocsum ttl inherit\n";
    case Verb::kShow:
      return "With --json: one array of Tunnel objects (proto3 JSON, names as "
             "in "
             "the\n.proto; fields at their default are left out, 64-bit "
             "numbers "
             "are strings).\n";
    case Verb::kApply:
      return "What the file leaves out of a tunnel goes to its default; "
             "tunnels "
             "that are not\nin the file stay as they are, unless --prune.\n"
             "Examples:\n"
             "  tunnelctl show -o toml > tunnels.toml\n"
             "  tunnelctl diff -f tunnels.toml\n"
             "  tunnelctl apply -f tunnels.toml --confirm 30s\n"
             "  tunnelctl confirm\n";
    case Verb::kConfirm:
    case Verb::kRevert:
      return "Without ID: whatever awaits confirmation; 'tunnelctl lock show' "
             "tells what.\n";
    case Verb::kDiff:
      return "Exit code 0: nothing to change; 1: there is a difference.\n";
    case Verb::kStats:
      return "With --json: one array; counters are numbers, `drops` is the sum "
             "of\n"
             "receive_drops and transmit_drops by reason. With --details also "
             "packets that\nreached no tunnel, and the workers.\n";
    case Verb::kTop:
      return "The figures are those of the interval before. On a terminal they "
             "take the place\nof those before them, else each follows behind "
             "an empty line; with --json one\nobject a line. After Ctrl-C the "
             "exit code is 130.\nExample, for scripts:\n"
             "  tunnelctl top --once --interval 5s --json\n";
    case Verb::kWatch:
      return "One line an event, with --json one object a line. After Ctrl-C "
             "the exit\ncode is 130.\n";
    case Verb::kCapture:
      return "A packet of the outer side is one that has been sent, or "
             "received. For those\nwho may change tunnels. After Ctrl-C the "
             "exit code is 0.\nExamples:\n"
             "  tunnelctl capture gre0 -w gre0.pcapng -c 100\n"
             "  tunnelctl capture gre0 --side inner | tcpdump -n -r -\n";
    case Verb::kResizeHandoff:
      return "PACKETS is 16 to 16384, rounded up to a power of two. No packet "
             "is lost or\novertaken for it. 'stats -d' and 'top' show how full "
             "the rings are. It is for\nthis run of the daemon; "
             "--handoff_packets of tunneld is for its start.\n";
    case Verb::kPause:
      return "Packets that arrive meanwhile wait in the queue of the device.\n";
    case Verb::kCompletion:
      return "Example:\n  source <(tunnelctl completion bash)\n";
    default:
      return "";
  }
}

}  // namespace

std::string GeneralHelp() {
  std::string out =
      "tunnelctl configures and shows the tunnels of tunneld.\n\n"
      "Usage: tunnelctl [FLAG]... COMMAND [NAME] [WORD [VALUE] | FLAG]...\n"
      "Words or flags both work: 'key 42' is '--key 42' is '--key=42'.\n\n"
      "Commands:\n";
  for (const CommandInfo& command : Commands()) {
    std::string left = absl::StrCat(command.name, OperandUsage(command));
    if (!command.alias.empty()) {
      absl::StrAppend(&left, " (", command.alias, ")");
    }
    AppendRow(&out, left, command.summary);
  }
  absl::StrAppend(&out, "\nFlags of every command:\n");
  for (const WordInfo& word : Words()) {
    if (IsGlobal(word)) AppendRow(&out, WordUsage(word, true), word.help);
  }
  absl::StrAppend(
      &out,
      "\nExit codes: 0 ok, 1 other failure, 2 usage or invalid field,\n"
      "3 not found, 4 conflict, 69 daemon unreachable or stopping,\n"
      "75 try again (lock busy, deadline, interrupted), 77 not permitted,\n"
      "78 bad config file, 130 Ctrl-C.\n"
      "'tunnelctl explain REASON' tells what a reason means.\n");
  return out;
}

std::string CommandHelp(const CommandInfo& command) {
  std::string out = absl::StrCat("tunnelctl ", command.name, ": ",
                                 command.summary, "\n\nUsage: tunnelctl ",
                                 command.name, OperandUsage(command));
  const bool words = TakesWords(command);
  absl::StrAppend(&out, words ? " [WORD [VALUE] | FLAG]...\n" : " [FLAG]...\n");
  if (!command.alias.empty()) {
    absl::StrAppend(&out, "Also called '", command.alias, "'.\n");
  }
  std::string own;
  std::string global;
  for (const WordInfo& word : Words()) {
    if (!Takes(command, word)) continue;
    const bool dashes = !words || word.flag_only;
    AppendRow(IsGlobal(word) ? &global : &own, WordUsage(word, dashes),
              word.help);
  }
  if (!own.empty())
    absl::StrAppend(&out, "\n", words ? "Words" : "Flags", ":\n", own);
  absl::StrAppend(&out, "\nFlags of every command:\n", global);
  const absl::string_view notes = Notes(command.verb);
  if (!notes.empty()) absl::StrAppend(&out, "\n", notes);
  return out;
}

}  // namespace tunnel::ctl::cli
