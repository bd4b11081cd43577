#include "encap/outer_parse.h"

#include <gtest/gtest.h>

#include <string>

#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Addr;
using testing::Bytes;
using testing::FromHex;

// IPv4 192.0.2.2 -> 192.0.2.1 with these bytes behind the header.
Bytes V4(uint8_t protocol, const std::string& rest_hex,
         const std::string& options_hex = "") {
  const Bytes options = FromHex(options_hex);
  Bytes p = FromHex("45b9 0000 0001 0000 4000 0000 c0000202 c0000201");
  p.insert(p.end(), options.begin(), options.end());
  p[0] = static_cast<uint8_t>(0x45 + options.size() / 4);
  p[9] = protocol;
  const size_t header_len = p.size();
  const Bytes rest = FromHex(rest_hex);
  p.insert(p.end(), rest.begin(), rest.end());
  p[3] = static_cast<uint8_t>(p.size());
  const uint16_t sum = testing::ReferenceChecksum({p.data(), header_len});
  p[10] = static_cast<uint8_t>(sum >> 8);
  p[11] = static_cast<uint8_t>(sum);
  return p;
}

Bytes V6(uint8_t next, const std::string& rest_hex) {
  Bytes p = FromHex(
      "6b912345 0000 00 40 20010db8000000000000000000000002"
      "20010db8000000000000000000000001");
  const Bytes rest = FromHex(rest_hex);
  p[4] = static_cast<uint8_t>(rest.size() >> 8);
  p[5] = static_cast<uint8_t>(rest.size());
  p[6] = next;
  p.insert(p.end(), rest.begin(), rest.end());
  return p;
}

DropReason Parse(const Bytes& p, OuterInfo& info) {
  return ParseOuter(p, true, info);
}

DropReason Parse(const Bytes& p) {
  OuterInfo info;
  return Parse(p, info);
}

TEST(ParseOuterTest, ReadsIpv4AndCutsPadding) {
  Bytes p = V4(4, "aabbcc");
  p.resize(46);  // the least payload of Ethernet
  OuterInfo info;
  ASSERT_EQ(Parse(p, info), DropReason::kNone);
  EXPECT_EQ(info.addresses.local, Addr("192.0.2.1"));
  EXPECT_EQ(info.addresses.remote, Addr("192.0.2.2"));
  EXPECT_EQ(info.protocol, kProtoIpip);
  EXPECT_EQ(info.tos, 0xb9);
  EXPECT_EQ(info.ttl, 64);
  EXPECT_EQ(info.ip_header_len, 20);
  EXPECT_EQ(info.header_len, 20);
  EXPECT_EQ(info.total_len, 23u);
  EXPECT_FALSE(info.key || info.sequence || info.has_checksum);
}

TEST(ParseOuterTest, StepsOverIpv4Options) {
  OuterInfo info;
  ASSERT_EQ(Parse(V4(47, "0000 0800 aa", "94040000 01010100"), info),
            DropReason::kNone);
  EXPECT_EQ(info.ip_header_len, 28);
  EXPECT_EQ(info.header_len, 32);
  EXPECT_EQ(info.gre_protocol, 0x0800);
}

TEST(ParseOuterTest, ReadsIpv6) {
  OuterInfo info;
  ASSERT_EQ(Parse(V6(41, "aabb"), info), DropReason::kNone);
  EXPECT_EQ(info.addresses.local, Addr("2001:db8::1"));
  EXPECT_EQ(info.addresses.remote, Addr("2001:db8::2"));
  EXPECT_EQ(info.protocol, kProtoIpv6);
  EXPECT_EQ(info.tos, 0xb9);
  EXPECT_EQ(info.ttl, 64);
  EXPECT_EQ(info.header_len, 40);
  EXPECT_EQ(info.total_len, 42u);
}

TEST(ParseOuterTest, ReadsAllGreCombinations) {
  for (int bits = 0; bits < 8; ++bits) {
    const bool checksum = bits & 1;
    const bool key = bits & 2;
    const bool sequence = bits & 4;
    char flags[5];
    std::snprintf(flags, sizeof(flags), "%x000",
                  (checksum ? 8 : 0) | (key ? 2 : 0) | (sequence ? 1 : 0));
    const std::string gre =
        std::string(flags) + "86dd" + (checksum ? "12340000" : "") +
        (key ? "0000002a" : "") + (sequence ? "fffffffe" : "");
    for (const bool v6 : {false, true}) {
      OuterInfo info;
      ASSERT_EQ(Parse(v6 ? V6(47, gre + "aa") : V4(47, gre + "aa"), info),
                DropReason::kNone);
      EXPECT_EQ(info.protocol, kProtoGre);
      EXPECT_EQ(info.gre_protocol, 0x86dd);
      EXPECT_EQ(info.has_checksum, checksum);
      EXPECT_EQ(info.key, key ? std::optional<uint32_t>(42) : std::nullopt);
      EXPECT_EQ(info.sequence,
                sequence ? std::optional<uint32_t>(0xfffffffe) : std::nullopt);
      EXPECT_EQ(info.header_len, info.ip_header_len + gre.size() / 2);
    }
  }
}

struct Case {
  const char* name;
  Bytes packet;
  DropReason reason;
};

TEST(ParseOuterTest, DropsImpossibleIpHeaders) {
  Bytes short_ihl = V4(4, "aa");
  short_ihl[0] = 0x44;
  Bytes total_below_header = V4(4, "");
  total_below_header[3] = 19;
  Bytes too_long = V4(4, "aa");
  too_long[3] += 1;
  Bytes long_ihl = V4(4, "aa");
  long_ihl[0] = 0x4f;  // 60 bytes of header, 21 in total
  Bytes checksum = V4(4, "aa");
  checksum[10] ^= 1;
  Bytes v6_too_long = V6(41, "aa");
  v6_too_long[5] += 1;
  const Case cases[] = {
      {"empty", {}, DropReason::kTruncated},
      {"version 0", Bytes(60, 0x00), DropReason::kBadIpHeader},
      {"version 5", Bytes(60, 0x55), DropReason::kBadIpHeader},
      {"v4 19 bytes", Bytes(19, 0x45), DropReason::kTruncated},
      {"v6 39 bytes", Bytes(39, 0x60), DropReason::kTruncated},
      {"IHL 4", short_ihl, DropReason::kBadIpHeader},
      {"IHL above total", long_ihl, DropReason::kBadIpHeader},
      {"total below IHL", total_below_header, DropReason::kBadIpHeader},
      {"v4 total above bytes", too_long, DropReason::kTruncated},
      {"v6 payload above bytes", v6_too_long, DropReason::kTruncated},
      {"checksum", checksum, DropReason::kBadOuterChecksum},
      {"v4 UDP", V4(17, "aa"), DropReason::kUnknownProtocol},
      {"v6 UDP", V6(17, "aa"), DropReason::kUnknownProtocol},
      {"v6 no next header", V6(59, ""), DropReason::kUnknownProtocol},
      {"v6 authentication", V6(51, "2f04 0000"), DropReason::kUnknownProtocol},
  };
  for (const Case& c : cases) EXPECT_EQ(Parse(c.packet), c.reason) << c.name;
}

TEST(ParseOuterTest, LeavesTheHeaderChecksumToTheKernelWhenAsked) {
  Bytes p = V4(4, "aa");
  p[10] ^= 1;
  OuterInfo info;
  EXPECT_EQ(ParseOuter(p, false, info), DropReason::kNone);
}

TEST(ParseOuterTest, DropsFragments) {
  for (const auto& [high, low] :
       {std::pair{0x20, 0x00}, {0x00, 0x01}, {0x20, 0x10}}) {
    Bytes p = V4(47, "0000 0800");
    p[6] = static_cast<uint8_t>(high);
    p[7] = static_cast<uint8_t>(low);
    OuterInfo info;
    EXPECT_EQ(ParseOuter(p, false, info), DropReason::kReassemblyFailed);
  }
  Bytes df = V4(47, "0000 0800");
  df[6] = 0x40;
  OuterInfo info;
  EXPECT_EQ(ParseOuter(df, false, info), DropReason::kNone);

  EXPECT_EQ(Parse(V6(44, "2f00 0001 00000001 00000800")),
            DropReason::kReassemblyFailed);
  EXPECT_EQ(Parse(V6(44, "2f00 0008 00000001 00000800")),
            DropReason::kReassemblyFailed);
  ASSERT_EQ(Parse(V6(44, "2f00 0000 00000001 00000800"), info),
            DropReason::kNone)
      << "atomic fragment";
  EXPECT_EQ(info.ip_header_len, 48);
}

TEST(ParseOuterTest, WalksIpv6ExtensionHeaders) {
  const struct {
    const char* name;
    uint8_t first;
    const char* hex;
    uint16_t ip_header_len;
  } cases[] = {
      {"encapsulation limit as Linux sends it", 60, "2900 0401 0401 0100", 48},
      {"limit, Pad1", 60, "2900 0000 0000 0000", 48},
      {"hop-by-hop router alert", 0, "2900 0502 0000 0100", 48},
      {"unknown option that may be skipped", 60, "2900 1e04 00000000", 48},
      {"routing, no segments left", 43, "2900 0400 00000000", 48},
      {"hop-by-hop, routing, fragment, options", 0,
       "2b00 0104 00000000  2c00 0000 00000000  3c00 0000 00000009"
       "2900 0104 00000000",
       72},
      {"two units", 60, "2901 010c 000000000000000000000000", 56},
  };
  for (const auto& c : cases) {
    OuterInfo info;
    EXPECT_EQ(Parse(V6(c.first, std::string(c.hex) + "aa"), info),
              DropReason::kNone)
        << c.name;
    EXPECT_EQ(info.protocol, kProtoIpv6) << c.name;
    EXPECT_EQ(info.ip_header_len, c.ip_header_len) << c.name;
  }
}

std::string Repeat(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

TEST(ParseOuterTest, DropsExtensionHeadersThatStandInTheWay) {
  const std::string options = "3c00 0104 00000000";
  const std::string last = "2900 0104 00000000";
  const Case cases[] = {
      {"cut in the header", V6(60, "2900 0104"), DropReason::kTruncated},
      {"longer than the packet", V6(60, "2902 0104 00000000"),
       DropReason::kTruncated},
      {"option must be known", V6(60, "2900 4304 00000000"),
       DropReason::kBadIpHeader},
      {"jumbo payload", V6(0, "2900 c204 00010000"), DropReason::kBadIpHeader},
      {"option over the end", V6(60, "2900 0105 00000000"),
       DropReason::kBadIpHeader},
      {"option without length", V6(60, "2900 0103 00000001"),
       DropReason::kBadIpHeader},
      {"segments left", V6(43, "2900 0401 00000000"), DropReason::kBadIpHeader},
      {"hop-by-hop is not first", V6(60, "0000 0104 00000000" + last),
       DropReason::kBadIpHeader},
      {"8 headers are walked", V6(60, Repeat(options, 7) + last),
       DropReason::kNone},
      {"9 headers", V6(60, Repeat(options, 8) + last),
       DropReason::kBadIpHeader},
      {"256 bytes are walked", V6(60, "291f 01fc" + Repeat("00", 252)),
       DropReason::kNone},
      {"264 bytes", V6(60, "2920 01fc" + Repeat("00", 260)),
       DropReason::kBadIpHeader},
  };
  for (const Case& c : cases) EXPECT_EQ(Parse(c.packet), c.reason) << c.name;
}

TEST(ParseOuterTest, JudgesGreFlagsByRfc2784) {
  const Case cases[] = {
      {"no header", V4(47, "0000 08"), DropReason::kTruncated},
      {"cut in the options", V4(47, "b000 0800 00000000 00000000 000000"),
       DropReason::kTruncated},
      {"bit 1, routing", V4(47, "4000 0800"), DropReason::kUnsupportedFlags},
      {"bit 4", V4(47, "0800 0800"), DropReason::kUnsupportedFlags},
      {"bit 5", V4(47, "0400 0800"), DropReason::kUnsupportedFlags},
      {"bits 6 to 12 are ignored", V4(47, "03f8 0800"), DropReason::kNone},
      {"version 1 (PPTP)", V4(47, "3001 880b 00000000 00000000"),
       DropReason::kBadVersion},
      {"version 7", V6(47, "0007 0800"), DropReason::kBadVersion},
  };
  for (const Case& c : cases) EXPECT_EQ(Parse(c.packet), c.reason) << c.name;
}

}  // namespace
}  // namespace encap
