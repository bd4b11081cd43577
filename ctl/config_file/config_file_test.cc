#include "ctl/config_file/config_file.h"

#include <unistd.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

namespace tunnel::ctl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Result {
  bool ok = false;
  ConfigFile file;
  std::vector<std::string> errors;  // "LINE:COLUMN: message"
};

Result Read(absl::string_view text, const std::string& name = "f") {
  Result result;
  std::vector<ConfigFileError> errors;
  result.ok = ParseConfigFile(text, name, &result.file, &errors);
  for (const ConfigFileError& error : errors) {
    const std::string line = ErrorLine(name, error);
    EXPECT_EQ(line.substr(0, name.size() + 1), name + ":");
    result.errors.push_back(line.substr(name.size() + 1));
  }
  return result;
}

// A tunnel that is valid with `words` added.
std::string Toml(absl::string_view words) {
  return absl::StrCat(
      "[[tunnel]]\nname = \"t\"\nmode = \"gre\"\nlocal = \"192.0.2.1\"\n"
      "remote = \"192.0.2.2\"\n",
      words, "\n");
}

// "" when `words` in a file give the fields of `wanted`.
std::string Difference(absl::string_view words, const std::string& wanted) {
  const Result result = Read(Toml(words));
  if (!result.ok) return absl::StrJoin(result.errors, "\n");
  v1::Tunnel expected;
  if (!google::protobuf::TextFormat::ParseFromString(
          "name: 't' mode: GRE local: '192.0.2.1' remote: '192.0.2.2' " +
              wanted,
          &expected)) {
    return "bad text proto: " + wanted;
  }
  google::protobuf::util::MessageDifferencer differencer;
  std::string report;
  differencer.ReportDifferencesToString(&report);
  differencer.Compare(expected, result.file.tunnels[0]);
  return report;
}

TEST(Words, EachSetsItsField) {
  const struct {
    const char* words;
    const char* wanted;
  } cases[] = {
      {"key = 42", "key: 42"},
      {"key = 0", "key: 0"},
      {"key = 0xffffffff", "key: 4294967295"},
      {"key = \"0.0.1.0\"", "key: 256"},
      {"input_key = 1\noutput_key = 2", "input_key: 1 output_key: 2"},
      {"ikey = 1\nokey = \"2\"", "input_key: 1 output_key: 2"},
      {"checksum = true", "checksum: true"},
      {"csum = true\nseq = true", "checksum: true sequence: true"},
      {"csum = false", ""},
      {"ttl = 1", "ttl: 1"},
      {"ttl = \"inherit\"", "ttl_inherit: true"},
      {"ttl_inherit = true", "ttl_inherit: true"},
      {"tos = 0", "tos: 0"},
      {"tos = \"inherit\"", ""},
      {"df = \"inherit\"", "df: DF_INHERIT"},
      {"df = \"DF_OFF\"", "df: DF_OFF"},
      {"ecn = \"compat\"", "ecn: ECN_COMPAT"},
      {"mtu = 1400", "mtu: 1400"},
      {"mtu = \"auto\"", ""},
      {"dev = \"eth0\"", "underlay_device: 'eth0'"},
      {"fwmark = 0x10", "fwmark: 16"},
      {"address = \"10.9.0.1/30\"", "addresses: '10.9.0.1/30'"},
      {"addresses = [\"10.9.0.1/30\", \"10.9.1.1/30\",]",
       "addresses: '10.9.0.1/30' addresses: '10.9.1.1/30'"},
      {"queues = 2\ntxqueuelen = 9", "queues: 2 txqueuelen: 9"},
      {"encaplimit = \"none\"", ""},
      {"transport = \"udp\"\nport = 7", "transport: TRANSPORT_UDP udp_port: 7"},
      {"transport = \"udp\"\nudp_source_port = 9\nnoudpcsum = true",
       "transport: TRANSPORT_UDP udp_source_port: 9 udp_zero_checksum: true"},
      {"source-port = \"auto\"", ""},
      {"fragment = \"none\"", "fragment: FRAGMENT_NONE"},
      {"steering = \"on\"", "steering: STEERING_ON"},
      {"allowed_ips = [\"10.9.0.0/16\", \"::/0\"]",
       "allowed_ips: '10.9.0.0/16' allowed_ips: '::/0'"},
      {"allowed-ips = \"10.9.0.0/16\"", "allowed_ips: '10.9.0.0/16'"},
      {"mss_clamp = \"auto\"", "mss_clamp: 0"},
      {"mss-clamp = 1400", "mss_clamp: 1400"},
      {"mss_clamp = \"off\"", ""},
      {"rate = \"10mbit\"\nburst = \"64kb\"", "rate: 10000000 burst: 65536"},
      {"rate = 20000000000\nburst = 1500", "rate: 20000000000 burst: 1500"},
      {"rate = \"none\"\nburst = \"auto\"", ""},
      {"datapath = \"bpf\"", "datapath: DATAPATH_BPF"},
      {"datapath = \"auto\"", "datapath: DATAPATH_AUTO"},
      {"up = false", "admin_state: ADMIN_DOWN"},
      {"up = true", "admin_state: ADMIN_UP"},
      {"admin_state = \"down\"", "admin_state: ADMIN_DOWN"},
      {"labels = { site = \"ams\", \"a.b\" = \"x \\\"y\\\"\" }",
       "labels { key: 'site' value: 'ams' } "
       "labels { key: 'a.b' value: 'x \"y\"' }"},
      {"[tunnel.labels]\nsite = \"ams\"",
       "labels { key: 'site' value: 'ams' }"},
  };
  for (const auto& row : cases) {
    EXPECT_EQ(Difference(row.words, row.wanted), "") << row.words;
  }
}

TEST(File, HoldsTunnelsInOrderWithTheirPlaces) {
  const Result result = Read(
      "prune = true\n\n"
      "[[tunnel]]\nname = \"b\"\nmode = \"gif\"\nlocal = \"2001:db8::1\"\n"
      "remote = \"2001:db8::2\"\naddresses = [\n  \"10.0.0.1/30\",\n"
      "  \"10.0.0.5/30\" ]\n"
      "[[tunnel]]\nname = \"a\"\nmode = \"gif\"\nlocal = \"2001:db8::1\"\n"
      "remote = \"2001:db8::3\"\n");
  ASSERT_TRUE(result.ok) << absl::StrJoin(result.errors, "\n");
  EXPECT_TRUE(result.file.prune);
  ASSERT_EQ(result.file.tunnels.size(), 2u);
  EXPECT_EQ(result.file.tunnels[0].name(), "b");
  EXPECT_EQ(result.file.tunnels[1].name(), "a");
  const TunnelPlace& place = result.file.places[0];
  EXPECT_EQ(place.at, (Position{3, 1}));
  EXPECT_EQ(place.Find("mode"), (Position{5, 8}));
  EXPECT_EQ(place.Find("addresses[1]"), (Position{10, 3}));
  EXPECT_EQ(place.Find("addresses[7]"), place.Find("addresses"));
  EXPECT_EQ(place.Find("ttl"), place.at);
  EXPECT_EQ(result.file.places[1].at.line, 11u);
}

TEST(File, WithoutTunnelsIsValid) {
  for (const char* text : {"", "# nothing\n", "[]", "  [ ]\n", "{}", "\n\n"}) {
    const Result result = Read(text);
    EXPECT_TRUE(result.ok) << text << absl::StrJoin(result.errors, "\n");
    EXPECT_TRUE(result.file.tunnels.empty());
  }
}

TEST(Errors, NameLineColumnAndTheNearestWord) {
  EXPECT_THAT(Read(Toml("remot = \"x\"")).errors,
              ElementsAre("6:1: unknown word 'remot'; did you mean "
                          "'remote'?"));
  EXPECT_THAT(Read(Toml("  ttll = 3")).errors,
              ElementsAre("6:3: unknown word 'ttll'; did you mean 'ttl'?"));
  EXPECT_THAT(Read("[[tunel]]\nname = \"x\"").errors,
              ElementsAre("1:3: unknown word 'tunel'; did you mean "
                          "'tunnel'?"));
  EXPECT_THAT(Read("[tunnel]\nname = \"x\"").errors,
              ElementsAre("1:1: write [[tunnel]], as there may be several"));
  EXPECT_THAT(Read(Toml("oper_state = \"OPER_UP\"")).errors,
              ElementsAre("6:1: 'oper_state' is status: the daemon sets it"));
  // Whatever is quoted from the file can not move the cursor of a terminal.
  EXPECT_THAT(Read(Toml("\"a\\u001b[2J\" = 1")).errors,
              ElementsAre(HasSubstr("'a\\x1b[2J'")));
}

TEST(Errors, SayWhatWasWanted) {
  const struct {
    const char* words;
    const char* wanted;
  } cases[] = {
      {"ttl = \"64\"", "6:7: 'ttl' wants a number or \"inherit\", got '64'"},
      {"ttl = 1.5",
       "6:7: 'ttl' wants a number or \"inherit\", got a fraction or a date"},
      {"ttl = 0", "6:7: ttl: 0; want 1 to 255, or ttl_inherit"},
      {"fwmark = -1",
       "6:10: 'fwmark' wants a number from 0 to 4294967295, "
       "got -1"},
      {"fwmark = 4294967296",
       "6:10: 'fwmark' wants a number from 0 to "
       "4294967295, got 4294967296"},
      {"key = \"1.2.3\"",
       "6:7: 'key' wants a number from 0 to 4294967295 or a "
       "dotted quad, got '1.2.3'"},
      {"key = true",
       "6:7: 'key' wants a number from 0 to 4294967295 or a "
       "dotted quad, got true or false"},
      {"csum = 1", "6:8: 'checksum' wants true or false, got 1"},
      {"up = \"yes\"", "6:6: 'up' wants true or false, got 'yes'"},
      {"df = \"inherit \"",
       "6:6: 'df' wants one of on, off, inherit, got "
       "'inherit '; did you mean 'inherit'?"},
      {"addresses = 5", "6:13: 'addresses' wants a list of texts, got 5"},
      {"addresses = [\"10.0.0.1/30\", 5]",
       "6:29: 'addresses' wants texts in its list, got 5"},
      {"labels = \"a=b\"",
       "6:10: 'labels' wants a table, { site = \"ams\" }, got 'a=b'"},
      {"labels = { a = 1 }", "6:16: 'labels' wants a text for 'a', got 1"},
      {"csum = true\nchecksum = true",
       "7:1: 'checksum' and 'csum' in line 6 are one field"},
      {"ttl = 3\nttl_inherit = true",
       "7:1: 'ttl_inherit' and 'ttl' in line 6 are one field"},
      {"up = true\nadmin_state = \"up\"",
       "7:1: 'admin_state' and 'up' in line 6 are one field"},
  };
  for (const auto& row : cases) {
    EXPECT_THAT(Read(Toml(row.words)).errors, ElementsAre(row.wanted))
        << row.words;
  }
  EXPECT_THAT(Read("prune = 1").errors,
              ElementsAre("1:9: 'prune' wants true or false, got a number"));
  EXPECT_THAT(Read("tunnel = 1").errors,
              ElementsAre("1:10: a list of tunnels is wanted, got a number"));
  EXPECT_THAT(Read("tunnel = [1]").errors,
              ElementsAre("1:11: a tunnel is a table, got a number"));
}

TEST(Errors, AllOfThemAtOnceInTheOrderOfTheFile) {
  const Result result = Read(
      "[[tunnel]]\nname = \"a\"\nmode = \"grr\"\nlocal = \"192.0.2.1\"\n"
      "remote = \"2001:db8::1\"\nttl = 300\n\n"
      "[[tunnel]]\nname = 5\nremote = \"x\"\nfrob = 1\n"
      "addresses = [\"10.0.0.1/30\", \"10.0.0.300/30\"]\n"
      "[[tunnel]]\n");
  std::vector<std::string> places;
  for (const std::string& error : result.errors) {
    const std::vector<std::string> parts = absl::StrSplit(error, ':');
    places.push_back(parts[0] + ":" + parts[1]);
  }
  const std::string all = absl::StrJoin(result.errors, "\n");
  // The mode, the families, the ttl; what the second and third tunnel lack
  // stands at their beginning.
  EXPECT_THAT(all, HasSubstr("3:8: 'mode' wants one of gif, ipip, sit, "
                             "ip6ip6, gre, gretap, got 'grr'"));
  EXPECT_THAT(all, HasSubstr("6:7: ttl: 300; want 1 to 255"));
  EXPECT_THAT(all, HasSubstr("9:8: 'name' wants a text, got 5"));
  EXPECT_THAT(all, HasSubstr("8:1: mode: missing"));
  EXPECT_THAT(all, HasSubstr("8:1: local: "));
  EXPECT_THAT(all, HasSubstr("10:10: remote: \"x\" is not an"));
  EXPECT_THAT(all, HasSubstr("11:1: unknown word 'frob'"));
  EXPECT_THAT(all, HasSubstr("12:29: addresses[1]: "));
  EXPECT_THAT(all, HasSubstr("13:1: name: "));
  EXPECT_THAT(all, ::testing::Not(HasSubstr("8:1: name: "))) << "said once";
  std::vector<ConfigFileError> errors;
  ConfigFile file;
  EXPECT_FALSE(ParseConfigFile(Toml("zz = 1\nttl = 0"), "f", &file, &errors));
  ASSERT_EQ(errors.size(), 2u);
  EXPECT_TRUE(errors[0].at < errors[1].at);
}

TEST(Errors, NamesAndPairsThatTwoTunnelsHave) {
  const std::string one = Toml("key = 7");
  EXPECT_THAT(Read(one + one).errors,
              ElementsAre("7:1: 't' has the endpoint pair and input key of "
                          "'t' in line 1",
                          "8:8: the name 't' is that of the tunnel in line "
                          "2"));
  const auto pair = [](absl::string_view a, absl::string_view b) {
    const auto tunnel = [](absl::string_view name, absl::string_view words) {
      return absl::StrCat("[[tunnel]]\nname = \"", name,
                          "\"\nlocal = \"192.0.2.1\"\nremote = "
                          "\"192.0.2.2\"\n",
                          words, "\n");
    };
    return Read(tunnel("a", a) + tunnel("b", b)).errors.size();
  };
  EXPECT_EQ(pair("mode = 'gre'", "mode = 'gretap'"), 1u);
  EXPECT_EQ(pair("mode = 'gre'", "mode = 'gre'\nkey = 0"), 0u);
  EXPECT_EQ(pair("mode = 'gre'\nkey = 3", "mode = 'gre'\nikey = 3"), 1u);
  EXPECT_EQ(pair("mode = 'gre'\nokey = 3", "mode = 'gre'\nokey = 4"), 1u);
  EXPECT_EQ(pair("mode = 'gif'", "mode = 'ipip'"), 1u);
  EXPECT_EQ(pair("mode = 'sit'", "mode = 'ipip'"), 0u);
  EXPECT_EQ(pair("mode = 'gif'", "mode = 'gre'"), 0u);
  EXPECT_EQ(pair("mode = 'gre'\ndev = 'eth0'", "mode = 'gre'"), 0u);
}

TEST(Errors, OfSyntaxHaveTheirPlace) {
  EXPECT_THAT(Read("[[tunnel]]\nname = \n").errors,
              ElementsAre(HasSubstr("2:8: ")));
  EXPECT_THAT(Read("[[tunnel]]\nname = 'a'\nname = 'b'\n").errors,
              ElementsAre(::testing::StartsWith("3:")));
  EXPECT_EQ(Read("\xff\xfe").errors.size(), 1u);
}

TEST(Json, IsWhatShowPrints) {
  const std::string array =
      "[{\"name\":\"t\",\"mode\":\"GRE\",\"local\":\"192.0.2.1\",\"remote\":"
      "\"192.0.2.2\",\"key\":0,\"ttl\":64,\"df\":\"DF_ON\",\"ecn\":"
      "\"ECN_NORMAL\",\"labels\":{\"a\":\"\\u00e9\\\"\"},\"admin_state\":"
      "\"ADMIN_UP\",\"oper_state\":\"OPER_UP\",\"ifindex\":7,"
      "\"generation\":\"12\",\"create_time\":\"2026-01-01T00:00:00Z\","
      "\"mtu\":null,\"etag\":\"\\\"x\\\"\"}]";
  for (const std::string& text :
       {array, " \n" + array, "{\"tunnels\":" + array + "}"}) {
    const Result result = Read(text);
    ASSERT_TRUE(result.ok) << absl::StrJoin(result.errors, "\n");
    ASSERT_EQ(result.file.tunnels.size(), 1u);
    const v1::Tunnel& tunnel = result.file.tunnels[0];
    EXPECT_EQ(tunnel.key(), 0u);
    EXPECT_TRUE(tunnel.has_key());
    EXPECT_FALSE(tunnel.has_mtu());
    EXPECT_EQ(tunnel.labels().at("a"), "\xc3\xa9\"");
    EXPECT_EQ(tunnel.ifindex(), 0u) << "status is left out";
    EXPECT_EQ(tunnel.etag(), "");
  }
}

TEST(Json, HasTheSameErrors) {
  EXPECT_THAT(
      Read("[\n {\"name\": \"t\", \"mode\": \"GRE\", \"local\": \"192.0.2.1\","
           "\n  \"remote\": \"192.0.2.2\", \"ttll\": 3}]")
          .errors,
      ElementsAre("3:26: unknown word 'ttll'; did you mean 'ttl'?"));
  EXPECT_THAT(Read("{\"tunels\": []}").errors,
              ElementsAre("1:2: unknown word 'tunels'; did you mean "
                          "'tunnels'?"));
  EXPECT_THAT(Read("5", "f.json").errors,
              ElementsAre("1:1: a list of tunnels is wanted"));
  for (const char* text :
       {"[{]", "[{}", "[{\"a\":1,}]", "[{\"a\" 1}]", "[{\"a\":01}]",
        "[{\"a\":1,\"a\":2}]", "[{\"a\":\"\\x\"}]", "[{\"a\":\"\\ud800\"}]",
        "[{\"a\":\"\n\"}]", "[{\"a\":nul}]", "[{}] x", "{\"a\":+1}",
        "[{\"a\":\"\\u12g4\"}]", "[{\"a\":1e999x}]"}) {
    EXPECT_EQ(Read(text).errors.size(), 1u) << text;
  }
  EXPECT_THAT(Read(std::string(5000, '['), "f.json").errors,
              ElementsAre(HasSubstr("nested too deeply")));
}

TEST(ReadConfigFile, ReadsOrSaysWhyNot) {
  const std::string path = absl::StrCat(getenv("TEST_TMPDIR"), "/f.toml");
  EXPECT_TRUE(absl::IsNotFound(ReadConfigFile(path).status()));
  std::ofstream(path) << Toml("a = 1\nb = 2");
  const absl::Status status = ReadConfigFile(path).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_EQ(status.message(), absl::StrCat(path, ":6:1: unknown word 'a'\n",
                                           path, ":7:1: unknown word 'b'"));
  std::ofstream(path) << Toml("key = 1");
  const auto file = ReadConfigFile(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->tunnels[0].key(), 1u);
  EXPECT_EQ(file->name, path);
  EXPECT_FALSE(ReadConfigFile(getenv("TEST_TMPDIR")).ok()) << "a directory";
}

}  // namespace
}  // namespace tunnel::ctl
