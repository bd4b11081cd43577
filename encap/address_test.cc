#include "encap/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <random>

namespace encap {
namespace {

// What the system's own parser says; nullopt when it refuses.
std::optional<IpAddress> SystemParse(const std::string& text) {
  uint8_t bytes[16];
  if (inet_pton(AF_INET, text.c_str(), bytes) == 1) {
    return IpAddress::V4(bytes);
  }
  if (inet_pton(AF_INET6, text.c_str(), bytes) == 1) {
    return IpAddress::V6(bytes);
  }
  return std::nullopt;
}

TEST(IpAddressTest, ParsesAndRefusesLikeTheSystem) {
  for (const char* text : {"0.0.0.0",
                           "192.0.2.1",
                           "255.255.255.255",
                           "256.1.1.1",
                           "1.2.3",
                           "1.2.3.4.5",
                           "1.2.3.",
                           ".1.2.3",
                           "1..2.3",
                           "01.2.3.4",
                           "1.2.3.4 ",
                           " 1.2.3.4",
                           "1.2.3.4/24",
                           "",
                           "::",
                           "::1",
                           "1::",
                           "2001:db8::1",
                           "2001:db8:::1",
                           ":::",
                           ":1::2",
                           "1::2:",
                           "1::2::3",
                           "1:2:3:4:5:6:7:8",
                           "1:2:3:4:5:6:7",
                           "1:2:3:4:5:6:7:8:9",
                           "1:2:3:4:5:6:7::",
                           "::2:3:4:5:6:7:8",
                           "1:2:3:4::5:6:7:8",
                           "12345::",
                           "g::",
                           "::ffff:1.2.3.4",
                           "::1.2.3.4",
                           "1:2:3:4:5:6:1.2.3.4",
                           "1:2:3:4:5:6:7:1.2.3.4",
                           "::1.2.3.256",
                           "1.2.3.4::",
                           "::1.2.3.4:5",
                           "fe80::1%eth0",
                           "2001:DB8::A",
                           "::/0",
                           "1.2.3.4:80",
                           "-1.2.3.4",
                           "+1.2.3.4",
                           "0x1.2.3.4",
                           "::-1",
                           ":"}) {
    EXPECT_EQ(IpAddress::Parse(text), SystemParse(text)) << '"' << text << '"';
  }
}

TEST(IpAddressTest, RandomTextNeverParsesDifferentlyFromTheSystem) {
  std::mt19937 random(1);
  constexpr std::string_view kAlphabet = "01fF.:::2";
  for (int i = 0; i < 200000; ++i) {
    std::string text(random() % 18, ' ');
    for (char& c : text) c = kAlphabet[random() % kAlphabet.size()];
    ASSERT_EQ(IpAddress::Parse(text), SystemParse(text)) << '"' << text << '"';
  }
}

TEST(IpAddressTest, PrintsRfc5952Text) {
  const std::pair<const char*, const char*> cases[] = {
      {"192.0.2.1", "192.0.2.1"},
      {"2001:0DB8:0:0:0:0:0:1", "2001:db8::1"},
      {"::", "::"},
      {"::1", "::1"},
      {"1::", "1::"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},  // 4.2.2
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},           // 4.2.3
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},     // 4.2.3
      {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},          // 5
      {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
      {"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
  };
  for (const auto& [text, want] : cases) {
    const auto address = IpAddress::Parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->ToString(), want);
  }
  EXPECT_EQ(IpAddress().ToString(), "");
}

TEST(IpAddressTest, TextOfRandomAddressesParsesBack) {
  std::mt19937 random(2);
  for (int i = 0; i < 20000; ++i) {
    uint8_t bytes[16];
    // Many zero groups, so that every shape of "::" comes up.
    for (uint8_t& b : bytes) b = random() % 3 ? 0 : random() & 0xff;
    const IpAddress v6 = IpAddress::V6(bytes);
    ASSERT_EQ(IpAddress::Parse(v6.ToString()), v6) << v6.ToString();
    const IpAddress v4 = IpAddress::V4(bytes);
    ASSERT_EQ(IpAddress::Parse(v4.ToString()), v4) << v4.ToString();
  }
}

struct ClassCase {
  const char* text;
  bool unspecified, loopback, multicast, broadcast, link_local, martian;
};

TEST(IpAddressTest, KnowsTheClassesOfAddresses) {
  const ClassCase cases[] = {
      {"0.0.0.0", true, false, false, false, false, true},
      {"0.1.2.3", false, false, false, false, false, true},
      {"127.0.0.1", false, true, false, false, false, true},
      {"224.0.0.1", false, false, true, false, false, true},
      {"239.255.255.255", false, false, true, false, false, true},
      {"240.0.0.1", false, false, false, false, false, true},
      {"255.255.255.255", false, false, false, true, false, true},
      {"169.254.1.1", false, false, false, false, true, false},
      {"10.0.0.1", false, false, false, false, false, false},
      {"223.255.255.255", false, false, false, false, false, false},
      {"::", true, false, false, false, false, true},
      {"::1", false, true, false, false, false, true},
      {"ff02::1", false, false, true, false, false, true},
      {"fe80::1", false, false, false, false, true, false},
      {"febf::1", false, false, false, false, true, false},
      {"fec0::1", false, false, false, false, false, false},
      {"1::1", false, false, false, false, false, false},
      {"2001:db8::1", false, false, false, false, false, false},
  };
  for (const ClassCase& c : cases) {
    const IpAddress a = *IpAddress::Parse(c.text);
    EXPECT_EQ(a.IsUnspecified(), c.unspecified) << c.text;
    EXPECT_EQ(a.IsLoopback(), c.loopback) << c.text;
    EXPECT_EQ(a.IsMulticast(), c.multicast) << c.text;
    EXPECT_EQ(a.IsBroadcast(), c.broadcast) << c.text;
    EXPECT_EQ(a.IsLinkLocal(), c.link_local) << c.text;
    EXPECT_EQ(a.IsMartianSource(), c.martian) << c.text;
  }
  EXPECT_TRUE(IpAddress().IsUnspecified());
}

TEST(IpAddressTest, FamiliesAndNoAddressDiffer) {
  const uint8_t zero[16] = {};
  EXPECT_NE(IpAddress(), IpAddress::V4(zero));
  EXPECT_NE(IpAddress::V4(zero), IpAddress::V6(zero));
  EXPECT_EQ(IpAddress().bytes().size(), 0u);
  EXPECT_EQ(IpAddress::V4(zero).bytes().size(), 4u);
  EXPECT_EQ(IpAddress::V6(zero).bytes().size(), 16u);
}

TEST(IpPrefixTest, ParsesLengthOrTakesTheFullOne) {
  EXPECT_EQ(IpPrefix::Parse("10.9.0.1/30")->length, 30);
  EXPECT_EQ(IpPrefix::Parse("10.9.0.1")->length, 32);
  EXPECT_EQ(IpPrefix::Parse("2001:db8::1")->length, 128);
  EXPECT_EQ(IpPrefix::Parse("2001:db8::1/0")->length, 0);
  EXPECT_EQ(IpPrefix::Parse("2001:db8::1/64")->ToString(), "2001:db8::1/64");
  for (const char* bad : {"10.0.0.1/33", "::/129", "10.0.0.1/", "10.0.0.1/-1",
                          "10.0.0.1/024", "/24", "10.0.0.1/24/24", ""}) {
    EXPECT_FALSE(IpPrefix::Parse(bad)) << bad;
  }
  EXPECT_EQ(IpPrefix().ToString(), "");
}

TEST(IpPrefixTest, ContainsWhatHasItsLeadingBits) {
  const auto contains = [](const char* prefix, const char* address) {
    return IpPrefix::Parse(prefix)->Contains(*IpAddress::Parse(address));
  };
  EXPECT_TRUE(contains("10.20.0.0/15", "10.21.255.255"));
  EXPECT_FALSE(contains("10.20.0.0/15", "10.22.0.0"));
  EXPECT_TRUE(contains("192.0.2.1/32", "192.0.2.1"));
  EXPECT_FALSE(contains("192.0.2.1/32", "192.0.2.0"));
  EXPECT_TRUE(contains("0.0.0.0/0", "203.0.113.7"));
  EXPECT_FALSE(contains("0.0.0.0/0", "::1"));
  EXPECT_TRUE(contains("fd00:0:0:8000::/49", "fd00:0:0:ffff::1"));
  EXPECT_FALSE(contains("fd00:0:0:8000::/49", "fd00:0:0:7fff::1"));
  EXPECT_TRUE(contains("::/0", "fd00::1"));
  EXPECT_FALSE(contains("::/0", "10.0.0.1"));
}

}  // namespace
}  // namespace encap
