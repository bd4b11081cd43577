#include "ctl/cli/value.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tunnel::ctl::cli {
namespace {

// Reads `text` for the word of `create` or `pause`. The setting is returned in
// `setting`.
bool Read(const char* word, const char* text, Setting* setting,
          std::string* problem) {
  setting->word = FindWord(Command(Verb::kSet), word);
  if (setting->word == nullptr) {
    setting->word = FindWord(Command(Verb::kPause), word);
  }
  setting->text = text;
  return ReadValue(setting, problem);
}

TEST(ParseNumber, BothEndsOfTheRange) {
  uint32_t number = 1;
  EXPECT_TRUE(ParseNumber("0", &number));
  EXPECT_EQ(number, 0u);
  EXPECT_TRUE(ParseNumber("4294967295", &number));
  EXPECT_EQ(number, 4294967295u);
  EXPECT_TRUE(ParseNumber("0xffffffff", &number));
  EXPECT_EQ(number, 4294967295u);
  EXPECT_TRUE(ParseNumber("0XfC", &number));
  EXPECT_EQ(number, 252u);
  EXPECT_TRUE(ParseNumber("010", &number));
  EXPECT_EQ(number, 10u) << "decimal, not octal";
}

TEST(ParseNumber, RefusesAllElse) {
  for (const char* text :
       {"", "0x", "4294967296", "0x100000000", "-1", "+1", " 1", "1 ", "1.0",
        "12a", "0xg", "18446744073709551616", "\xd9\xa3"}) {
    uint32_t number = 7;
    EXPECT_FALSE(ParseNumber(text, &number)) << text;
    EXPECT_EQ(number, 7u) << text;
  }
}

TEST(ParseKey, TakesDottedQuads) {
  uint32_t key = 0;
  EXPECT_TRUE(ParseKey("1.2.3.4", &key));
  EXPECT_EQ(key, 0x01020304u);
  EXPECT_TRUE(ParseKey("255.255.255.255", &key));
  EXPECT_EQ(key, 0xffffffffu);
  EXPECT_TRUE(ParseKey("0.0.0.0", &key));
  EXPECT_EQ(key, 0u);
  for (const char* text :
       {"1.2.3", "1.2.3.4.5", "1.2.3.256", "1..2.3", "0x1.2.3.4", "1.2.3.4 "}) {
    EXPECT_FALSE(ParseKey(text, &key)) << text;
  }
}

TEST(ReadValue, KeywordsStandForNumbers) {
  Setting setting;
  std::string problem;
  ASSERT_TRUE(Read("ttl", "inherit", &setting, &problem));
  EXPECT_TRUE(setting.keyword);
  Setting number;
  ASSERT_TRUE(Read("ttl", "255", &number, &problem));
  EXPECT_FALSE(number.keyword);
  EXPECT_EQ(number.number, 255u);
  Setting wrong;
  EXPECT_FALSE(Read("mtu", "inherit", &wrong, &problem));
  EXPECT_EQ(problem,
            "'inherit' is not a number (0 to 4294967295, or 0x..) or 'auto'");
}

TEST(ReadValue, RatesAndSizesHaveTheirUnits) {
  Setting setting;
  std::string problem;
  ASSERT_TRUE(Read("rate", "1.5gbit", &setting, &problem));
  EXPECT_EQ(setting.quantity, 1'500'000'000u);
  ASSERT_TRUE(Read("rate", "none", &setting, &problem));
  EXPECT_TRUE(setting.keyword);
  Setting wrong;
  EXPECT_FALSE(Read("rate", "fast", &wrong, &problem));
  EXPECT_EQ(problem,
            "'fast' is not bits a second such as 800kbit, 10mbit or 1gbit, or "
            "'none'");
  Setting size;
  ASSERT_TRUE(Read("burst", "4294967295", &size, &problem));
  EXPECT_EQ(size.quantity, 4294967295u);
  EXPECT_FALSE(Read("burst", "4gb", &size, &problem));
  EXPECT_EQ(problem, "'4gb' is not bytes such as 1500, 64kb or 1mb, or 'auto'");
}

TEST(ReadValue, AZeroMayHaveAWordOfItsOwn) {
  Setting setting;
  std::string problem;
  ASSERT_TRUE(Read("mss-clamp", "auto", &setting, &problem));
  EXPECT_FALSE(setting.keyword);
  EXPECT_EQ(setting.number, 0u);
  ASSERT_TRUE(Read("mss-clamp", "off", &setting, &problem));
  EXPECT_TRUE(setting.keyword);
  EXPECT_FALSE(Read("mss-clamp", "on", &setting, &problem));
  EXPECT_EQ(problem,
            "'on' is not a number (0 to 4294967295, or 0x..), 'auto' or "
            "'off'");
}

TEST(ReadValue, ChoicesAreEnumerators) {
  Setting setting;
  std::string problem;
  ASSERT_TRUE(Read("df", "inherit", &setting, &problem));
  EXPECT_EQ(setting.number, 3u);
  Setting mode;
  ASSERT_TRUE(Read("mode", "gretap", &mode, &problem));
  EXPECT_EQ(mode.number, 6u);
  EXPECT_FALSE(Read("mode", "GRE", &mode, &problem));
  EXPECT_FALSE(Read("mode", "unspecified", &mode, &problem));
  EXPECT_FALSE(Read("mode", "", &mode, &problem));
}

TEST(ReadValue, Labels) {
  Setting setting;
  std::string problem;
  ASSERT_TRUE(Read("label", "site=a=b", &setting, &problem));
  EXPECT_EQ(setting.label_key, "site");
  EXPECT_EQ(setting.label_value, "a=b");
  Setting empty;
  ASSERT_TRUE(Read("label", "site=", &empty, &problem));
  EXPECT_EQ(empty.label_value, "");
  EXPECT_FALSE(Read("label", "site", &empty, &problem));
  EXPECT_FALSE(Read("label", "=x", &empty, &problem));
  EXPECT_FALSE(Read("nolabel", "site=x", &empty, &problem));
  ASSERT_TRUE(Read("nolabel", "site", &empty, &problem));
}

TEST(ReadValue, TextMustNotBeEmpty) {
  Setting setting;
  std::string problem;
  EXPECT_FALSE(Read("local", "", &setting, &problem));
  EXPECT_FALSE(Read("address", "", &setting, &problem));
  EXPECT_TRUE(Read("local", "not judged here", &setting, &problem));
}

TEST(ReadValue, Durations) {
  Setting setting;
  std::string problem;
  ASSERT_TRUE(Read("max", "1m30s", &setting, &problem));
  EXPECT_EQ(setting.duration, absl::Seconds(90));
  EXPECT_FALSE(Read("max", "90", &setting, &problem));
  EXPECT_EQ(problem, "'90' is not a duration such as 500ms, 2s or 1m30s");
}

}  // namespace
}  // namespace tunnel::ctl::cli
