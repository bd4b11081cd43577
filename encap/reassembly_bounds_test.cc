#include <gtest/gtest.h>

#include "encap/fragments_for_test.h"
#include "encap/packets_for_test.h"
#include "encap/reassembly.h"

namespace encap {
namespace {

using testing::Bytes;
using testing::Counting;
using testing::Expected;
using testing::OwnedPacket;
using testing::Piece;
using testing::WholeV4;

constexpr auto kHeld = ReassemblyVerdict::kHeld;
constexpr auto kComplete = ReassemblyVerdict::kComplete;
constexpr auto kDropped = ReassemblyVerdict::kDropped;

class ReassemblyBoundsTest : public testing::ReassemblyFixture {};
INSTANTIATE_TEST_SUITE_P(Families, ReassemblyBoundsTest,
                         ::testing::Values(IpFamily::kV4, IpFamily::kV6),
                         testing::FamilyName);

TEST_P(ReassemblyBoundsTest, TooOldIsDropped) {
  Reassembler reassembler({.timeout_ns = 10});
  const Piece first{.data = Counting(8), .more = true};
  ASSERT_EQ(Add(reassembler, first, 100), kHeld);
  Piece other = first;
  other.id = 9;
  ASSERT_EQ(Add(reassembler, other, 105), kHeld);
  reassembler.Expire(109);
  EXPECT_EQ(reassembler.packets_in_progress(), 2u);
  reassembler.Expire(110);
  EXPECT_EQ(reassembler.packets_in_progress(), 1u);
  EXPECT_EQ(Dropped(reassembler, ReassemblyDrop::kTimeout), 1u);
  // The rest of it begins anew.
  EXPECT_EQ(Add(reassembler, Piece{.offset = 8, .data = Counting(8)}, 111),
            kHeld);
  reassembler.Expire(1000);
  EXPECT_EQ(reassembler.stats().held, 0u);
  CheckSum(reassembler);
}

TEST_P(ReassemblyBoundsTest, TheOldestGivesWayToANewPacket) {
  Reassembler reassembler({.max_packets = 2});
  for (uint32_t id = 1; id <= 3; ++id) {
    ASSERT_EQ(Add(reassembler,
                  Piece{.id = id, .data = Counting(8), .more = true}, id),
              kHeld);
  }
  EXPECT_EQ(reassembler.packets_in_progress(), 2u);
  EXPECT_EQ(Dropped(reassembler, ReassemblyDrop::kPacketLimit), 1u);
  EXPECT_EQ(
      Add(reassembler, Piece{.id = 2, .offset = 8, .data = Counting(8)}, 4),
      kComplete);
  EXPECT_EQ(
      Add(reassembler, Piece{.id = 1, .offset = 8, .data = Counting(8)}, 4),
      kHeld);
}

TEST_P(ReassemblyBoundsTest, TheOldestGivesWayWhereBytesRunOut) {
  // Room for one packet of any length and not for much more.
  Reassembler reassembler({.max_bytes = 1, .max_fragments = 4});
  const Bytes half = Counting(32000);
  for (uint32_t id = 1; id <= 3; ++id) {
    ASSERT_EQ(Add(reassembler, Piece{.id = id, .data = half, .more = true}),
              kHeld);
  }
  EXPECT_EQ(Dropped(reassembler, ReassemblyDrop::kByteLimit), 1u);
  // The one that asks is kept, even where it is the oldest.
  const size_t rest = 65535 - 20 - 32000;
  ASSERT_EQ(Add(reassembler,
                Piece{.id = 2, .offset = 32000, .data = Counting(rest, 32000)}),
            kComplete);
  EXPECT_EQ(whole_,
            Expected(GetParam(), {.id = 2, .data = Counting(32000 + rest)}));
  EXPECT_EQ(Dropped(reassembler, ReassemblyDrop::kByteLimit), 2u);
}

TEST_P(ReassemblyBoundsTest, MoreFragmentsThanAllowed) {
  Reassembler reassembler({.max_fragments = 3});
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(Add(reassembler,
                  Piece{.offset = 8 * i, .data = Counting(8), .more = true}),
              i < 3 ? kHeld : kDropped);
  }
  EXPECT_EQ(Dropped(reassembler, ReassemblyDrop::kTooMany), 5u);
}

TEST_P(ReassemblyBoundsTest, LongerThanALengthFieldTells) {
  // The end is possible with the header of the last fragment, not of the first.
  const size_t more_header = GetParam() == IpFamily::kV4 ? 40 : 80;
  const size_t fixed = GetParam() == IpFamily::kV4 ? 20 : 0;
  const size_t at = 65504;
  for (const bool first_last : {false, true}) {
    Reassembler reassembler;
    const Piece last{.offset = at, .data = Counting(65535 - fixed - at)};
    const Piece first{
        .data = Counting(8), .more = true, .options = more_header};
    EXPECT_EQ(Add(reassembler, first_last ? last : first), kHeld);
    EXPECT_EQ(Add(reassembler, first_last ? first : last), kDropped);
    EXPECT_EQ(Dropped(reassembler, ReassemblyDrop::kTooLong), 2u);
  }
}

TEST(ReassemblyBounds, LimitsOfZeroAreTakenAsOne) {
  Reassembler reassembler(
      {.max_packets = 0, .max_bytes = 0, .max_fragments = 0});
  OwnedPacket packet(WholeV4({.data = Counting(8), .more = true}));
  EXPECT_EQ(reassembler.Add(*packet, 0), kHeld);
}

}  // namespace
}  // namespace encap
