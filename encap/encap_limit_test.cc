#include "encap/encap_limit.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "encap/encapsulator.h"
#include "encap/outer_parse.h"
#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Bytes;
using testing::Config;
using testing::Frame;
using testing::FromHex;
using testing::InnerV4;
using testing::InnerV6;
using testing::OwnedPacket;

constexpr IpFamily kV4 = IpFamily::kV4;
constexpr IpFamily kV6 = IpFamily::kV6;

// An IPv6 packet whose first next header is `next`, with `headers` behind the
// IPv6 header.
Bytes WithHeaders(uint8_t next, std::string_view headers) {
  Bytes packet = InnerV6({.payload = 16});
  const Bytes inserted = FromHex(headers);
  packet[6] = next;
  packet.insert(packet.begin() + 40, inserted.begin(), inserted.end());
  packet[5] = static_cast<uint8_t>(packet.size() - 40);
  return packet;
}

Bytes WithLimit(uint8_t limit) {
  Bytes packet = WithHeaders(60, "11 00 04 01 00 01 01 00");
  packet[44] = limit;
  return packet;
}

TEST(EncapLimitTest, WritesTheHeaderOfRfc2473) {
  Bytes header(kEncapLimitHeaderLen, 0xee);
  WriteEncapLimitHeader(header.data(), 41, 7);
  EXPECT_EQ(header, FromHex("29 00 04 01 07 01 01 00"));
}

struct Case {
  const char* name;
  uint8_t next;
  const char* headers;
  int offset;  // 0: not found
  int limit = 0;
};

TEST(EncapLimitTest, IsFoundInDestinationOptions) {
  const std::vector<Case> cases = {
      {"alone", 60, "11 00 04 01 05 01 01 00", 44, 5},
      {"behind Pad1 and PadN", 60, "11 00 00 01 00 04 01 09", 47, 9},
      {"behind hop-by-hop", 0, "3c 00 01 04 00000000 11 00 04 01 03 010100", 52,
       3},
      {"behind routing", 43, "3c 00 00 00 00000000 11 00 04 01 03 010100", 52,
       3},
      {"in the second header of options", 60,
       "3c 00 01 04 00000000 11 00 04 01 02 010100", 52, 2},
      {"the first of two", 60, "11 00 04 01 05 04 01 06", 44, 5},
      {"no such option", 60, "11 00 01 04 00000000", 0},
      {"hop-by-hop is not the place", 0, "11 00 04 01 05 01 01 00", 0},
      {"length 2 is another option", 60, "11 00 04 02 0505 0000", 0},
      {"length runs out of the header", 60, "11 00 01 05 00040105", 0},
      {"value outside the header", 60, "11 00 0104 0000 0000", 0},
      {"in a fragment header", 44, "3c 00 0000 00000001 11 00 04 01 05 010100",
       0},
      {"header longer than the packet", 60, "11 ff 01 04 00000000", 0},
      {"no option at all", 17, "", 0},
  };
  for (const Case& c : cases) {
    const auto found = FindEncapLimit(WithHeaders(c.next, c.headers));
    ASSERT_EQ(found.has_value(), c.offset != 0) << c.name;
    if (!found) continue;
    EXPECT_EQ(found->offset, c.offset) << c.name;
    EXPECT_EQ(found->limit, c.limit) << c.name;
  }
  EXPECT_FALSE(FindEncapLimit(InnerV4()));
  EXPECT_FALSE(FindEncapLimit({}));
}

TEST(EncapLimitTest, TruncationReadsNothingOutside) {
  const Bytes whole =
      WithHeaders(0, "3c 00 01 04 00000000 11 00 04 01 03 010100");
  for (size_t size = 0; size < whole.size(); ++size) {
    const Bytes cut(whole.begin(),
                    whole.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_EQ(FindEncapLimit(cut).has_value(), size >= 56) << size;
  }
}

// Next header chain of IPv6 packets that loop through many headers ends.
TEST(EncapLimitTest, ManyHeadersAreNotWalked) {
  std::string headers;
  for (int i = 0; i < 8; ++i) headers += "3c 00 01 04 00000000";
  EXPECT_FALSE(
      FindEncapLimit(WithHeaders(60, headers + "11 00 04 01 05 01 01 00")));
}

struct Sent {
  DropReason reason = DropReason::kNone;
  Bytes outer;
};

Sent Send(const EncapConfig& config, const Bytes& inner,
          size_t headroom = kMaxEncapHeadroom) {
  OwnedPacket packet(inner, headroom);
  OutputState state;
  const DropReason reason = Encapsulator(config).Encapsulate(*packet, state);
  return {reason, packet.bytes()};
}

TEST(EncapLimitTest, ConfiguredLimitIsSentInIpv6) {
  EncapConfig config = Config(Mode::kGif, kV6);
  config.encap_limit = 4;
  const Bytes inner = InnerV4();
  const Sent sent = Send(config, inner);
  ASSERT_EQ(sent.reason, DropReason::kNone);
  EXPECT_EQ(sent.outer[6], 60);
  EXPECT_EQ(Bytes(sent.outer.begin() + 40, sent.outer.begin() + 48),
            FromHex("04 00 04 01 04 01 01 00"));
  EXPECT_EQ(Bytes(sent.outer.begin() + 48, sent.outer.end()), inner);
  EXPECT_EQ(sent.outer.size(), inner.size() + EncapOverhead(config));
  EXPECT_EQ(size_t{sent.outer[4]} << 8 | sent.outer[5], sent.outer.size() - 40);
}

TEST(EncapLimitTest, Ipv4HasNoSuchOption) {
  const Bytes inner = WithLimit(3);
  const Sent sent = Send(Config(Mode::kGif, kV4), inner);
  ASSERT_EQ(sent.reason, DropReason::kNone);
  EXPECT_EQ(sent.outer.size(), inner.size() + 20);
}

// RFC 2473 4.1.1: one less than the inner one, never more than configured, and
// there whenever the inner packet has it.
TEST(EncapLimitTest, InnerLimitCountsDown) {
  struct Row {
    std::optional<uint8_t> configured;
    uint8_t inner;
    int outer;  // -1: refused
  };
  for (const Row& row : std::vector<Row>{{{}, 0, -1},
                                         {{}, 1, 0},
                                         {{}, 255, 254},
                                         {4, 0, -1},
                                         {4, 1, 0},
                                         {4, 4, 3},
                                         {4, 5, 4},
                                         {4, 200, 4},
                                         {0, 9, 0}}) {
    for (const Mode mode : {Mode::kGif, Mode::kGre, Mode::kGretap}) {
      EncapConfig config = Config(mode, kV6);
      config.encap_limit = row.configured;
      Bytes inner = WithLimit(row.inner);
      if (mode == Mode::kGretap) inner = Frame(0x86dd, inner, 1);
      const Sent sent = Send(config, inner);
      if (row.outer < 0) {
        EXPECT_EQ(sent.reason, DropReason::kRecursion);
        EXPECT_EQ(sent.outer, inner) << "a drop changes nothing";
        continue;
      }
      ASSERT_EQ(sent.reason, DropReason::kNone);
      EXPECT_EQ(sent.outer[6], 60);
      EXPECT_EQ(sent.outer[44], row.outer);
      OuterInfo info;
      EXPECT_EQ(ParseOuter(sent.outer, true, info), DropReason::kNone);
      EXPECT_EQ(info.ip_header_len, 48);
      EXPECT_EQ(Bytes(sent.outer.end() - static_cast<ptrdiff_t>(inner.size()),
                      sent.outer.end()),
                inner);
    }
  }
}

TEST(EncapLimitTest, ZeroIsRefusedByIpv4TunnelsToo) {
  EXPECT_EQ(Send(Config(Mode::kSit, kV4), WithLimit(0)).reason,
            DropReason::kRecursion);
  EXPECT_EQ(Send(Config(Mode::kSit, kV4), WithLimit(1)).reason,
            DropReason::kNone);
}

TEST(EncapLimitTest, PacketsWithoutTheOptionAreNotLimited) {
  const EncapConfig config = Config(Mode::kGif, kV6);
  const Bytes inner = WithHeaders(60, "11 00 01 04 00000000");
  const Sent sent = Send(config, inner);
  ASSERT_EQ(sent.reason, DropReason::kNone);
  EXPECT_EQ(sent.outer.size(), inner.size() + 40);
}

// The longest header of all, 72 bytes, with and without room for more.
TEST(EncapLimitTest, StandsInFrontOfUdpAndGre) {
  EncapConfig config = Config(Mode::kGre, kV6);
  config.encap_limit = 4;
  config.transport = OuterTransport::kUdp;
  config.output_key = 0x01020304;
  config.checksum = config.sequence = true;
  ASSERT_EQ(EncapOverhead(config), 72u);
  const Bytes inner = InnerV6();
  const Sent roomy = Send(config, inner);
  const Sent narrow = Send(config, inner, 72);
  ASSERT_EQ(roomy.reason, DropReason::kNone);
  ASSERT_EQ(narrow.reason, DropReason::kNone);
  EXPECT_EQ(roomy.outer, narrow.outer);
  EXPECT_EQ(roomy.outer.size(), inner.size() + 72);
  EXPECT_EQ(Bytes(roomy.outer.begin() + 8, roomy.outer.begin() + 48),
            FromHex("20010db8000000000000000000000001"
                    "20010db8000000000000000000000002"
                    "11 00 04 01 04 01 01 00"));
  EXPECT_EQ(Send(config, inner, 71).reason, DropReason::kTooBig);
  EXPECT_EQ(Send(config, inner, 4096).outer, roomy.outer);
}

// A header that the inner packet makes longer needs its headroom too.
TEST(EncapLimitTest, ForcedOptionNeedsItsRoom) {
  const EncapConfig config = Config(Mode::kGif, kV6);
  EXPECT_EQ(Send(config, WithLimit(2), 48).reason, DropReason::kNone);
  EXPECT_EQ(Send(config, WithLimit(2), 47).reason, DropReason::kTooBig);
  EXPECT_EQ(Send(config, InnerV6(), 40).reason, DropReason::kNone);
}

}  // namespace
}  // namespace encap
