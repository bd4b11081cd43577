#include "ctl/update_mask.h"

#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ctl/convert.h"
#include "tunnel/base/error.h"

namespace tunnel::ctl {
namespace {

using google::protobuf::FieldMask;
using google::protobuf::util::MessageDifferencer;

v1::Tunnel Parse(const std::string& text) {
  v1::Tunnel tunnel;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &tunnel))
      << text;
  return tunnel;
}

constexpr char kBase[] =
    R"(name: "gre0" mode: GRE local: "192.0.2.1" remote: "192.0.2.2" key: 5
       ttl: 10 tos: 8 mtu: 1400 addresses: "10.0.0.1/30" checksum: true
       df: DF_OFF labels { key: "a" value: "1" } labels { key: "b" value: "2" })";

FieldMask Mask(const std::vector<std::string>& paths) {
  FieldMask mask;
  for (const std::string& path : paths) mask.add_paths(path);
  return mask;
}

EndpointConfig Base() {
  const auto config = ConfigFromProto(Parse(kBase));
  EXPECT_TRUE(config.ok()) << config.status();
  return *config;
}

struct Case {
  const char* what;
  std::vector<std::string> paths;
  std::string patch;
  std::string want;  // the spec that stands for the expected result
};

// `kBase` with a change: the last value of a scalar field wins.
std::string With(const std::string& more) { return std::string(kBase) + more; }

const std::vector<Case>& Cases() {
  static const auto* cases = new std::vector<Case>{
      {"no mask: populated fields",
       {},
       "ttl: 20 mtu: 1300",
       With(" ttl: 20 mtu: 1300")},
      {"no mask: an unset bool stays", {}, "ttl: 20", With(" ttl: 20")},
      {"no mask: nothing populated", {}, "name: \"gre0\"", kBase},
      {"no mask: a map replaces the map",
       {},
       "labels {key:\"c\" value:\"3\"}",
       R"(name: "gre0" mode: GRE local: "192.0.2.1" remote: "192.0.2.2" key: 5
          ttl: 10 tos: 8 mtu: 1400 addresses: "10.0.0.1/30" checksum: true
          df: DF_OFF labels { key: "c" value: "3" })"},
      {"star replaces all but the name",
       {"*"},
       R"(name: "other" mode: GIF local: "192.0.2.3" remote: "192.0.2.4")",
       R"(name: "gre0" mode: GIF local: "192.0.2.3" remote: "192.0.2.4")"},
      {"a field in the mask", {"ttl"}, "ttl: 30 mtu: 1300", With(" ttl: 30")},
      {"unset scalar goes to its default",
       {"checksum", "df"},
       "",
       R"(name: "gre0" mode: GRE local: "192.0.2.1" remote: "192.0.2.2" key: 5
          ttl: 10 tos: 8 mtu: 1400 addresses: "10.0.0.1/30"
          labels { key: "a" value: "1" } labels { key: "b" value: "2" })"},
      {"unset ttl goes to its default", {"ttl"}, "", With(" ttl: 64")},
      {"ttl_inherit takes the place of ttl",
       {"ttl_inherit"},
       "ttl_inherit: true",
       With(" ttl_inherit: true")},
      {"both sides of the choice in the mask",
       {"ttl_inherit", "ttl"},
       "ttl: 77",
       With(" ttl: 77")},
      {"key replaces both", {"key"}, "key: 6", With(" key: 6")},
      {"key 0 is a key", {"key"}, "key: 0", With(" key: 0")},
      {"input_key alone keeps the output key",
       {"input_key"},
       "input_key: 9",
       With(" input_key: 9")},
      {"output_key without a mask",
       {},
       "output_key: 9",
       With(" output_key: 9")},
      {"key and input_key",
       {"key", "input_key"},
       "key: 1 input_key: 2",
       With(" key: 1 input_key: 2")},
      {"name and output-only fields are ignored",
       {"name", "etag", "ifindex", "oper_state", "mtu"},
       "name: \"x\" ifindex: 3 mtu: 1401",
       With(" mtu: 1401")},
      {"a label",
       {"labels.a"},
       "labels {key:\"a\" value:\"9\"}",
       R"(name: "gre0" mode: GRE local: "192.0.2.1" remote: "192.0.2.2" key: 5
          ttl: 10 tos: 8 mtu: 1400 addresses: "10.0.0.1/30" checksum: true
          df: DF_OFF labels { key: "a" value: "9" }
          labels { key: "b" value: "2" })"},
      {"a label goes",
       {"labels.b"},
       "",
       R"(name: "gre0" mode: GRE local: "192.0.2.1" remote: "192.0.2.2" key: 5
          ttl: 10 tos: 8 mtu: 1400 addresses: "10.0.0.1/30" checksum: true
          df: DF_OFF labels { key: "a" value: "1" })"},
      {"optional fields go",
       {"key", "tos", "mtu", "addresses", "labels"},
       "",
       R"(name: "gre0" mode: GRE local: "192.0.2.1" remote: "192.0.2.2"
          ttl: 10 checksum: true df: DF_OFF)"},
      {"one direction goes",
       {"input_key"},
       "",
       R"(name: "gre0" mode: GRE local: "192.0.2.1" remote: "192.0.2.2"
          output_key: 5 ttl: 10 tos: 8 mtu: 1400 addresses: "10.0.0.1/30"
          checksum: true df: DF_OFF labels { key: "a" value: "1" }
          labels { key: "b" value: "2" })"},
      {"a list is replaced as a whole",
       {"addresses"},
       "addresses: \"10.1.0.1/30\" addresses: \"10.2.0.1/30\"",
       R"(name: "gre0" mode: GRE local: "192.0.2.1" remote: "192.0.2.2" key: 5
          ttl: 10 tos: 8 mtu: 1400 addresses: "10.1.0.1/30"
          addresses: "10.2.0.1/30" checksum: true
          df: DF_OFF labels { key: "a" value: "1" }
          labels { key: "b" value: "2" })"},
  };
  return *cases;
}

// Text that begins with kBase is that tunnel with the rest merged into it.
v1::Tunnel Wanted(const std::string& text) {
  const std::string base = kBase;
  if (text.rfind(base, 0) != 0) return Parse(text);
  v1::Tunnel tunnel = Parse(base);
  const v1::Tunnel more = Parse(text.substr(base.size()));
  tunnel.MergeFrom(more);
  return tunnel;
}

TEST(UpdateMaskTest, AppliesEachKindOfPath) {
  for (const Case& c : Cases()) {
    const auto got = ApplyUpdate(Base(), Parse(c.patch), Mask(c.paths));
    ASSERT_TRUE(got.ok()) << c.what << ": " << got.status();
    const auto want = ConfigFromProto(Wanted(c.want));
    ASSERT_TRUE(want.ok()) << c.what << ": " << want.status();
    EXPECT_TRUE(
        MessageDifferencer::Equals(SpecToProto(*got), SpecToProto(*want)))
        << c.what << "\ngot " << SpecToProto(*got).ShortDebugString()
        << "\nwant " << SpecToProto(*want).ShortDebugString();
  }
}

TEST(UpdateMaskTest, ClearsOverriddenKeysWithKey) {
  EndpointConfig current = Base();
  current.encap.input_key = 1;
  current.encap.output_key = 2;
  const auto cleared = ApplyUpdate(current, {}, Mask({"key"}));
  ASSERT_TRUE(cleared.ok());
  EXPECT_EQ(cleared->encap.input_key, std::nullopt);
  EXPECT_EQ(cleared->encap.output_key, std::nullopt);
  const auto set = ApplyUpdate(current, Parse("key: 7"), {});
  ASSERT_TRUE(set.ok());
  EXPECT_EQ(set->encap.input_key, 7u);
  EXPECT_EQ(set->encap.output_key, 7u);
}

TEST(UpdateMaskTest, NamesEveryUnknownPathAndEveryBadField) {
  const auto got =
      ApplyUpdate(Base(), Parse("ttl: 256 mtu: 1"),
                  Mask({"ttl", "mtu", "colour", "ttl_policy", "labels."}));
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(GetReason(got.status()), Reason::kFieldInvalid);
  const auto detail = GetErrorDetail(got.status());
  ASSERT_TRUE(detail);
  std::vector<std::string> fields;
  for (const auto& v : detail->violations) fields.push_back(v.field);
  EXPECT_EQ(fields, (std::vector<std::string>{"update_mask", "update_mask",
                                              "update_mask", "ttl", "mtu"}));
  EXPECT_NE(detail->violations[0].description.find("colour"),
            std::string::npos);
}

TEST(UpdateMaskTest, RefusesStarWithOtherPaths) {
  const auto got = ApplyUpdate(Base(), Parse(kBase), Mask({"*", "ttl"}));
  EXPECT_EQ(GetReason(got.status()), Reason::kFieldInvalid);
}

TEST(UpdateMaskTest, RefusesRemovingWhatMustBeThere) {
  const auto got = ApplyUpdate(Base(), {}, Mask({"mode", "local"}));
  EXPECT_EQ(GetReason(got.status()), Reason::kUnknownMode);
  EXPECT_EQ(GetErrorDetail(got.status())->violations.size(), 2u);
}

}  // namespace
}  // namespace tunnel::ctl
