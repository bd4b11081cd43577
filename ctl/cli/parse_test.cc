#include "ctl/cli/parse.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tunnel::ctl::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Parsed {
  bool ok = false;
  Invocation invocation;
  CallError error;
};

Parsed ParseLine(const std::string& line) {
  Parsed parsed;
  const std::vector<std::string> args =
      absl::StrSplit(line, ' ', absl::SkipEmpty());
  parsed.ok = Parse(args, &parsed.invocation, &parsed.error);
  return parsed;
}

// The settings as "word=value", in the order given.
std::string Settings(const Parsed& parsed) {
  std::vector<std::string> parts;
  for (const Setting& setting : parsed.invocation.settings) {
    parts.push_back(absl::StrCat(setting.word->name, "=", setting.text));
  }
  return absl::StrJoin(parts, " ");
}

TEST(Parse, NoCommandIsShow) {
  for (const char* line : {"", "-j", "--json -p", "-d", "-o name"}) {
    const Parsed parsed = ParseLine(line);
    ASSERT_TRUE(parsed.ok) << line << ": " << parsed.error.message;
    EXPECT_EQ(parsed.invocation.command->verb, Verb::kShow) << line;
  }
}

// Every word of every command, as a bare word (where those are taken), as a
// flag with its value behind it, and as one token.
TEST(Parse, EveryWordWorksInEachForm) {
  for (const CommandInfo& command : Commands()) {
    const std::string operand =
        command.operands == Operands::kNone ? "" : " name";
    const bool bare_words = command.operands == Operands::kNone ||
                            command.operands == Operands::kOne;
    for (const WordInfo& word : Words()) {
      if (!Takes(command, word)) continue;
      std::string value;
      switch (word.kind) {
        case ValueKind::kEnum:
        case ValueKind::kChoice:
          value = std::string(Choices(word).front());
          break;
        case ValueKind::kDuration:
          value = "3s";
          break;
        case ValueKind::kLabel:
          value = "k=v";
          break;
        default:
          value = WantsValue(word) ? "12" : "";
      }
      std::vector<std::string> forms = {
          absl::StrCat("--", word.name, " ", value)};
      if (!value.empty()) {
        forms.push_back(absl::StrCat("--", word.name, "=", value));
      }
      if (bare_words && !word.flag_only) {
        forms.push_back(absl::StrCat(word.name, " ", value));
      }
      if (word.short_flag != 0) {
        forms.push_back(
            absl::StrCat("-", std::string(1, word.short_flag), " ", value));
      }
      for (const std::string& form : forms) {
        const std::string line = absl::StrCat(command.name, operand, " ", form);
        const Parsed parsed = ParseLine(line);
        ASSERT_TRUE(parsed.ok) << line << ": " << parsed.error.message;
        EXPECT_EQ(parsed.invocation.command, &command) << line;
        EXPECT_EQ(Settings(parsed), absl::StrCat(word.name, "=", value))
            << line;
      }
    }
  }
}

TEST(Parse, EveryWordThatACommandDoesNotTakeIsRefused) {
  for (const CommandInfo& command : Commands()) {
    for (const WordInfo& word : Words()) {
      if (Takes(command, word)) continue;
      const std::string line =
          absl::StrCat(command.name, " name --", word.name, " 1");
      const Parsed parsed = ParseLine(line);
      EXPECT_FALSE(parsed.ok) << line;
      EXPECT_EQ(ExitCode(parsed.error), kExitUsage) << line;
    }
  }
}

TEST(Parse, WordsComeInAnyOrderAfterTheName) {
  const Parsed a = ParseLine("create t mode gre key 42 local 192.0.2.1");
  const Parsed b = ParseLine("add t local 192.0.2.1 --key=42 --mode gre");
  ASSERT_TRUE(a.ok && b.ok);
  EXPECT_THAT(b.invocation.operands, ElementsAre("t"));
  for (const char* word : {"mode", "key", "local"}) {
    EXPECT_EQ(a.invocation.Find(word)->text, b.invocation.Find(word)->text);
  }
}

TEST(Parse, GlobalFlagsStandBeforeOrAfterTheCommand) {
  const Parsed parsed =
      ParseLine("--target unix:/x -j show --color=never gre0 -p");
  ASSERT_TRUE(parsed.ok) << parsed.error.message;
  EXPECT_THAT(parsed.invocation.operands, ElementsAre("gre0"));
  EXPECT_EQ(Settings(parsed), "target=unix:/x json= color=never pretty=");
  EXPECT_EQ(Settings(ParseLine("show -jpd")), "json= pretty= details=");
}

TEST(Parse, ANameMayBeAWordOrBeginWithADash) {
  const Parsed word = ParseLine("create up mode gre up");
  ASSERT_TRUE(word.ok) << word.error.message;
  EXPECT_THAT(word.invocation.operands, ElementsAre("up"));
  EXPECT_EQ(Settings(word), "mode=gre up=");
  const Parsed names = ParseLine("delete --if-exists -- -x --json");
  ASSERT_TRUE(names.ok) << names.error.message;
  EXPECT_THAT(names.invocation.operands, ElementsAre("-x", "--json"));
  EXPECT_FALSE(WantsJson({"delete", "--", "--json"}));
}

TEST(Parse, RepeatableWordsMayBeGivenAgain) {
  const Parsed parsed = ParseLine(
      "set t address 10.0.0.1/30 address fd00::1/64 label a=1 nolabel b");
  ASSERT_TRUE(parsed.ok) << parsed.error.message;
  EXPECT_EQ(parsed.invocation.settings.size(), 4u);
}

TEST(Parse, UsageErrorsSayWhatIsWrong) {
  const struct {
    const char* line;
    const char* message;
  } cases[] = {
      {"shwo", "unknown command 'shwo'; did you mean 'show'?"},
      {"aply -f x", "unknown command 'aply'; did you mean 'apply'?"},
      {"lock", "'lock' needs one more word: 'show' or 'interrupt'"},
      {"lock shwo", "did you mean 'lock show'?"},
      {"create", "'create' needs a NAME"},
      {"delete", "'delete' needs a NAME"},
      {"lock interrupt", "needs an ID"},
      {"create t remoet 192.0.2.1", "did you mean 'remote'?"},
      {"create t --remoet=192.0.2.1", "did you mean '--remote'?"},
      {"create t udpcsum", "unknown word 'udpcsum' of 'create'"},
      {"create t noallowed-ips", "unknown word 'noallowed-ips' of 'create'"},
      {"create t netns blue", "unknown word 'netns' of 'create'"},
      {"create t nokey", "unknown word 'nokey' of 'create'"},
      {"create t if-match x", "unknown word 'if-match' of 'create'"},
      {"create t json", "write '--json' for 'json'"},
      {"create t key", "'key' needs a value: K"},
      {"create t key --csum", "'key' needs a value: K"},
      {"create t --csum=on", "--csum takes no value"},
      {"create t key 1 key 2", "'key' is given twice"},
      {"set t key 1 nokey", "'key' and 'nokey' contradict each other"},
      {"set t up down", "'up' and 'down' contradict each other"},
      {"set t label a=1 nolabel a", "contradict each other"},
      {"set t label a=1 label a=2", "'label' is given twice"},
      {"set t address 10.0.0.1/8 noaddress", "contradict each other"},
      {"version now", "'now' is one word too many"},
      {"explain a b", "'b' is one word too many"},
      {"show -x", "unknown flag '-x' of 'show'"},
      {"show -oj", "-o takes a value: put it last"},
      {"show --since 3", "unknown flag '--since' of 'show'"},
      {"pause t maximum 3s", "unknown word 'maximum' of 'pause'"},
  };
  for (const auto& row : cases) {
    const Parsed parsed = ParseLine(row.line);
    EXPECT_FALSE(parsed.ok) << row.line;
    EXPECT_THAT(parsed.error.message, HasSubstr(row.message)) << row.line;
    EXPECT_EQ(parsed.error.reason, "USAGE") << row.line;
    EXPECT_EQ(ExitCode(parsed.error), kExitUsage) << row.line;
  }
}

TEST(Parse, AllValuesThatCanNotBeReadAreReportedAtOnce) {
  const Parsed parsed =
      ParseLine("create t mode grE ttl many key 4294967296 mtu 1500 wait soon");
  ASSERT_FALSE(parsed.ok);
  EXPECT_EQ(parsed.error.reason, "FIELD_INVALID");
  ASSERT_EQ(parsed.error.field_violations.size(), 4u);
  EXPECT_EQ(parsed.error.field_violations[0].field, "mode");
  EXPECT_THAT(parsed.error.field_violations[0].description,
              HasSubstr("did you mean 'gre'?"));
  EXPECT_EQ(parsed.error.field_violations[1].field, "ttl");
  EXPECT_EQ(parsed.error.field_violations[2].field, "key");
  EXPECT_EQ(parsed.error.field_violations[3].field, "wait");
  EXPECT_EQ(ParseLine("create t mode vxlan").error.reason, "UNKNOWN_MODE");
}

TEST(Parse, HelpNeedsNothingElse) {
  const Parsed parsed = ParseLine("create --help");
  ASSERT_TRUE(parsed.ok) << parsed.error.message;
  EXPECT_TRUE(parsed.invocation.Has("help"));
  EXPECT_EQ(parsed.invocation.command->verb, Verb::kCreate);
}

}  // namespace
}  // namespace tunnel::ctl::cli
