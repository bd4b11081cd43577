#include "ctl/cli/completion.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "ctl/cli/grammar.h"

namespace tunnel::ctl::cli {
namespace {

bool TakesBareWords(const CommandInfo& command) {
  return command.operands == Operands::kNone ||
         command.operands == Operands::kOne;
}

// Words separated by spaces that complete after `command`.
std::string CompletionWords(const CommandInfo& command) {
  std::vector<std::string> words;
  for (const WordInfo& word : Words()) {
    if (!Takes(command, word) || IsGlobal(word)) continue;
    const bool bare = TakesBareWords(command) && !word.flag_only;
    words.push_back(absl::StrCat(bare ? "" : "--", word.name));
  }
  return absl::StrJoin(words, " ");
}

bool CompletesNames(const CommandInfo& command) {
  return command.operand == "NAME" && command.verb != Verb::kCreate;
}

// What completes the operand of a command that does not take a tunnel's name.
std::string OperandChoices(const CommandInfo& command) {
  if (command.verb == Verb::kCompletion) return "bash";
  if (command.verb == Verb::kExplain) {
    return "$(tunnelctl explain 2>/dev/null | cut -d' ' -f1)";
  }
  if (command.verb == Verb::kHelp) return "$commands";
  return "";
}

// "create|add)" and what completes after it.
void AppendCommandCase(std::string* out, const CommandInfo& command) {
  absl::StrAppend(out, "    '", command.name, "'");
  if (!command.alias.empty()) absl::StrAppend(out, "|'", command.alias, "'");
  absl::StrAppend(out, ")\n      words='", CompletionWords(command), "'\n");
  const std::string choices = OperandChoices(command);
  if (CompletesNames(command)) {
    absl::StrAppend(out,
                    "      operands=$(tunnelctl list -o name 2>/dev/null)\n");
  } else if (!choices.empty()) {
    absl::StrAppend(out, "      operands=\"", choices, "\"\n");
  }
  if (TakesBareWords(command)) {
    const bool one = command.operands == Operands::kOne;
    absl::StrAppend(out, "      limit=", one ? 1 : 0, "\n");
  }
  absl::StrAppend(out, "      ;;\n");
}

// The values of each word that has choices, by the word before the cursor.
std::string ValueCases() {
  std::string out;
  for (const WordInfo& word : Words()) {
    if (!WantsValue(word)) continue;
    std::string pattern = absl::StrCat(word.name, "|--", word.name);
    if (word.short_flag != 0) {
      absl::StrAppend(&pattern, "|-", std::string(1, word.short_flag));
    }
    const bool file = word.name == "file";
    const std::string choices =
        file ? "$(compgen -f -- \"$cur\")"
             : absl::StrCat("'", absl::StrJoin(Choices(word), " "), "'");
    absl::StrAppend(&out, "    ", pattern, ") values=", choices,
                    "; return 0 ;;\n");
  }
  return out;
}

// The frame; @NAME@ stands for what the table fills in. `words` and `operands`
// are what the command takes; after `limit` operands only words follow.
constexpr absl::string_view kFrame = R"(# bash completion of tunnelctl
_tunnelctl_value() {
  case "$1" in
@VALUES@  esac
  return 1
}
_tunnelctl() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  local commands='@COMMANDS@'
  local globals='@GLOBALS@'
  local command= words= operands= values= limit=1000 count=0 i token
  for ((i = 1; i < COMP_CWORD; i++)); do
    token=${COMP_WORDS[i]}
    case "$token" in
      -*) _tunnelctl_value "$token" && ((i++)) ;;
      *)
        if [[ -z $command || $command == lock ]]; then
          command=${command:+$command }$token
        else
          _tunnelctl_value "$token" && ((count >= 1)) && ((i++)) || ((count++))
        fi ;;
    esac
  done
  values=
  if [[ $prev == -* || $count -ge 1 || $command == 'lock show' ]] &&
      _tunnelctl_value "$prev"; then
    COMPREPLY=($(compgen -W "$values" -- "$cur"))
    return
  fi
  case "$command" in
    '') words=$commands ;;
    lock) words='@LOCK@' ;;
@CASES@  esac
  if ((count < limit)) && [[ $cur != -* && -n $operands ]]; then
    COMPREPLY=($(compgen -W "$operands" -- "$cur"))
  else
    COMPREPLY=($(compgen -W "$words $globals" -- "$cur"))
  fi
}
complete -F _tunnelctl tunnelctl
)";

}  // namespace

std::string BashCompletion() {
  std::vector<std::string> commands;
  std::vector<std::string> lock;
  std::string cases;
  for (const CommandInfo& command : Commands()) {
    const std::vector<std::string> parts = absl::StrSplit(command.name, ' ');
    if (parts.size() > 1) lock.push_back(parts[1]);
    if (parts.size() == 1 || lock.size() == 1) commands.push_back(parts[0]);
    if (!command.alias.empty()) commands.emplace_back(command.alias);
    AppendCommandCase(&cases, command);
  }
  std::vector<std::string> globals;
  for (const WordInfo& word : Words()) {
    if (IsGlobal(word)) globals.push_back(absl::StrCat("--", word.name));
  }
  return absl::StrReplaceAll(kFrame,
                             {{"@VALUES@", ValueCases()},
                              {"@COMMANDS@", absl::StrJoin(commands, " ")},
                              {"@GLOBALS@", absl::StrJoin(globals, " ")},
                              {"@LOCK@", absl::StrJoin(lock, " ")},
                              {"@CASES@", cases}});
}

}  // namespace tunnel::ctl::cli
