#include "ctl/config_file/toml_writer.h"

#include "absl/strings/str_cat.h"
#include "ctl/config_file/config_file.h"
#include "ctl/config_file/fields.h"
#include "ctl/convert.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

namespace tunnel::ctl {
namespace {

v1::Tunnel Parse(const std::string& text) {
  v1::Tunnel tunnel;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &tunnel))
      << text;
  return tunnel;
}

// As the daemon shows it: defaults written out.
v1::Tunnel Shown(const v1::Tunnel& tunnel) {
  const auto config = ConfigFromProto(tunnel);
  EXPECT_TRUE(config.ok()) << config.status() << tunnel.ShortDebugString();
  return config.ok() ? SpecToProto(*config) : v1::Tunnel();
}

// Writes what the daemon shows, reads it, and compares what that would give.
void ExpectRoundTrip(const v1::Tunnel& tunnel) {
  const v1::Tunnel shown = Shown(tunnel);
  const std::string text = TomlText({shown});
  ConfigFile file;
  std::vector<ConfigFileError> errors;
  ASSERT_TRUE(ParseConfigFile(text, "f", &file, &errors))
      << text << ErrorLine("f", errors.front());
  ASSERT_EQ(file.tunnels.size(), 1u);
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(
      Shown(file.tunnels[0]), shown))
      << text;
}

// Each row, for the mode that takes it.
const std::string kGre =
    "name: 't' mode: GRE local: '192.0.2.1' remote: '192.0.2.2' ";
// Over IPv6.
const char* const kSixRows[] = {"encap_limit: 0", "encap_limit: 255"};
const char* const kRows[] = {
    "",
    "transport: TRANSPORT_UDP",
    "transport: TRANSPORT_UDP udp_port: 7 udp_source_port: 9 "
    "udp_zero_checksum: true",
    "df: DF_OFF fragment: FRAGMENT_OUTER",
    "fragment: FRAGMENT_NONE",
    "steering: STEERING_OFF",
    "allowed_ips: '10.9.0.0/16' allowed_ips: '2001:db8::/64'",
    "mss_clamp: 0",
    "mss_clamp: 1400",
    "key: 0",
    "key: 4294967295",
    "input_key: 0",
    "output_key: 7",
    "input_key: 1 output_key: 2",
    "key: 3 input_key: 3",
    "checksum: true sequence: true",
    "ttl: 64",
    "ttl: 255",
    "ttl_inherit: true",
    "tos: 0",
    "tos: 252",
    "df: DF_OFF",
    "df: DF_INHERIT ttl_inherit: true",
    "ecn: ECN_COMPAT",
    "mtu: 1400",
    "underlay_device: 'eth0.7'",
    "fwmark: 4294967295",
    "addresses: '10.9.0.1/30' addresses: '2001:db8::1/64'",
    "queues: 4 txqueuelen: 1000",
    "rate: 8000",
    "rate: 1234567 burst: 1500",
    "rate: 10000000000 burst: 131072",
    "datapath: DATAPATH_USER",
    "datapath: DATAPATH_BPF",
    "admin_state: ADMIN_DOWN",
    "labels { key: 'site' value: 'ams \"1\" \\\\ \\'x\\'' } "
    "labels { key: 'a/b.c' value: '' } labels { key: '-' value: "
    "'\\303\\251' }",
};

TEST(RoundTrip, EveryField) {
  for (const char* row : kRows) ExpectRoundTrip(Parse(kGre + row));
  for (const char* row : kSixRows) {
    ExpectRoundTrip(
        Parse("name: 't' mode: GRE local: '2001:db8::1' remote: 'any' " +
              std::string(row)));
  }
}

TEST(RoundTrip, EveryModeAndFamily) {
  const auto* modes = v1::Mode_descriptor();
  int tried = 0;
  for (int i = 0; i < modes->value_count(); ++i) {
    for (const char* addresses :
         {"local: '192.0.2.1' remote: '192.0.2.2'",
          "local: '2001:db8::1' remote: '2001:db8::2'"}) {
      v1::Tunnel tunnel = Parse(absl::StrCat("name: 't' ", addresses));
      tunnel.set_mode(static_cast<v1::Mode>(modes->value(i)->number()));
      if (!ConfigFromProto(tunnel).ok()) continue;  // no such combination
      ExpectRoundTrip(tunnel);
      ++tried;
    }
  }
  EXPECT_EQ(tried, 10) << "gif, ipip, gre, gretap in both, sit and ip6ip6";
}

// A field of the schema that no row sets would not be tried above.
TEST(RoundTrip, TheRowsCoverTheSchema) {
  std::set<std::string> seen = {"encap_limit"};  // kSixRows
  for (const char* row : kRows) {
    const v1::Tunnel tunnel = Parse(kGre + row);
    std::vector<const google::protobuf::FieldDescriptor*> fields;
    tunnel.GetReflection()->ListFields(tunnel, &fields);
    for (const auto* field : fields) seen.insert(field->name());
  }
  for (const FieldInfo& info : Fields()) {
    EXPECT_EQ(seen.count(std::string(info.field)), 1u) << info.field;
  }
}

TEST(TomlText, LeavesOutDefaultsAndStatus) {
  v1::Tunnel tunnel = Shown(Parse(kGre + "key: 42"));
  tunnel.set_oper_state(v1::OPER_UP);
  tunnel.set_generation(7);
  tunnel.set_etag("\"x\"");
  EXPECT_EQ(TomlText({tunnel}),
            "[[tunnel]]\nname = \"t\"\nmode = \"gre\"\nlocal = "
            "\"192.0.2.1\"\nremote = \"192.0.2.2\"\nkey = 42\n");
  EXPECT_EQ(TomlText({}), "# no tunnels\n");
}

TEST(TomlText, QuotesWhatNeedsIt) {
  const v1::Tunnel tunnel = Parse(
      "name: 't' labels { key: 'a b' value: 'q\"\\\\\\n\\001\\177' } "
      "labels { key: '' value: '' } labels { key: 'A-z_9' value: 'v' }");
  EXPECT_EQ(TomlText({tunnel}),
            "[[tunnel]]\nname = \"t\"\nlabels = { \"\" = \"\", A-z_9 = \"v\", "
            "\"a b\" = \"q\\\"\\\\\\u000A\\u0001\\u007F\" }\n");
}

}  // namespace
}  // namespace tunnel::ctl
