// Whatever a file holds, it is read or refused with a place: all truncations
// and many mutilations of files that are valid.

#include <random>

#include "absl/strings/str_cat.h"
#include "ctl/config_file/config_file.h"
#include "ctl/config_file/toml_writer.h"
#include "gtest/gtest.h"

namespace tunnel::ctl {
namespace {

constexpr char kToml[] = R"(prune = true # comment
[[tunnel]]
name = "gre0"
mode = 'gre'
local = "192.0.2.1"
remote = """192.0.2.2"""
key = 0x2a
ttl = "inherit"
tos = 4
mtu = 1_400
addresses = ["10.9.0.1/30", "2001:db8::1/64"]
labels = { site = "a\u00e9\"s", "x.y" = 'z' }
[[tunnel]]
name = "gif0"
mode = "gif"
local = "2001:db8::1"
remote = "2001:db8::2"
up = false
[tunnel.labels]
"odd key" = ""
)";
constexpr char kJson[] =
    R"([{"name":"gre0","mode":"GRE","local":"192.0.2.1","remote":"192.0.2.2",
"key":42,"ttl_inherit":true,"addresses":["10.9.0.1/30"],"labels":{"a":"\u00e9"},
"generation":"7","oper_state":"OPER_UP","detached":false,"mtu":null},
{"name":"gif0","mode":"GIF","local":"2001:db8::1","remote":"2001:db8::2"}])";

// Reads it, and holds what every reading must keep. True when it was valid.
bool Judge(const std::string& text) {
  ConfigFile file;
  std::vector<ConfigFileError> errors;
  const bool ok = ParseConfigFile(text, "f", &file, &errors);
  EXPECT_EQ(ok, errors.empty());
  EXPECT_EQ(file.tunnels.size(), file.places.size());
  uint32_t lines = 2;
  for (const char c : text) lines += c == '\n' || c == '\v' || c == '\f';
  for (const ConfigFileError& error : errors) {
    EXPECT_FALSE(error.message.empty());
    EXPECT_LE(error.at.line, lines) << text;
  }
  if (!ok) return false;
  // What was valid stays so when it is written and read again.
  EXPECT_TRUE(ParseConfigFile(TomlText(file.tunnels), "f", &file, &errors))
      << text << "\n"
      << TomlText(file.tunnels) << ErrorLine("f", errors.front());
  return true;
}

TEST(Mutation, EveryTruncation) {
  for (const std::string whole : {kToml, kJson}) {
    int valid = 0;
    for (size_t size = 0; size <= whole.size(); ++size) {
      valid += Judge(whole.substr(0, size)) ? 1 : 0;
    }
    EXPECT_GE(valid, 1) << "the whole one at least";
  }
}

TEST(Mutation, FlippedRemovedAndRepeatedBytes) {
  std::mt19937 random(20260);
  int valid = 0;
  int refused = 0;
  for (int round = 0; round < 6000; ++round) {
    std::string text = round % 2 == 0 ? kToml : kJson;
    for (unsigned edits = 1 + random() % 3; edits > 0; --edits) {
      const size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, 1 + random() % 8);
          break;
        case 2:
          text.insert(at, text.substr(random() % text.size(), random() % 16));
          break;
        default:
          text[at] = static_cast<char>(text[at] ^ 1 << random() % 8);
      }
      if (text.empty()) text = " ";
    }
    (Judge(text) ? valid : refused) += 1;
  }
  // Both happen: the mutations reach beyond the syntax.
  EXPECT_GT(valid, 20);
  EXPECT_GT(refused, 1000);
}

TEST(Mutation, DeepAndLong) {
  for (const char* bracket : {"[", "{", "{\"a\":", "[["}) {
    std::string text = "x = ";
    std::string json;
    for (int i = 0; i < 20000; ++i) {
      text += bracket;
      json += bracket;
    }
    EXPECT_FALSE(Judge(text));
    EXPECT_FALSE(Judge(json));
  }
  Judge(std::string(1 << 20, 'a'));
  Judge("x = \"" + std::string(1 << 20, 'a') + "\"");
}

}  // namespace
}  // namespace tunnel::ctl
