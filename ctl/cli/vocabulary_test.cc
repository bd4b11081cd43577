// The command line and the config file name the fields of a tunnel alike.

#include <map>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "ctl/cli/grammar.h"
#include "ctl/config_file/fields.h"
#include "gtest/gtest.h"

namespace tunnel::ctl::cli {
namespace {

TEST(Vocabulary, EveryWordOfCreateThatSetsAFieldIsAWordOfTheFile) {
  int words = 0;
  for (const WordInfo& word : Words()) {
    absl::string_view field = word.field;
    if (!absl::ConsumePrefix(&field, "tunnel.")) continue;
    if (!Takes(Command(Verb::kCreate), word)) continue;
    // `down` is `up = false` there.
    if (word.name == "down") continue;
    const FieldInfo* info = FindField(word.name);
    ASSERT_NE(info, nullptr) << word.name;
    EXPECT_EQ(info->field, field) << word.name;
    EXPECT_EQ(info->keyword, word.keyword) << word.name;
    EXPECT_EQ(info->zero_word, word.zero_word) << word.name;
    if (word.kind == ValueKind::kEnum) {
      EXPECT_EQ(info->value, word.value) << word.name;
      EXPECT_EQ(info->enum_prefix, word.enum_prefix) << word.name;
    }
    ++words;
  }
  EXPECT_EQ(words, 32);
}

TEST(Vocabulary, EveryAliasOfTheFileIsAWordOfCreate) {
  for (const FieldInfo& info : Fields()) {
    if (info.alias.empty()) continue;
    const WordInfo* word = FindWord(Command(Verb::kCreate), info.alias);
    ASSERT_NE(word, nullptr) << info.alias;
    EXPECT_EQ(absl::StripPrefix(word->field, "tunnel."), info.field);
  }
}

}  // namespace
}  // namespace tunnel::ctl::cli
