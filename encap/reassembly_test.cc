#include "encap/reassembly.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "encap/fragments_for_test.h"
#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Bytes;
using testing::Counting;
using testing::Expected;
using testing::Fragment;
using testing::OwnedPacket;
using testing::Piece;
using testing::V6;
using testing::WholeV4;

constexpr uint64_t kSecond = 1'000'000'000;
constexpr auto kWhole = ReassemblyVerdict::kWhole;
constexpr auto kHeld = ReassemblyVerdict::kHeld;
constexpr auto kComplete = ReassemblyVerdict::kComplete;
constexpr auto kDropped = ReassemblyVerdict::kDropped;

class ReassemblyTest : public testing::ReassemblyFixture {};
INSTANTIATE_TEST_SUITE_P(Families, ReassemblyTest,
                         ::testing::Values(IpFamily::kV4, IpFamily::kV6),
                         testing::FamilyName);

TEST_P(ReassemblyTest, JoinsInAnyOrder) {
  const Bytes data = Counting(1000);
  const std::vector<Piece> pieces = {
      {.offset = 0, .data = {data.begin(), data.begin() + 400}, .more = true},
      {.offset = 400,
       .data = {data.begin() + 400, data.begin() + 808},
       .more = true},
      {.offset = 808, .data = {data.begin() + 808, data.end()}}};
  std::vector<size_t> order = {0, 1, 2};
  Reassembler reassembler;
  do {
    EXPECT_EQ(Add(reassembler, pieces[order[0]]), kHeld);
    EXPECT_EQ(Add(reassembler, pieces[order[1]]), kHeld);
    EXPECT_EQ(reassembler.packets_in_progress(), 1u);
    ASSERT_EQ(Add(reassembler, pieces[order[2]]), kComplete);
    EXPECT_EQ(whole_, Expected(GetParam(), {.data = data}));
    EXPECT_EQ(headroom_, kMaxEncapHeadroom);
    EXPECT_EQ(reassembler.packets_in_progress(), 0u);
  } while (std::next_permutation(order.begin(), order.end()));
  EXPECT_EQ(reassembler.stats().completed, 6u);
  EXPECT_EQ(reassembler.stats().joined, 18u);
}

TEST_P(ReassemblyTest, TakesOptionsOfTheFirstFragmentOnly) {
  const size_t on_all = GetParam() == IpFamily::kV4 ? 0 : 8;
  Reassembler reassembler;
  EXPECT_EQ(
      Add(reassembler,
          Piece{.offset = 16, .data = Counting(9, 16), .options = on_all}),
      kHeld);
  ASSERT_EQ(
      Add(reassembler, Piece{.data = Counting(16), .more = true, .options = 8}),
      kComplete);
  EXPECT_EQ(whole_, Expected(GetParam(), {.data = Counting(25), .options = 8}));
}

TEST_P(ReassemblyTest, KeepsPacketsApart) {
  std::vector<Piece> firsts = {{}, {.id = 8}, {.host = 2}};
  if (GetParam() == IpFamily::kV4) firsts.push_back({.protocol = 4});
  Reassembler reassembler;
  for (size_t i = 0; i < firsts.size(); ++i) {
    firsts[i].data = Bytes(8, static_cast<uint8_t>(i));
    firsts[i].more = true;
    EXPECT_EQ(Add(reassembler, firsts[i]), kHeld);
  }
  EXPECT_EQ(reassembler.packets_in_progress(), firsts.size());
  for (Piece piece : firsts) {
    Piece second = piece;
    second.offset = 8;
    second.more = false;
    ASSERT_EQ(Add(reassembler, second), kComplete);
    piece.more = false;
    piece.data.resize(16, piece.data[0]);
    EXPECT_EQ(whole_, Expected(GetParam(), piece));
  }
}

TEST_P(ReassemblyTest, OverlapDropsTheWholeAndWhatStillComes) {
  // Second fragment {offset, length} over bytes 16 to 31.
  const std::pair<size_t, size_t> overlaps[] = {{8, 16}, {24, 16}, {16, 8},
                                                {24, 8}, {8, 32},  {0, 24}};
  for (const auto& [offset, len] : overlaps) {
    Reassembler reassembler;
    const Piece held{.offset = 16, .data = Counting(16, 16), .more = true};
    ASSERT_EQ(Add(reassembler, held), kHeld);
    EXPECT_EQ(Add(reassembler, Piece{.offset = offset,
                                     .data = Counting(len, offset),
                                     .more = true}),
              kDropped)
        << offset;
    EXPECT_EQ(Add(reassembler, Piece{.data = Counting(16), .more = true}),
              kDropped);
    EXPECT_EQ(Add(reassembler, Piece{.offset = 32, .data = Counting(16, 32)}),
              kDropped);
    EXPECT_EQ(Dropped(reassembler, ReassemblyDrop::kOverlap), 4u);
    EXPECT_EQ(reassembler.stats().held, 0u);
    // The name can be used again when its time is over.
    EXPECT_EQ(Add(reassembler, held, 60 * kSecond), kHeld);
  }
}

TEST_P(ReassemblyTest, AnExactCopyDoesNoHarmAndADifferentOneDoes) {
  Reassembler reassembler;
  Piece first{.data = Counting(4096), .more = true};
  ASSERT_EQ(Add(reassembler, first), kHeld);
  EXPECT_EQ(Add(reassembler, first), kDropped);
  EXPECT_EQ(Dropped(reassembler, ReassemblyDrop::kDuplicate), 1u);
  ASSERT_EQ(Add(reassembler, Piece{.offset = 4096, .data = {1}}), kComplete);

  ASSERT_EQ(Add(reassembler, first), kHeld);
  first.data[4095] ^= 1;
  EXPECT_EQ(Add(reassembler, first), kDropped);
  EXPECT_EQ(Dropped(reassembler, ReassemblyDrop::kOverlap), 2u);
}

TEST_P(ReassemblyTest, OneEndAndNothingBehindIt) {
  const Piece end{.offset = 16, .data = Counting(8)};
  const Piece contradictions[] = {
      {.offset = 24, .data = Counting(8)},                // another end
      {.offset = 24, .data = Counting(8), .more = true},  // behind it
      {.offset = 8, .data = Counting(5)},                 // before it
  };
  for (const Piece& other : contradictions) {
    Reassembler reassembler;
    ASSERT_EQ(Add(reassembler, end), kHeld);
    EXPECT_EQ(Add(reassembler, other), kDropped);
    EXPECT_EQ(Dropped(reassembler, ReassemblyDrop::kInconsistent), 2u);
  }
  Reassembler reassembler;
  ASSERT_EQ(Add(reassembler, contradictions[1]), kHeld);
  EXPECT_EQ(Add(reassembler, end), kDropped);
  EXPECT_EQ(Dropped(reassembler, ReassemblyDrop::kInconsistent), 2u);
}

// RFC 3168 5.3: rows are what the two fragments carry; 0xff: dropped.
TEST_P(ReassemblyTest, EcnOfTheWholeIsThatOfItsParts) {
  constexpr uint8_t kDrop = 0xff;
  constexpr uint8_t kTable[4][4] = {{0, kDrop, kDrop, kDrop},
                                    {kDrop, 1, 1, 3},
                                    {kDrop, 2, 2, 3},
                                    {kDrop, 3, 3, 3}};
  for (uint8_t first = 0; first < 4; ++first) {
    for (uint8_t second = 0; second < 4; ++second) {
      Reassembler reassembler;
      const uint8_t dscp = 0xb8;
      Add(reassembler, Piece{.data = Counting(8),
                             .more = true,
                             .tos = static_cast<uint8_t>(dscp | first)});
      const ReassemblyVerdict verdict =
          Add(reassembler, Piece{.offset = 8,
                                 .data = Counting(8, 8),
                                 .tos = static_cast<uint8_t>(dscp | second)});
      const uint8_t ecn = kTable[first][second];
      if (ecn == kDrop) {
        EXPECT_EQ(verdict, kDropped) << int{first} << int{second};
        EXPECT_EQ(Dropped(reassembler, ReassemblyDrop::kEcn), 2u);
        continue;
      }
      ASSERT_EQ(verdict, kComplete);
      EXPECT_EQ(whole_,
                Expected(GetParam(), {.data = Counting(16),
                                      .tos = static_cast<uint8_t>(dscp | ecn)}))
          << int{first} << int{second};
    }
  }
}

TEST_P(ReassemblyTest, MalformedFragments) {
  const Piece first{.data = Counting(16), .more = true};
  Reassembler reassembler;
  uint64_t dropped = 0;
  const auto refuses = [&](const Bytes& bytes, const char* what) {
    EXPECT_EQ(Add(reassembler, bytes), kDropped) << what;
    EXPECT_EQ(Dropped(reassembler, ReassemblyDrop::kMalformed), ++dropped);
  };
  const Bytes good = Fragment(GetParam(), first);
  for (size_t cut = 1; cut <= 16; ++cut) {
    refuses({good.begin(), good.end() - static_cast<ptrdiff_t>(cut)}, "cut");
  }
  refuses(Fragment(GetParam(), {.data = Counting(9), .more = true}), "not 8");
  refuses(Fragment(GetParam(), {.more = true}), "no data");
  refuses(Fragment(GetParam(), {.offset = 65528, .data = Counting(8)}),
          "ends behind 65,535");
  Bytes padded = good;
  padded.resize(padded.size() + 20);
  EXPECT_EQ(Add(reassembler, padded), kHeld) << "link padding";
}

TEST_P(ReassemblyTest, RandomCutsAndOrdersGiveBackThePacket) {
  const IpFamily family = GetParam();
  Reassembler reassembler({.max_fragments = 8192});
  rc::check("joins what was cut", [&] {
    const auto size = *rc::gen::inRange<size_t>(2, 6000);
    const Bytes data = Counting(size);
    std::vector<Piece> pieces;
    for (size_t at = 0; at < size;) {
      size_t len = 8 * *rc::gen::inRange<size_t>(1, 300);
      const bool more = at + len < size && size > 8;
      len = more ? len : size - at;
      pieces.push_back(
          {.offset = at,
           .data = {data.begin() + static_cast<ptrdiff_t>(at),
                    data.begin() + static_cast<ptrdiff_t>(at + len)},
           .more = more});
      at += len;
    }
    RC_PRE(pieces.size() > 1);
    for (size_t i = pieces.size(); i > 1; --i) {
      std::swap(pieces[i - 1], pieces[*rc::gen::inRange<size_t>(0, i)]);
    }
    for (size_t i = 0; i + 1 < pieces.size(); ++i) {
      RC_ASSERT(Add(reassembler, pieces[i]) == kHeld);
    }
    RC_ASSERT(Add(reassembler, pieces.back()) == kComplete);
    RC_ASSERT(whole_ == Expected(family, {.data = data}));
    RC_ASSERT(reassembler.stats().held == 0u);
  });
}

TEST(ReassemblyFamilies, WhatIsNoFragmentIsLeftAlone) {
  Reassembler reassembler;
  const auto whole = [&](const Bytes& bytes) {
    OwnedPacket packet(bytes);
    EXPECT_EQ(reassembler.Add(*packet, 0), kWhole) << testing::ToHex(bytes);
    EXPECT_EQ(packet.bytes(), bytes);
  };
  whole({});
  whole({0x00, 1, 2});
  whole(Bytes(19, 0x45));
  whole(Bytes(39, 0x60));
  whole(testing::InnerV4());
  whole(testing::InnerV6());
  whole(V6({.data = Counting(8)}, true));  // atomic (RFC 6946)
  whole(V6({.data = Counting(8), .options = 16}, false));
  Bytes cut = V6({.data = Counting(8), .options = 16}, true);
  for (size_t len = 40; len < 56; ++len) {
    whole({cut.begin(), cut.begin() + static_cast<ptrdiff_t>(len)});
  }
  EXPECT_EQ(reassembler.stats().received, 0u);
}

TEST(ReassemblyFamilies, AtomicFragmentStandsAloneBesideOthersOfItsName) {
  Reassembler reassembler;
  OwnedPacket first(V6({.data = Counting(8), .more = true}, true));
  ASSERT_EQ(reassembler.Add(*first, 0), kHeld);
  OwnedPacket atomic(V6({.data = Counting(8)}, true));
  EXPECT_EQ(reassembler.Add(*atomic, 0), kWhole);
  EXPECT_EQ(reassembler.stats().held, 1u);
}

TEST(ReassemblyFamilies, Ipv4HeaderMustBeRight) {
  Reassembler reassembler;
  const Bytes good = WholeV4({.data = Counting(8), .more = true});
  Bytes bad_sum = good;
  bad_sum[10] ^= 1;
  Bytes short_header = good;
  short_header[0] = 0x44;
  Bytes short_total = good;
  short_total[3] = 19;
  for (const Bytes& bytes : {bad_sum, short_header, short_total}) {
    OwnedPacket packet(bytes);
    EXPECT_EQ(reassembler.Add(*packet, 0), kDropped);
  }
  EXPECT_EQ(reassembler.stats().dropped_for(ReassemblyDrop::kMalformed), 3u);
}

TEST(ReassemblyFamilies, FirstIpv6FragmentHasAllHeaders) {
  Reassembler reassembler;
  const auto add = [&](Piece piece, uint8_t next) {
    piece.protocol = next;
    OwnedPacket packet(V6(piece, true));
    return reassembler.Add(*packet, 0);
  };
  // Destination options of 16 bytes behind the fragment header.
  Bytes chain(24);
  chain[0] = 47;
  chain[1] = 1;
  Piece piece{.data = chain, .more = true};
  EXPECT_EQ(add(piece, kIpv6DestinationOptions), kHeld);
  piece.data.resize(16);
  EXPECT_EQ(add(piece, kIpv6DestinationOptions), kDropped);
  piece.data.resize(8);
  EXPECT_EQ(add(piece, kIpv6DestinationOptions), kDropped);
  piece.id = 8;
  piece.offset = 8;
  EXPECT_EQ(add(piece, kIpv6DestinationOptions), kHeld) << "not the first";
  Bytes no_next(8);
  no_next[0] = 59;
  EXPECT_EQ(
      add({.id = 9, .data = no_next, .more = true}, kIpv6DestinationOptions),
      kHeld);
  EXPECT_EQ(
      add({.id = 9, .data = Counting(8), .more = true, .options = 264}, 47),
      kDropped)
      << "extension headers without end";
  Bytes second_fragment(16);
  second_fragment[0] = 47;
  EXPECT_EQ(
      add({.id = 10, .data = second_fragment, .more = true}, kIpv6Fragment),
      kDropped)
      << "a fragment header twice";
  Bytes behind_options = chain;
  behind_options[0] = kIpv6Fragment;
  EXPECT_EQ(add({.id = 11, .data = behind_options, .more = true},
                kIpv6DestinationOptions),
            kDropped);
}

TEST(ReassemblyFamilies, EachDropHasAName) {
  std::vector<std::string_view> names;
  for (size_t i = 0; i < kReassemblyDropCount; ++i) {
    names.push_back(ReassemblyDropName(static_cast<ReassemblyDrop>(i)));
  }
  EXPECT_EQ(names.front(), "malformed");
  EXPECT_EQ(names.back(), "byte_limit");
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

}  // namespace
}  // namespace encap
