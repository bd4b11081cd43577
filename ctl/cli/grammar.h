// The table of tunnelctl: its commands and the words that each of them takes.
//
// Parser, requests, help and completion are all made from this table, so a word
// that stands here is accepted, applied, documented and completed, and any
// other is refused. Everything is constant and lives as long as the program.

#ifndef CTL_CLI_GRAMMAR_H_
#define CTL_CLI_GRAMMAR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tunnel::ctl::cli {

enum class Verb : uint8_t {
  kCreate,
  kShow,
  kSet,
  kDelete,
  kUp,
  kDown,
  kPause,
  kResume,
  kDetach,
  kAttach,
  kApply,
  kConfirm,
  kRevert,
  kDiff,
  kValidate,
  kWatch,
  kStats,
  kTop,
  kMetrics,
  kCapture,
  kLockShow,
  kLockInterrupt,
  kResizeHandoff,
  kExplain,
  kCompletion,
  kVersion,
  kHelp,
};

// How many operands (names of tunnels, mostly) a command takes. With kOne every
// bare token after the operand is a word of the table; with kAny and kSome
// every bare token is an operand and words need their dashes.
enum class Operands : uint8_t { kNone, kOptional, kOne, kAny, kSome };

struct CommandInfo {
  Verb verb;
  absl::string_view name;   // "create", "lock show"
  absl::string_view alias;  // another name, or ""
  Operands operands;
  absl::string_view operand;  // what help calls it: "NAME"
  absl::string_view summary;
};

enum class ValueKind : uint8_t {
  kSwitch,    // no value: sets the bool field
  kUnset,     // no value: the field goes back to its default
  kConstant,  // no value: sets the enum field to `constant`
  kText,      // any text
  kNumber,    // 0 to 2^32-1, decimal or 0x..; or the word `keyword`
  kKey,       // a number, or a dotted quad as iproute2 takes it
  kEnum,      // one of `value`, an enumerator behind `enum_prefix`
  kChoice,    // one of `value`, applied by the client itself
  kRate,      // bits a second, "10mbit"; or the word `keyword`
  kSize,      // bytes below 2^32, "64kb"; or the word `keyword`
  kDuration,  // "500ms", "2s", "1m30s"
  kList,      // appended to a repeated field; may be given again
  kLabel,     // "K=V"; may be given again
  kLabelKey,  // "K", to be removed; may be given again
};

struct WordInfo {
  absl::string_view name;
  char short_flag = 0;
  ValueKind kind = ValueKind::kSwitch;
  // Placeholder of the value ("N|inherit"), "" when it takes none.
  absl::string_view value = "";
  // Path of the field in the request ("tunnel.key"); "" when the client itself
  // applies the word.
  absl::string_view field = "";
  // kNumber, kRate, kSize: a word in place of the number, and the bool field
  // that it sets; "" when it sets `field` back to its default.
  absl::string_view keyword = "";
  absl::string_view keyword_field = "";
  // kNumber: a word that stands for 0, which the field has as a value.
  absl::string_view zero_word = "";
  absl::string_view enum_prefix = "";
  int constant = 0;
  // Bit 1 << Verb for each command that takes it.
  uint32_t verbs = 0;
  // Only with its dashes, even where bare words are taken.
  bool flag_only = false;
  absl::string_view help = "";
};

absl::Span<const CommandInfo> Commands();
absl::Span<const WordInfo> Words();
// The first of them: those that say what a tunnel is like.
absl::Span<const WordInfo> SpecWords();

constexpr uint32_t Bit(Verb verb) {
  return uint32_t{1} << static_cast<uint32_t>(verb);
}
// True when a command takes the word.
inline bool Takes(const CommandInfo& command, const WordInfo& word) {
  return (word.verbs & Bit(command.verb)) != 0;
}
// True for the words that all commands take.
bool IsGlobal(const WordInfo& word);
// True for the kinds that want a value.
bool WantsValue(const WordInfo& word);
// True when the word may be given more than once.
bool IsRepeatable(const WordInfo& word);
// The words that stand for themselves in `value` ("on|off|inherit"), without
// the placeholders in capitals.
std::vector<absl::string_view> Choices(const WordInfo& word);

const CommandInfo& Command(Verb verb);
// By name or alias; nullptr for an unknown one.
const CommandInfo* FindCommand(absl::string_view name);
// The word of this name that the command takes; nullptr when it takes none.
const WordInfo* FindWord(const CommandInfo& command, absl::string_view name);
const WordInfo* FindShortFlag(const CommandInfo& command, char flag);
// True for the commands that change something. All but confirm take the options
// of changes (ChangeOptions).
bool IsMutation(Verb verb);
// True for the commands that go on until Ctrl-C.
inline bool IsStream(Verb verb) {
  return verb == Verb::kWatch || verb == Verb::kCapture;
}

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_GRAMMAR_H_
