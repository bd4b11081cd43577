#include "encap/checksum.h"

#include <gtest/gtest.h>

#include <random>

#include "encap/checksum_kernels.h"
#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Bytes;
using testing::FromHex;
using testing::OwnedPacket;
using testing::ReferenceChecksum;

Bytes RandomBytes(std::mt19937& random, size_t size) {
  Bytes bytes(size);
  // Runs of 0x00 and 0xff reach the carries.
  const int kind = static_cast<int>(random() % 4);
  for (uint8_t& b : bytes) {
    b = kind == 0 ? 0 : kind == 1 ? 0xff : static_cast<uint8_t>(random());
  }
  return bytes;
}

TEST(ChecksumTest, ExampleOfRfc1071) {
  // RFC 1071 3: the sum of 00 01 f2 03 f4 f5 f6 f7 is ddf2.
  const Bytes bytes = FromHex("0001f203f4f5f6f7");
  EXPECT_EQ(InternetChecksum(bytes).host(), 0xffff - 0xddf2);
}

TEST(ChecksumTest, FullEqualsTheReferenceForEveryShortLength) {
  std::mt19937 random(3);
  for (size_t size = 0; size < 300; ++size) {
    for (size_t offset = 0; offset < 4; ++offset) {
      const Bytes bytes = RandomBytes(random, size + offset);
      const std::span<const uint8_t> part(bytes.data() + offset, size);
      ASSERT_EQ(InternetChecksum(part).host(), ReferenceChecksum(part))
          << size << " bytes at " << offset;
    }
  }
}

TEST(ChecksumTest, FullEqualsTheReferenceForRandomLengths) {
  std::mt19937 random(4);
  for (int i = 0; i < 300; ++i) {
    const Bytes bytes = RandomBytes(random, random() % 65536);
    ASSERT_EQ(InternetChecksum(bytes).host(), ReferenceChecksum(bytes));
  }
}

TEST(SumKernelTest, TheBestIsTheLastAndIsChosen) {
  ASSERT_FALSE(SumKernels().empty());
  EXPECT_EQ(SumKernels().front().name, "portable");
  EXPECT_EQ(BestSum(), SumKernels().back().sum);
}

TEST(SumKernelTest, AllEqualTheReferenceForLengthsAndAlignments) {
  std::mt19937 random(31);
  for (const SumKernel& kernel : SumKernels()) {
    for (size_t size = 0; size < 700; ++size) {
      const size_t offset = random() % 64;
      const Bytes bytes = RandomBytes(random, size + offset);
      const std::span<const uint8_t> part(bytes.data() + offset, size);
      const uint16_t sum = FoldSum(kernel.sum(part.data(), size));
      ASSERT_EQ(ChecksumFromSum(sum).host(), ReferenceChecksum(part))
          << kernel.name << ": " << size << " bytes at " << offset;
    }
    for (int i = 0; i < 100; ++i) {
      const Bytes bytes = RandomBytes(random, 64000 + random() % 1536);
      const std::span<const uint8_t> part =
          std::span<const uint8_t>(bytes).subspan(random() % 64);
      const uint16_t sum = FoldSum(kernel.sum(part.data(), part.size()));
      ASSERT_EQ(ChecksumFromSum(sum).host(), ReferenceChecksum(part))
          << kernel.name << ": " << part.size() << " bytes";
    }
  }
}

TEST(SumKernelTest, PartsOfAnyKernelCombineAtAnyCut) {
  std::mt19937 random(32);
  for (int i = 0; i < 5000; ++i) {
    const Bytes bytes = RandomBytes(random, random() % 2000);
    const size_t cut = random() % (bytes.size() + 1);
    const auto any = [&random] {
      return SumKernels()[random() % SumKernels().size()].sum;
    };
    const uint16_t first = FoldSum(any()(bytes.data(), cut));
    const uint16_t second =
        FoldSum(any()(bytes.data() + cut, bytes.size() - cut));
    ASSERT_EQ(ChecksumFromSum(CombineSums(first, second, cut)).host(),
              ReferenceChecksum(bytes))
        << bytes.size() << " cut at " << cut;
  }
}

TEST(ChecksumTest, PartsCombineAtOddAndEvenOffsets) {
  std::mt19937 random(5);
  for (int i = 0; i < 5000; ++i) {
    const Bytes bytes = RandomBytes(random, 1 + random() % 200);
    const std::span<const uint8_t> all(bytes);
    const size_t cut = random() % (bytes.size() + 1);
    const uint16_t sum = CombineSums(PartialSum(all.first(cut)),
                                     PartialSum(all.subspan(cut)), cut);
    ASSERT_EQ(ChecksumFromSum(sum).host(), ReferenceChecksum(all))
        << bytes.size() << " cut at " << cut;
  }
}

TEST(ChecksumTest, IncrementalEqualsFull) {
  std::mt19937 random(6);
  for (int i = 0; i < 20000; ++i) {
    Bytes bytes = RandomBytes(random, 2 * (2 + random() % 20));
    bytes[0] |= 0x40;  // as in a header, not all words are zero
    const size_t at = 2 + 2 * (random() % (bytes.size() / 2 - 1));
    const Be16 checksum = InternetChecksum(bytes);
    const Be16 before = LoadBe16(bytes.data() + at);
    const Be16 after(static_cast<uint16_t>(random() % 3 ? random() : 0xffff));
    StoreBe16(bytes.data() + at, after);
    ASSERT_EQ(UpdateChecksum(checksum, before, after).host(),
              ReferenceChecksum(bytes));
  }
}

TEST(ChecksumTest, IncrementalExampleOfRfc1624) {
  // RFC 1624 4: 5555 becomes 3285, checksum dd2f becomes 0000.
  EXPECT_EQ(UpdateChecksum(Be16(0xdd2f), Be16(0x5555), Be16(0x3285)).host(), 0);
}

TEST(ChecksumTest, PseudoHeadersAreTheSumOfTheirBytes) {
  const Bytes v4 = FromHex("c0000201 c0000202 00 11 0123");
  EXPECT_EQ(
      ChecksumFromSum(PseudoHeaderSumV4(&v4[0], &v4[4], 17, 0x0123)).host(),
      ReferenceChecksum(v4));
  const Bytes v6 = FromHex(
      "20010db8000000000000000000000001 20010db8000000000000000000000002"
      "00012345 000000 3a");
  EXPECT_EQ(
      ChecksumFromSum(PseudoHeaderSumV6(&v6[0], &v6[16], 58, 0x12345)).host(),
      ReferenceChecksum(v6));
}

// A UDP datagram with 20 bytes in front, its checksum partial.
void MakePartial(PacketBuffer& packet, uint16_t field) {
  packet.hint().needs_checksum = true;
  packet.hint().checksum_start = 20;
  packet.hint().checksum_offset = 6;
  StoreBe16(packet.data() + 26, Be16(field));
}

TEST(FinishChecksumTest, WritesTheSumFromTheStartOn) {
  std::mt19937 random(7);
  for (size_t payload = 8; payload < 64; ++payload) {
    OwnedPacket packet(RandomBytes(random, 20 + payload));
    MakePartial(*packet, 0x1357);
    Bytes want = packet.bytes();
    uint16_t sum = ReferenceChecksum({want.data() + 20, payload});
    if (sum == 0) sum = 0xffff;
    want[26] = static_cast<uint8_t>(sum >> 8);
    want[27] = static_cast<uint8_t>(sum);
    EXPECT_EQ(FinishChecksum(*packet), DropReason::kNone);
    EXPECT_EQ(packet.bytes(), want);
    EXPECT_FALSE(packet->hint().needs_checksum);
    EXPECT_EQ(FinishChecksum(*packet), DropReason::kNone);
    EXPECT_EQ(packet.bytes(), want) << "a second call has nothing to do";
  }
}

TEST(FinishChecksumTest, ZeroIsWrittenAsAllOnes) {
  OwnedPacket packet(Bytes(28, 0));
  MakePartial(*packet, 0xffff);  // sums to ffff, its inverse is 0
  EXPECT_EQ(FinishChecksum(*packet), DropReason::kNone);
  EXPECT_EQ(Get16(packet->data() + 26), 0xffff);
}

TEST(FinishChecksumTest, RefusesAFieldOutsideThePacket) {
  OwnedPacket packet(Bytes(28, 1));
  packet->hint().needs_checksum = true;
  packet->hint().checksum_start = 20;
  packet->hint().checksum_offset = 7;
  const Bytes before = packet.bytes();
  EXPECT_EQ(FinishChecksum(*packet), DropReason::kTruncated);
  EXPECT_EQ(packet.bytes(), before);
  EXPECT_TRUE(packet->hint().needs_checksum);
}

TEST(FinishChecksumTest, SumAsIfFinishedEqualsTheSumAfterwards) {
  std::mt19937 random(8);
  for (int i = 0; i < 2000; ++i) {
    OwnedPacket packet(RandomBytes(random, 30 + random() % 60));
    MakePartial(*packet, static_cast<uint16_t>(random()));
    // An odd start shifts all that the checksum covers by a byte.
    packet->hint().checksum_start = static_cast<uint16_t>(19 + random() % 2);
    const size_t from = random() % 19;
    const uint16_t foreseen = SumAsIfFinished(*packet, from);
    ASSERT_EQ(FinishChecksum(*packet), DropReason::kNone);
    const auto rest = packet->bytes().subspan(from);
    ASSERT_EQ(foreseen % 0xffff, PartialSum(rest) % 0xffff);
  }
}

}  // namespace
}  // namespace encap
