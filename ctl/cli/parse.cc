#include "ctl/cli/parse.h"

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "ctl/text/suggest.h"

namespace tunnel::ctl::cli {
namespace {

bool IsFlag(absl::string_view token) {
  return token.size() > 1 && token.front() == '-';
}

// Any command's word for a flag: all that have the same spelling agree on
// whether they take a value.
const WordInfo* AnyWordOfFlag(absl::string_view token) {
  for (const WordInfo& word : Words()) {
    if (absl::StartsWith(token, "--")
            ? token.substr(2) == word.name
            : token.substr(1).size() == 1 && token[1] == word.short_flag) {
      return &word;
    }
  }
  return nullptr;
}

std::string HelpHint(const CommandInfo& command) {
  return absl::StrCat("see 'tunnelctl help ", command.name, "'");
}

class Parser {
 public:
  Parser(const std::vector<std::string>& args, Invocation* invocation,
         CallError* error)
      : args_(args), invocation_(invocation), error_(error) {}

  bool Run() {
    if (!FindTheCommand()) return false;
    for (next_ = 0; next_ < args_.size();) {
      if (next_ == command_at_) {
        next_ += command_tokens_;
      } else if (!Token(args_[next_++])) {
        return false;
      }
    }
    if (invocation_->Has("help")) return true;
    return CheckOperands() && CheckValues();
  }

 private:
  const CommandInfo& command() const { return *invocation_->command; }

  bool Fail(std::string message, std::string hint = "") {
    if (hint.empty() && invocation_->command) hint = HelpHint(command());
    *error_ = UsageError(std::move(message), std::move(hint));
    return false;
  }

  // The first token that is neither a flag nor the value of one.
  bool FindTheCommand() {
    command_at_ = args_.size();
    for (size_t i = 0; i < args_.size(); ++i) {
      if (args_[i] == "--") break;
      if (!IsFlag(args_[i])) {
        command_at_ = i;
        break;
      }
      const WordInfo* word = AnyWordOfFlag(args_[i]);
      if (word != nullptr && WantsValue(*word)) ++i;
    }
    if (command_at_ == args_.size()) {
      invocation_->command = &Command(Verb::kShow);
      return true;
    }
    const std::string& first = args_[command_at_];
    if (command_at_ + 1 < args_.size()) {
      invocation_->command =
          FindCommand(absl::StrCat(first, " ", args_[command_at_ + 1]));
      command_tokens_ = 2;
    }
    if (invocation_->command == nullptr) {
      invocation_->command = FindCommand(first);
      command_tokens_ = 1;
    }
    return invocation_->command != nullptr || UnknownCommand(first);
  }

  bool UnknownCommand(const std::string& first) {
    std::vector<absl::string_view> names;
    std::vector<absl::string_view> second;
    for (const CommandInfo& info : Commands()) {
      const std::vector<absl::string_view> parts =
          absl::StrSplit(info.name, ' ');
      names.push_back(parts[0]);
      if (!info.alias.empty()) names.push_back(info.alias);
      if (parts.size() > 1 && parts[0] == first) second.push_back(parts[1]);
    }
    const bool has_more = command_at_ + 1 < args_.size();
    if (second.empty()) {
      return Fail(absl::StrCat("unknown command '", first, "'",
                               DidYouMean(first, names)),
                  "'tunnelctl help' lists the commands");
    }
    const std::string choices = absl::StrJoin(second, "' or '");
    if (!has_more || IsFlag(args_[command_at_ + 1])) {
      return Fail(
          absl::StrCat("'", first, "' needs one more word: '", choices, "'"),
          "'tunnelctl help' lists the commands");
    }
    const std::string& next = args_[command_at_ + 1];
    const std::string nearest = Nearest(next, second);
    const std::string near =
        nearest.empty()
            ? ""
            : absl::StrCat("; did you mean '", first, " ", nearest, "'?");
    return Fail(absl::StrCat("unknown command '", first, " ", next, "'", near),
                "'tunnelctl help' lists the commands");
  }

  bool Token(const std::string& token) {
    if (only_operands_) return Operand(token);
    if (token == "--") {
      only_operands_ = true;
      return true;
    }
    if (absl::StartsWith(token, "--")) return LongFlag(token);
    if (IsFlag(token)) return ShortFlags(token);
    if (TakesOperand()) return Operand(token);
    return BareWord(token);
  }

  // Whether the next bare token is an operand.
  bool TakesOperand() const {
    switch (command().operands) {
      case Operands::kNone:
        return false;
      case Operands::kOptional:
      case Operands::kOne:
        return invocation_->operands.empty();
      case Operands::kAny:
      case Operands::kSome:
        return true;
    }
    return false;
  }

  // Whether some word of the command may stand without its dashes.
  bool TakesWords() const {
    return absl::c_any_of(Words(), [this](const WordInfo& word) {
      return Takes(command(), word) && !word.flag_only;
    });
  }

  bool Operand(const std::string& token) {
    if (!TakesOperand()) {
      return Fail(absl::StrCat("'", token, "' is one word too many"));
    }
    if (token.empty()) {
      return Fail(absl::StrCat(command().operand, " is empty"));
    }
    invocation_->operands.push_back(token);
    return true;
  }

  bool LongFlag(absl::string_view token) {
    const absl::string_view body = token.substr(2);
    const size_t equals = body.find('=');
    const absl::string_view name = body.substr(0, equals);
    const WordInfo* word = FindWord(command(), name);
    if (word == nullptr) return UnknownWord("flag", "--", name);
    if (equals == absl::string_view::npos) return TakeValue(*word);
    if (!WantsValue(*word)) {
      return Fail(absl::StrCat("--", name, " takes no value"));
    }
    return Add(*word, std::string(body.substr(equals + 1)));
  }

  bool ShortFlags(absl::string_view token) {
    for (size_t i = 1; i < token.size(); ++i) {
      const WordInfo* word = FindShortFlag(command(), token[i]);
      if (word == nullptr) {
        return Fail(absl::StrCat("unknown flag '-", token.substr(i, 1),
                                 "' of '", command().name, "'"));
      }
      if (WantsValue(*word) && i + 1 < token.size()) {
        return Fail(absl::StrCat("-", token.substr(i, 1),
                                 " takes a value: put it last"));
      }
      if (!TakeValue(*word)) return false;
    }
    return true;
  }

  bool BareWord(const std::string& token) {
    const WordInfo* word = FindWord(command(), token);
    if (word == nullptr && !TakesWords()) return Operand(token);
    if (word == nullptr) return UnknownWord("word", "", token);
    if (word->flag_only) {
      return Fail(absl::StrCat("write '--", token, "' for '", token, "'"));
    }
    return TakeValue(*word);
  }

  bool UnknownWord(absl::string_view what, absl::string_view dashes,
                   absl::string_view name) {
    std::vector<absl::string_view> known;
    for (const WordInfo& word : Words()) {
      if (Takes(command(), word) && (!word.flag_only || !dashes.empty())) {
        known.push_back(word.name);
      }
    }
    const std::string nearest = Nearest(name, known);
    std::string message = absl::StrCat("unknown ", what, " '", dashes, name,
                                       "' of '", command().name, "'");
    if (!nearest.empty()) {
      absl::StrAppend(&message, "; did you mean '", dashes, nearest, "'?");
    }
    return Fail(std::move(message));
  }

  bool TakeValue(const WordInfo& word) {
    if (!WantsValue(word)) return Add(word, "");
    if (next_ >= args_.size() || next_ == command_at_ ||
        absl::StartsWith(args_[next_], "--")) {
      return Fail(
          absl::StrCat("'", word.name, "' needs a value: ", word.value));
    }
    return Add(word, args_[next_++]);
  }

  bool Add(const WordInfo& word, std::string text) {
    Setting setting;
    setting.word = &word;
    setting.text = std::move(text);
    std::string problem;
    if (!ReadValue(&setting, &problem)) {
      // The parser goes on, to report all of them at once.
      violations_.push_back({std::string(word.name), std::move(problem)});
      return true;
    }
    for (const Setting& other : invocation_->settings) {
      const bool same_field =
          !word.field.empty() && other.word->field == word.field;
      if (other.word != &word && !same_field) continue;
      if (word.kind == ValueKind::kSwitch && other.word == &word) return true;
      if (IsRepeatable(word) && IsRepeatable(*other.word) &&
          (setting.label_key.empty() || setting.label_key != other.label_key)) {
        continue;
      }
      return Fail(other.word == &word
                      ? absl::StrCat("'", word.name, "' is given twice")
                      : absl::StrCat("'", other.word->name, "' and '",
                                     word.name, "' contradict each other"));
    }
    invocation_->settings.push_back(std::move(setting));
    return true;
  }

  bool CheckOperands() {
    const Operands wanted = command().operands;
    if (invocation_->operands.empty() &&
        (wanted == Operands::kOne || wanted == Operands::kSome)) {
      const bool vowel =
          absl::StrContains("AEIO", command().operand.substr(0, 1));
      return Fail(absl::StrCat("'", command().name, "' needs ",
                               vowel ? "an " : "a ", command().operand));
    }
    return true;
  }

  bool CheckValues() {
    if (violations_.empty()) return true;
    Fail(violations_.size() == 1
             ? std::string("a value can not be read")
             : absl::StrCat(violations_.size(), " values can not be read"));
    error_->reason = "FIELD_INVALID";
    const bool only_mode = absl::c_all_of(
        violations_, [](const auto& v) { return v.field == "mode"; });
    if (only_mode) error_->reason = "UNKNOWN_MODE";
    error_->field_violations = violations_;
    return false;
  }

  const std::vector<std::string>& args_;
  Invocation* const invocation_;
  CallError* const error_;
  size_t next_ = 0;            // argument to be read next
  size_t command_at_ = 0;      // where the command stands
  size_t command_tokens_ = 0;  // 1, or 2 for "lock show"
  bool only_operands_ = false;
  std::vector<FieldViolation> violations_;
};

}  // namespace

const Setting* Invocation::Find(absl::string_view name) const {
  for (const Setting& setting : settings) {
    if (setting.word->name == name) return &setting;
  }
  return nullptr;
}

bool Parse(const std::vector<std::string>& args, Invocation* invocation,
           CallError* error) {
  return Parser(args, invocation, error).Run();
}

bool WantsJson(const std::vector<std::string>& args) {
  for (const std::string& arg : args) {
    if (arg == "--") return false;
    if (arg == "--json") return true;
    if (arg.size() > 1 && arg[0] == '-' && arg[1] != '-' &&
        arg.find('j') != std::string::npos) {
      return true;
    }
  }
  return false;
}

}  // namespace tunnel::ctl::cli
