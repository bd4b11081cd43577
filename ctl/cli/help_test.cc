// Help, completion and explanations say all that the tables have.

#include "ctl/cli/help.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "ctl/cli/completion.h"
#include "ctl/cli/errors.h"
#include "ctl/cli/explain.h"
#include "encap/drop_reason.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tunnel::ctl::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Help wraps its lines; text is looked for without the line breaks.
std::string Unwrapped(const std::string& text) {
  std::string out;
  for (absl::string_view word :
       absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
    absl::StrAppend(&out, word, " ");
  }
  return out;
}

TEST(Help, ListsEveryCommandAndGlobalFlag) {
  const std::string help = Unwrapped(GeneralHelp());
  for (const CommandInfo& command : Commands()) {
    EXPECT_THAT(help, HasSubstr(Unwrapped(std::string(command.summary))));
    EXPECT_THAT(help, HasSubstr(absl::StrCat(command.name, " ")));
  }
  for (const WordInfo& word : Words()) {
    if (!IsGlobal(word)) continue;
    EXPECT_THAT(help, HasSubstr(absl::StrCat("--", word.name, " ")));
  }
}

TEST(Help, OfACommandListsExactlyItsWords) {
  for (const CommandInfo& command : Commands()) {
    const std::string help = Unwrapped(CommandHelp(command));
    for (const WordInfo& word : Words()) {
      const std::string row =
          Unwrapped(absl::StrCat(word.name, " ", word.value, " ", word.help));
      if (Takes(command, word)) {
        EXPECT_THAT(help, HasSubstr(row)) << command.name;
      } else {
        EXPECT_THAT(help, Not(HasSubstr(row))) << command.name;
      }
    }
  }
}

TEST(Help, FitsATerminal) {
  std::string all = GeneralHelp();
  for (const CommandInfo& command : Commands()) all += CommandHelp(command);
  for (absl::string_view line : absl::StrSplit(all, '\n')) {
    EXPECT_LE(line.size(), 80u) << line;
    EXPECT_FALSE(absl::EndsWith(line, " ")) << line;
  }
}

// What bash offers for a line whose last word is being typed.
std::string Complete(const std::string& line) {
  const std::string directory = getenv("TEST_TMPDIR");
  std::ofstream(directory + "/completion.bash") << BashCompletion();
  // A tunnelctl that knows two tunnels.
  const std::string script =
      "tunnelctl() { [[ $* == 'list -o name' ]] && printf 'gre0\\ngif1\\n'; }\n"
      "source " +
      directory +
      "/completion.bash\n"
      "COMP_WORDS=(" +
      line +
      ")\n"
      "[[ '" +
      line +
      "' == *' ' ]] && COMP_WORDS+=('')\n"
      "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
      "_tunnelctl\n"
      "printf '%s\\n' \"${COMPREPLY[@]}\"\n";
  std::ofstream(directory + "/script.bash") << script;
  FILE* pipe = popen(("bash " + directory + "/script.bash 2>&1").c_str(), "r");
  std::string out = " ";
  char buffer[256];
  while (fgets(buffer, sizeof(buffer), pipe) != nullptr) {
    out += buffer;
    out.back() = ' ';
  }
  EXPECT_EQ(pclose(pipe), 0) << out;
  return out;
}

TEST(Completion, OffersCommands) {
  const std::string offered = Complete("tunnelctl ");
  for (const CommandInfo& command : Commands()) {
    const std::string first =
        std::string(command.name.substr(0, command.name.find(' ')));
    EXPECT_THAT(offered, HasSubstr(absl::StrCat(" ", first, " ")));
  }
  EXPECT_EQ(Complete("tunnelctl cr"), " create ");
  EXPECT_EQ(Complete("tunnelctl lock sh"), " show ");
  EXPECT_THAT(Complete("tunnelctl lock "), HasSubstr(" interrupt "));
}

TEST(Completion, OffersEveryWordOfTheCommand) {
  for (const CommandInfo& command : Commands()) {
    const bool one = command.operands == Operands::kOne;
    // `help`, `explain` and the like complete their operand first.
    const std::string dashes =
        one || command.operands == Operands::kNone ? "" : "--";
    const std::string offered = Complete(
        absl::StrCat("tunnelctl ", command.name, one ? " name " : " ", dashes));
    for (const WordInfo& word : Words()) {
      if (!Takes(command, word) || IsGlobal(word)) continue;
      const std::string prefix = word.flag_only ? "--" : dashes;
      EXPECT_THAT(offered, HasSubstr(absl::StrCat(" ", prefix, word.name, " ")))
          << command.name;
    }
    EXPECT_THAT(Complete(absl::StrCat("tunnelctl ", command.name, " --js")),
                " --json ");
  }
}

TEST(Completion, OffersTunnelsAndValues) {
  EXPECT_EQ(Complete("tunnelctl set "), " gre0 gif1 ");
  EXPECT_EQ(Complete("tunnelctl delete gre0 "), " gre0 gif1 ");
  EXPECT_EQ(Complete("tunnelctl set gre0 df "), " on off inherit ");
  EXPECT_EQ(Complete("tunnelctl set gre0 --df i"), " inherit ");
  EXPECT_EQ(Complete("tunnelctl create t mode gre"), " gre gretap ");
  EXPECT_EQ(Complete("tunnelctl set gre0 key 42 nok"), " nokey ");
  EXPECT_EQ(Complete("tunnelctl show -o n"), " name ");
  EXPECT_EQ(Complete("tunnelctl --color n"), " never ");
  EXPECT_EQ(Complete("tunnelctl --color never sho"), " show ");
  EXPECT_EQ(Complete("tunnelctl completion "), " bash ");
  const std::string directory = getenv("TEST_TMPDIR");
  std::ofstream(directory + "/only.toml") << "\n";
  const std::string offered = " " + directory + "/only.toml ";
  EXPECT_EQ(Complete("tunnelctl apply -f " + directory + "/on"), offered);
  EXPECT_EQ(Complete("tunnelctl diff file " + directory + "/on"), offered);
}

TEST(Explain, KnowsEveryReason) {
  Explanation explanation;
  std::string nearest;
  for (size_t i = 1; i < encap::kDropReasonCount; ++i) {
    const std::string name(encap::kDropReasonInfo[i].name);
    ASSERT_TRUE(Explain(name, &explanation, &nearest)) << name;
    EXPECT_EQ(explanation.kind, "drop");
    EXPECT_EQ(explanation.text, std::string(encap::kDropReasonInfo[i].text));
    EXPECT_NE(explanation.next_step, "") << name;
  }
  for (const ReasonInfo& info : Reasons()) {
    ASSERT_TRUE(Explain(info.reason, &explanation, &nearest)) << info.reason;
    EXPECT_EQ(explanation.kind, "error");
    EXPECT_EQ(explanation.exit_code, info.exit_code);
    EXPECT_THAT(explanation.next_step, Not(HasSubstr("{")));
  }
}

TEST(Explain, TakesOtherSpellingsAndSuggests) {
  Explanation explanation;
  std::string nearest;
  EXPECT_TRUE(Explain("Key-Mismatch", &explanation, &nearest));
  EXPECT_EQ(explanation.reason, "key_mismatch");
  EXPECT_TRUE(Explain("name_in_use", &explanation, &nearest));
  EXPECT_EQ(explanation.reason, "NAME_IN_USE");
  EXPECT_FALSE(Explain("key_mismtach", &explanation, &nearest));
  EXPECT_EQ(nearest, "key_mismatch");
  EXPECT_FALSE(Explain("none", &explanation, &nearest));
}

}  // namespace
}  // namespace tunnel::ctl::cli
