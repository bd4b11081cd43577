// Validate() on transport, limits, fragments, sources and segments.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "encap/encap_config.h"
#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Addr;
using testing::Config;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> Fields(const std::vector<FieldError>& errors) {
  std::vector<std::string> fields;
  for (const FieldError& e : errors) fields.push_back(e.field);
  return fields;
}

struct FaultCase {
  const char* name;
  std::function<void(EncapConfig&)> change;
  std::vector<std::string> fields;
  const char* message;
};

TEST(ValidateOptionsTest, NamesFaultsOfTransportSizesAndFilters) {
  using C = EncapConfig;
  const auto sources = [](std::vector<std::string> texts) {
    return [texts](C& c) {
      for (const std::string& text : texts) {
        c.allowed_sources.push_back(*IpPrefix::Parse(text));
      }
    };
  };
  const FaultCase cases[] = {
      {"encapsulation limit over IPv4",
       [](C& c) { c.encap_limit = 4; },
       {"encap_limit"},
       "want IPv6 outer addresses"},
      {"transport",
       [](C& c) { c.transport = static_cast<OuterTransport>(2); },
       {"transport"},
       "ip or udp"},
      {"UDP fields without UDP",
       [](C& c) {
         c.udp_port = 1;
         c.udp_source_port = 1;
         c.udp_zero_checksum = true;
       },
       {"udp_port", "udp_source_port", "udp_zero_checksum"},
       "want transport udp"},
      {"fragment",
       [](C& c) { c.fragment = static_cast<FragmentPolicy>(3); },
       {"fragment"},
       "inner, outer or none"},
      {"outer fragments with DF",
       [](C& c) { c.fragment = FragmentPolicy::kOuter; },
       {"fragment"},
       "want df off"},
      {"host bits",
       sources({"10.9.0.0/16", "10.9.0.1/31", "2001:db8::1/127"}),
       {"allowed_ips[1]", "allowed_ips[2]"},
       "want 10.9.0.0/31"},
      {"twice", sources({"::/0", "::/0"}), {"allowed_ips[1]"}, "given twice"},
      {"no address",
       [](C& c) { c.allowed_sources.resize(1); },
       {"allowed_ips[0]"},
       "is no address"},
      {"length",
       [](C& c) {
         c.allowed_sources = {{Addr("10.0.0.0"), 33}};
       },
       {"allowed_ips[0]"},
       "above that of the family"},
      {"too many sources",
       [](C& c) { c.allowed_sources.resize(kMaxAllowedSources + 1); },
       {"allowed_ips"},
       "256 at most"},
      {"MSS below", [](C& c) { c.mss_clamp = 535; }, {"mss_clamp"}, "536"},
      {"MSS above", [](C& c) { c.mss_clamp = 65496; }, {"mss_clamp"}, "65495"},
  };
  for (const FaultCase& c : cases) {
    EncapConfig config = Config(Mode::kGif, IpFamily::kV4);
    c.change(config);
    const auto errors = Validate(config);
    EXPECT_THAT(Fields(errors), ElementsAreArray(c.fields)) << c.name;
    if (errors.empty()) continue;
    EXPECT_EQ(errors[0].kind, FieldError::Kind::kInvalid) << c.name;
    EXPECT_THAT(errors[0].message, HasSubstr(c.message)) << c.name;
  }
}

TEST(ValidateOptionsTest, ZeroUdpChecksumsStayOnIpv4) {
  EncapConfig config = Config(Mode::kGre, IpFamily::kV6);
  config.transport = OuterTransport::kUdp;
  EXPECT_THAT(Validate(config), IsEmpty());
  config.udp_zero_checksum = true;
  EXPECT_THAT(Fields(Validate(config)),
              ElementsAreArray({"udp_zero_checksum"}));
}

TEST(ValidateOptionsTest, FramesHaveSegmentsAndNoSources) {
  EncapConfig config = Config(Mode::kGretap, IpFamily::kV4);
  config.mss_clamp = 0;
  EXPECT_THAT(Validate(config), IsEmpty());
  config.allowed_sources = {*IpPrefix::Parse("0.0.0.0/0")};
  EXPECT_THAT(Fields(Validate(config)), ElementsAreArray({"allowed_ips"}));
}

TEST(ValidateOptionsTest, SourcesAreOfAFamilyThatIsCarried) {
  for (const Mode mode : {Mode::kGif, Mode::kIpip, Mode::kSit, Mode::kGre}) {
    for (const char* text : {"10.9.0.0/16", "2001:db8::/32"}) {
      EncapConfig config = Config(mode, IpFamily::kV4);
      config.allowed_sources = {*IpPrefix::Parse(text)};
      const bool carried =
          Carries(mode, config.allowed_sources[0].address.family());
      EXPECT_EQ(Validate(config).empty(), carried) << ModeName(mode) << text;
    }
  }
}

TEST(ValidateOptionsTest, AcceptsEachNewField) {
  EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
  config.transport = OuterTransport::kUdp;
  config.udp_port = 65535;
  config.udp_source_port = 1;
  config.udp_zero_checksum = true;
  config.df = DfPolicy::kOff;
  config.fragment = FragmentPolicy::kOuter;
  config.allowed_sources = {*IpPrefix::Parse("0.0.0.0/0"),
                            *IpPrefix::Parse("10.0.0.1/32"),
                            *IpPrefix::Parse("2001:db8:8000::/33")};
  for (const uint16_t mss : {0, 536, 65495}) {
    config.mss_clamp = mss;
    EXPECT_THAT(Validate(config), IsEmpty()) << mss;
  }
  config = Config(Mode::kGretap, IpFamily::kV6);
  config.transport = OuterTransport::kUdp;
  config.encap_limit = 0;
  config.fragment = FragmentPolicy::kOuter;  // IPv6 has no DF
  EXPECT_THAT(Validate(config), IsEmpty());
}

TEST(ValidateOptionsTest, TheRemoteMayBeAny) {
  for (const IpFamily outer : {IpFamily::kV4, IpFamily::kV6}) {
    for (const OuterTransport transport :
         {OuterTransport::kIp, OuterTransport::kUdp}) {
      EncapConfig config = Config(Mode::kGre, outer);
      config.transport = transport;
      config.remote = Addr(outer == IpFamily::kV4 ? "0.0.0.0" : "::");
      EXPECT_TRUE(IsWildcard(config.remote));
      EXPECT_THAT(Validate(config), IsEmpty());
    }
  }
  EXPECT_FALSE(IsWildcard(IpAddress()));
  EXPECT_FALSE(IsWildcard(Addr("192.0.2.1")));
}

TEST(UdpPortTest, IsTheOneOfTheModeUnlessGiven) {
  EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
  EXPECT_EQ(UdpPort(config), 0u);
  config.transport = OuterTransport::kUdp;
  EXPECT_EQ(UdpPort(config), 4754u);
  config.mode = Mode::kGif;
  EXPECT_EQ(UdpPort(config), 5555u);
  config.udp_port = 9;
  EXPECT_EQ(UdpPort(config), 9u);
}

}  // namespace
}  // namespace encap
