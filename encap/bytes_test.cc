#include "encap/bytes.h"

#include <gtest/gtest.h>

namespace encap {
namespace {

TEST(BytesTest, NumberLiesInNetworkOrder) {
  uint8_t bytes[4];
  StoreBe16(bytes, Be16(0x1234));
  EXPECT_EQ(bytes[0], 0x12);
  EXPECT_EQ(bytes[1], 0x34);
  StoreBe32(bytes, Be32(0x01020304));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(bytes[i], i + 1);
}

TEST(BytesTest, LoadGivesBackWhatWasStoredAtAnyAlignment) {
  uint8_t bytes[12] = {};
  for (int offset = 0; offset < 8; ++offset) {
    Put16(bytes + offset, 0xbeef);
    EXPECT_EQ(Get16(bytes + offset), 0xbeef);
    EXPECT_EQ(LoadBe16(bytes + offset), Be16(0xbeef));
    Put32(bytes + offset, 0xdeadbeef);
    EXPECT_EQ(Get32(bytes + offset), 0xdeadbeef);
    EXPECT_EQ(LoadBe32(bytes + offset).host(), 0xdeadbeef);
  }
}

TEST(BytesTest, RawIsTheNumberAsItLiesInMemory) {
  const uint8_t bytes[2] = {0x12, 0x34};
  const Be16 number = LoadBe16(bytes);
  EXPECT_EQ(number.raw(), LoadRaw<uint16_t>(bytes));
  EXPECT_EQ(Be16::FromRaw(number.raw()), number);
}

}  // namespace
}  // namespace encap
