#include "encap/mss_clamp.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "encap/bytes.h"
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
using testing::ReferenceChecksum;

constexpr IpFamily kV4 = IpFamily::kV4;
constexpr IpFamily kV6 = IpFamily::kV6;
constexpr uint8_t kSyn = 0x02;
constexpr uint8_t kSynAck = 0x12;

// TCP checksum over the pseudo-header and all from `tcp` on.
uint16_t TcpChecksum(const Bytes& packet, size_t tcp) {
  const bool v4 = packet[0] >> 4 == 4;
  Bytes sum(packet.begin() + (v4 ? 12 : 8), packet.begin() + (v4 ? 20 : 40));
  Bytes tail(8);
  tail[7] = 6;
  Put32(tail.data(), static_cast<uint32_t>(packet.size() - tcp));
  sum.insert(sum.end(), tail.begin(), tail.end());
  sum.insert(sum.end(), packet.begin() + static_cast<ptrdiff_t>(tcp),
             packet.end());
  return ReferenceChecksum(sum);
}

// A TCP segment with these options (padded by the caller to four bytes).
Bytes Segment(IpFamily family, std::string_view options, uint8_t flags = kSyn) {
  const Bytes bytes = FromHex(options);
  const size_t ip = family == kV4 ? 20 : 40;
  const size_t len = 20 + bytes.size();
  Bytes packet = family == kV4 ? InnerV4({.protocol = 6, .payload = len})
                               : InnerV6({.protocol = 6, .payload = len});
  packet[ip + 12] = static_cast<uint8_t>(len << 2);
  packet[ip + 13] = flags;
  std::copy(bytes.begin(), bytes.end(),
            packet.begin() + static_cast<ptrdiff_t>(ip + 20));
  Put16(packet.data() + ip + 16, 0);
  Put16(packet.data() + ip + 16, TcpChecksum(packet, ip));
  return packet;
}

struct Clamped {
  bool changed = false;
  Bytes bytes;
};

Clamped Clamp(const Bytes& packet, MssLimits limits, bool ethernet = false,
              const SegmentHint& hint = {}) {
  OwnedPacket owned(packet, 0);
  owned->hint() = hint;
  const bool changed = ClampMss(*owned, ethernet, limits);
  return {changed, owned.bytes()};
}

TEST(MssClampTest, LowersAndMendsTheChecksum) {
  for (const IpFamily family : {kV4, kV6}) {
    for (const uint8_t flags : {kSyn, kSynAck}) {
      for (const char* options :
           {"020405b4", "01 01 020405b4 0000", "0402 020405b4 0101",
            "01 020405b4 030307 0101 01",
            "080a0000000100000002 020405b4 0101"}) {
        const Bytes packet = Segment(family, options, flags);
        const size_t tcp = family == kV4 ? 20 : 40;
        const Clamped got = Clamp(packet, {1360, 1340});
        ASSERT_TRUE(got.changed) << options;
        EXPECT_EQ(TcpChecksum(got.bytes, tcp), 0) << options;
        Bytes want = packet;
        const auto at = testing::ToHex(packet).find("02 04 05 b4", 60) / 3;
        Put16(want.data() + at + 2, family == kV4 ? 1360 : 1340);
        want[tcp + 16] = got.bytes[tcp + 16];
        want[tcp + 17] = got.bytes[tcp + 17];
        EXPECT_EQ(got.bytes, want) << "nothing else changes";
      }
    }
  }
}

TEST(MssClampTest, NeverRaises) {
  for (const IpFamily family : {kV4, kV6}) {
    const Bytes packet = Segment(family, "020405b4");  // 1460
    EXPECT_FALSE(Clamp(packet, {1460, 1460}).changed);
    EXPECT_FALSE(Clamp(packet, {9000, 9000}).changed);
    EXPECT_FALSE(Clamp(packet, {}).changed);
    EXPECT_TRUE(Clamp(packet, {1459, 1459}).changed);
  }
}

TEST(MssClampTest, LeavesAlone) {
  const MssLimits limits = {1000, 1000};
  struct Row {
    const char* name;
    Bytes packet;
  };
  Bytes udp = Segment(kV4, "020405b4");
  udp[9] = 17;
  Bytes later = Segment(kV4, "020405b4");
  later[7] = 1;
  Bytes later6 = Segment(kV6, "020405b4");
  later6[6] = 44;
  const Bytes header = FromHex("06 00 0008 00000001");
  later6.insert(later6.begin() + 40, header.begin(), header.end());
  later6[5] = static_cast<uint8_t>(later6[5] + 8);
  Bytes offset = Segment(kV4, "020405b4");
  offset[32] = 0x40;  // 16 bytes
  Bytes beyond = Segment(kV4, "020405b4");
  beyond[32] = 0xf0;  // 60 bytes
  Bytes no_next = Segment(kV6, "020405b4");
  no_next[6] = 59;
  const std::vector<Row> rows = {
      {"no SYN", Segment(kV4, "020405b4", 0x10)},
      {"no option", Segment(kV4, "")},
      {"another option", Segment(kV4, "0402 0101")},
      {"behind the end of options", Segment(kV4, "00000000 020405b4")},
      {"length of 3", Segment(kV4, "020305b4")},
      {"length of 0", Segment(kV4, "02000000")},
      {"length of 1", Segment(kV4, "03010000 020405b4")},
      {"length beyond the header", Segment(kV4, "0101 0204")},
      {"option beyond the header behind it", Segment(kV4, "020405b4 01010108")},
      {"two of them", Segment(kV4, "020405b4 020405b4")},
      {"authenticated", Segment(kV4, "020405b4 1d04 0001")},
      {"authenticated before", Segment(kV6, "1d04 0001 020405b4")},
      {"UDP", udp},
      {"later fragment", later},
      {"later fragment of IPv6", later6},
      {"data offset below 20", offset},
      {"data offset beyond the packet", beyond},
      {"no next header", no_next},
  };
  for (const Row& row : rows) {
    const Clamped got = Clamp(row.packet, limits);
    EXPECT_FALSE(got.changed) << row.name;
    EXPECT_EQ(got.bytes, row.packet) << row.name;
  }
}

TEST(MssClampTest, FirstFragmentsAndExtensionHeadersAreWalked) {
  Bytes v4 = Segment(kV4, "020405b4");
  v4[6] = 0x20;  // more follow
  EXPECT_TRUE(Clamp(v4, {1000, 1000}).changed);
  for (const char* text : {"06 00 0001 00000001", "06 00 0104 00000000"}) {
    const Bytes header = FromHex(text);
    Bytes v6 = Segment(kV6, "020405b4");
    v6[6] = header[3] == 1 ? 44 : 60;
    v6.insert(v6.begin() + 40, header.begin(), header.end());
    v6[5] = static_cast<uint8_t>(v6[5] + 8);
    EXPECT_TRUE(Clamp(v6, {1000, 1000}).changed);
  }
}

// A partial checksum is the sum of the pseudo-header: it does not change.
TEST(MssClampTest, PartialChecksumStays) {
  const Bytes packet = Segment(kV4, "020405b4");
  const Clamped got = Clamp(
      packet, {1000, 1000}, false,
      {.needs_checksum = true, .checksum_start = 20, .checksum_offset = 16});
  ASSERT_TRUE(got.changed);
  Bytes want = packet;
  Put16(want.data() + 42, 1000);
  EXPECT_EQ(got.bytes, want);
}

TEST(MssClampTest, InsideFrames) {
  for (const int tags : {0, 1}) {
    const Bytes frame = Frame(0x86dd, Segment(kV6, "020405b4"), tags);
    const Clamped got = Clamp(frame, {536, 1220}, true);
    ASSERT_TRUE(got.changed);
    const size_t ip = tags == 0 ? 14 : 18;
    EXPECT_EQ(Get16(got.bytes.data() + ip + 62), 1220);
    EXPECT_EQ(TcpChecksum(Bytes(got.bytes.begin() + static_cast<ptrdiff_t>(ip),
                                got.bytes.end()),
                          40),
              0);
  }
  EXPECT_FALSE(Clamp(Frame(0x0806, Bytes(60)), {1, 1}, true).changed);
}

TEST(MssClampTest, EveryTruncationReadsNothingOutside) {
  for (const IpFamily family : {kV4, kV6}) {
    const Bytes whole = Segment(family, "0101 020405b4 0101");
    const size_t ip = family == kV4 ? 20 : 40;
    for (size_t size = 0; size < whole.size(); ++size) {
      Bytes cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
      EXPECT_FALSE(Clamp(cut, {1000, 1000}).changed);
      if (size < ip) continue;
      // The IP header says that the packet ends here.
      Put16(cut.data() + (family == kV4 ? 2 : 4),
            static_cast<uint16_t>(family == kV4 ? size : size - 40));
      EXPECT_FALSE(Clamp(cut, {1000, 1000}).changed) << size;
    }
  }
}

// Any bytes behind a sound TCP header: never a change but that of one MSS to
// the limit, and never a checksum that was right and is wrong.
RC_GTEST_PROP(MssClampProperty, ChangesTheMssAlone, ()) {
  const IpFamily family = *rc::gen::element(kV4, kV6);
  const size_t ip = family == kV4 ? 20 : 40;
  std::string options;
  const int count = *rc::gen::inRange(0, 5);
  for (int i = 0; i < count; ++i) {
    options += *rc::gen::element<std::string>(
        "01", "020405b4", "0204ffff", "030307", "0402", "00", "02", "0306",
        "1d040102", "080a0000000000000000");
  }
  while (options.size() % 8 != 0) options += "0";
  const Bytes packet = Segment(family, options.substr(0, 80));
  const auto limit = *rc::gen::inRange<uint16_t>(500, 3000);
  const Clamped got = Clamp(packet, {limit, limit});
  RC_ASSERT(TcpChecksum(got.bytes, ip) == 0);
  size_t differ = 0;
  for (size_t i = ip + 20; i < packet.size(); ++i) {
    if (packet[i] != got.bytes[i]) ++differ;
  }
  RC_ASSERT(differ <= 2u);
  RC_ASSERT(got.changed == (differ != 0));
  RC_ASSERT(!Clamp(got.bytes, {limit, limit}).changed);
}

TEST(MssLimitsTest, AreThoseOfTheConfiguration) {
  EncapConfig config = Config(Mode::kGre, kV4);
  EXPECT_EQ(MssLimitsOf(config, 1476), MssLimits{});
  EXPECT_FALSE(MssLimitsOf(config, 1476).any());
  config.mss_clamp = 1300;
  EXPECT_EQ(MssLimitsOf(config, 1476), (MssLimits{1300, 1300}));
  config.mss_clamp = 0;
  EXPECT_EQ(MssLimitsOf(config, 1476), (MssLimits{1436, 1416}));
  EXPECT_EQ(MssLimitsOf(config, 1280), (MssLimits{1240, 1220}));
  EXPECT_EQ(MssLimitsOf(config, 1000), (MssLimits{960, 1220}));
  EXPECT_EQ(MssLimitsOf(config, 0), (MssLimits{536, 1220}));
  EXPECT_EQ(MssLimitsOf(config, 65535), (MssLimits{65495, 65475}));
  EXPECT_TRUE(MssLimitsOf(config, 65535).any());
}

}  // namespace
}  // namespace encap
