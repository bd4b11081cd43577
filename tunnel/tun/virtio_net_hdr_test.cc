#include "tunnel/tun/virtio_net_hdr.h"

#include <array>

#include "gtest/gtest.h"

namespace tunnel {
namespace {

using encap::GsoType;
using encap::SegmentHint;
using Header = std::array<uint8_t, kVirtioNetHdrLen>;

// The bytes of a little- or big-endian host.
void Put(Header& header, size_t at, uint16_t value) {
  __builtin_memcpy(header.data() + at, &value, sizeof(value));
}

void ExpectSame(const SegmentHint& a, const SegmentHint& b) {
  EXPECT_EQ(a.gso_type, b.gso_type);
  EXPECT_EQ(a.tcp_ecn, b.tcp_ecn);
  EXPECT_EQ(a.needs_checksum, b.needs_checksum);
  EXPECT_EQ(a.gso_size, b.gso_size);
  EXPECT_EQ(a.header_len, b.header_len);
  EXPECT_EQ(a.checksum_start, b.checksum_start);
  EXPECT_EQ(a.checksum_offset, b.checksum_offset);
}

TEST(VirtioNetHdrTest, AllZeroIsAnOrdinaryPacket) {
  SegmentHint hint{.gso_type = GsoType::kTcp4, .gso_size = 9};
  EXPECT_TRUE(ReadVirtioNetHdr(Header{}, hint));
  ExpectSame(hint, SegmentHint{});
  Header header;
  header.fill(0xff);
  WriteVirtioNetHdr(SegmentHint{}, header);
  EXPECT_EQ(header, Header{});
}

TEST(VirtioNetHdrTest, ReadsEachFieldFromItsPlace) {
  Header header{1, 0x81};
  Put(header, 2, 54);
  Put(header, 4, 1448);
  Put(header, 6, 34);
  Put(header, 8, 16);
  SegmentHint hint;
  ASSERT_TRUE(ReadVirtioNetHdr(header, hint));
  ExpectSame(hint, {.gso_type = GsoType::kTcp4,
                    .tcp_ecn = true,
                    .needs_checksum = true,
                    .gso_size = 1448,
                    .header_len = 54,
                    .checksum_start = 34,
                    .checksum_offset = 16});
}

TEST(VirtioNetHdrTest, RoundTripsEveryCombination) {
  for (const GsoType type :
       {GsoType::kNone, GsoType::kTcp4, GsoType::kTcp6, GsoType::kUdp}) {
    for (const bool ecn : {false, true}) {
      for (const bool checksum : {false, true}) {
        SegmentHint hint;
        hint.gso_type = type;
        if (type != GsoType::kNone) {
          hint.tcp_ecn = ecn;
          hint.gso_size = 1400;
          hint.header_len = 60;
        }
        if (checksum) {
          hint.needs_checksum = true;
          hint.checksum_start = 40;
          hint.checksum_offset = 6;
        }
        Header header;
        WriteVirtioNetHdr(hint, header);
        SegmentHint back;
        ASSERT_TRUE(ReadVirtioNetHdr(header, back));
        ExpectSame(hint, back);
      }
    }
  }
}

TEST(VirtioNetHdrTest, ForgetsThatTheChecksumIsValid) {
  Header header{2};
  Put(header, 6, 34);
  SegmentHint hint;
  ASSERT_TRUE(ReadVirtioNetHdr(header, hint));
  ExpectSame(hint, SegmentHint{});
}

TEST(VirtioNetHdrTest, RefusesUnknownTypes) {
  for (int type = 0; type < 256; ++type) {
    const int plain = type & 0x7f;
    const bool known = plain == 0 || plain == 1 || plain == 4 || plain == 5;
    Header header{1, static_cast<uint8_t>(type)};
    Put(header, 6, 20);
    SegmentHint hint{.gso_size = 5};
    EXPECT_EQ(ReadVirtioNetHdr(header, hint), known) << type;
    if (!known) ExpectSame(hint, SegmentHint{});
  }
}

}  // namespace
}  // namespace tunnel
