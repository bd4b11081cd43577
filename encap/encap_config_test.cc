#include "encap/encap_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Addr;
using testing::Config;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = FieldError::Kind;

std::vector<std::string> Fields(const std::vector<FieldError>& errors) {
  std::vector<std::string> fields;
  for (const FieldError& e : errors) fields.push_back(e.field);
  return fields;
}

TEST(ModeTest, NamesParseBack) {
  for (int i = 0; i <= static_cast<int>(Mode::kGretap); ++i) {
    const auto mode = static_cast<Mode>(i);
    EXPECT_EQ(ParseMode(ModeName(mode)), mode);
  }
  EXPECT_EQ(ParseMode("vxlan"), std::nullopt);
  EXPECT_EQ(ParseMode(""), std::nullopt);
  EXPECT_EQ(ModeName(static_cast<Mode>(99)), "unknown");
}

TEST(ValidateTest, AcceptsEveryModeOverTheFamiliesThatItHas) {
  for (const Mode mode : {Mode::kGif, Mode::kIpip, Mode::kSit, Mode::kIp6ip6,
                          Mode::kGre, Mode::kGretap}) {
    for (const IpFamily outer : {IpFamily::kV4, IpFamily::kV6}) {
      const bool wrong = (mode == Mode::kSit && outer == IpFamily::kV6) ||
                         (mode == Mode::kIp6ip6 && outer == IpFamily::kV4);
      const auto errors = Validate(Config(mode, outer));
      EXPECT_EQ(errors.size(), wrong ? 2u : 0u) << ModeName(mode);
      for (const FieldError& e : errors) {
        EXPECT_EQ(e.kind, Kind::kFamilyMismatch);
      }
    }
  }
}

TEST(ValidateTest, AcceptsGreOptionsAndHeaderPolicies) {
  EncapConfig config = Config(Mode::kGretap, IpFamily::kV6);
  config.input_key = 0;
  config.output_key = 0xffffffff;
  config.checksum = true;
  config.sequence = true;
  config.ttl = 255;
  config.tos = 0xfc;
  config.df = DfPolicy::kInherit;
  config.ecn = EcnMode::kCompat;
  EXPECT_THAT(Validate(config), IsEmpty());
  config.ttl = std::nullopt;
  config.tos = std::nullopt;
  EXPECT_THAT(Validate(config), IsEmpty());
}

struct FaultCase {
  const char* name;
  std::function<void(EncapConfig&)> change;
  std::vector<std::string> fields;
  Kind kind;
  const char* message;
};

TEST(ValidateTest, NamesEachFault) {
  using C = EncapConfig;
  const FaultCase cases[] = {
      {"unknown mode",
       [](C& c) { c.mode = static_cast<Mode>(9); },
       {"mode"},
       Kind::kUnknownMode,
       "want gif, ipip"},
      {"no local",
       [](C& c) { c.local = IpAddress(); },
       {"local"},
       Kind::kInvalid,
       "missing"},
      {"no remote",
       [](C& c) { c.remote = IpAddress(); },
       {"remote"},
       Kind::kInvalid,
       "missing"},
      {"families differ",
       [](C& c) { c.remote = Addr("2001:db8::2"); },
       {"remote"},
       Kind::kFamilyMismatch,
       "want one family"},
      {"local is remote",
       [](C& c) { c.remote = c.local; },
       {"remote"},
       Kind::kInvalid,
       "want another host"},
      {"remote is any of the other family",
       [](C& c) { c.remote = Addr("::"); },
       {"remote"},
       Kind::kFamilyMismatch,
       "want one family"},
      {"remote multicast",
       [](C& c) { c.remote = Addr("224.0.0.5"); },
       {"remote"},
       Kind::kInvalid,
       "multicast"},
      {"remote broadcast",
       [](C& c) { c.remote = Addr("255.255.255.255"); },
       {"remote"},
       Kind::kInvalid,
       "broadcast"},
      {"remote loopback",
       [](C& c) { c.remote = Addr("127.0.0.1"); },
       {"remote"},
       Kind::kInvalid,
       "loopback"},
      {"remote reserved",
       [](C& c) { c.remote = Addr("240.0.0.1"); },
       {"remote"},
       Kind::kInvalid,
       "reserved"},
      {"local unspecified",
       [](C& c) { c.local = Addr("0.0.0.0"); },
       {"local"},
       Kind::kInvalid,
       "unspecified"},
      {"local multicast",
       [](C& c) { c.local = Addr("239.1.1.1"); },
       {"local"},
       Kind::kInvalid,
       "multicast"},
      {"input key",
       [](C& c) { c.input_key = 0; },
       {"input_key"},
       Kind::kInvalid,
       "no GRE header"},
      {"output key",
       [](C& c) { c.output_key = 1; },
       {"output_key"},
       Kind::kInvalid,
       "no GRE header"},
      {"checksum",
       [](C& c) { c.checksum = true; },
       {"checksum"},
       Kind::kInvalid,
       "no GRE header"},
      {"sequence",
       [](C& c) { c.sequence = true; },
       {"sequence"},
       Kind::kInvalid,
       "no GRE header"},
      {"ttl", [](C& c) { c.ttl = 0; }, {"ttl"}, Kind::kInvalid, "1 to 255"},
      {"tos", [](C& c) { c.tos = 0xb9; }, {"tos"}, Kind::kInvalid, "ECN"},
      {"df",
       [](C& c) { c.df = static_cast<DfPolicy>(7); },
       {"df"},
       Kind::kInvalid,
       "on, off or inherit"},
      {"ecn",
       [](C& c) { c.ecn = static_cast<EcnMode>(7); },
       {"ecn"},
       Kind::kInvalid,
       "normal or compat"},
  };
  for (const FaultCase& c : cases) {
    EncapConfig config = Config(Mode::kGif, IpFamily::kV4);
    c.change(config);
    const auto errors = Validate(config);
    EXPECT_THAT(Fields(errors), ElementsAreArray(c.fields)) << c.name;
    if (errors.empty()) continue;
    EXPECT_EQ(errors[0].kind, c.kind) << c.name;
    EXPECT_THAT(errors[0].message, HasSubstr(c.message)) << c.name;
  }
}

TEST(ValidateTest, RefusesIpv6EndsThatAreNoHosts) {
  for (const char* bad : {"::1", "ff02::1", "::ffff:192.0.2.9"}) {
    EncapConfig config = Config(Mode::kGre, IpFamily::kV6);
    config.remote = Addr(bad);
    EXPECT_THAT(Fields(Validate(config)), ElementsAreArray({"remote"})) << bad;
    config = Config(Mode::kGre, IpFamily::kV6);
    config.local = Addr(bad);
    EXPECT_THAT(Fields(Validate(config)), ElementsAreArray({"local"})) << bad;
  }
  EncapConfig config = Config(Mode::kGre, IpFamily::kV6);
  config.remote = Addr("fe80::2");
  EXPECT_THAT(Validate(config), IsEmpty());
}

TEST(ValidateTest, TellsAllFaultsAtOnce) {
  EncapConfig config = Config(Mode::kSit, IpFamily::kV6);
  config.remote = Addr("ff02::1");
  config.input_key = 1;
  config.output_key = 1;
  config.checksum = true;
  config.sequence = true;
  config.ttl = 0;
  config.tos = 1;
  EXPECT_THAT(
      Fields(Validate(config)),
      ElementsAreArray({"local", "remote", "input_key", "output_key",
                        "checksum", "sequence", "remote", "ttl", "tos"}));
}

TEST(EncapOverheadTest, IsTheSumOfTheHeaders) {
  const struct {
    Mode mode;
    IpFamily outer;
    bool key, checksum, sequence;
    uint32_t bytes;
  } cases[] = {
      {Mode::kGif, IpFamily::kV4, false, false, false, 20},
      {Mode::kGif, IpFamily::kV6, false, false, false, 40},
      {Mode::kGre, IpFamily::kV4, false, false, false, 24},
      {Mode::kGre, IpFamily::kV4, true, false, false, 28},
      {Mode::kGre, IpFamily::kV4, true, true, true, 36},
      {Mode::kGre, IpFamily::kV6, false, true, true, 52},
      {Mode::kGretap, IpFamily::kV4, false, false, false, 38},
      {Mode::kGretap, IpFamily::kV6, true, true, true, 70},
  };
  for (const auto& c : cases) {
    EncapConfig config = Config(c.mode, c.outer);
    if (c.key) config.output_key = 1;
    config.checksum = c.checksum;
    config.sequence = c.sequence;
    EXPECT_EQ(EncapOverhead(config), c.bytes);
  }
  EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
  config.input_key = 1;
  EXPECT_EQ(EncapOverhead(config), 24u) << "the input key is not sent";
  config.transport = OuterTransport::kUdp;
  EXPECT_EQ(EncapOverhead(config), 32u);
  config = Config(Mode::kIp6ip6, IpFamily::kV6);
  config.encap_limit = 0;
  EXPECT_EQ(EncapOverhead(config), 48u);
  config.transport = OuterTransport::kUdp;
  EXPECT_EQ(EncapOverhead(config), 56u);
}

}  // namespace
}  // namespace encap
