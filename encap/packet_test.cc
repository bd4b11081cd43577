#include "encap/packet.h"

#include <gtest/gtest.h>

#include <array>

namespace encap {
namespace {

TEST(PacketBufferTest, PushPullTrimAppendMoveTheEndsOnly) {
  std::array<uint8_t, 100> storage;
  for (size_t i = 0; i < storage.size(); ++i) {
    storage[i] = static_cast<uint8_t>(i);
  }
  PacketBuffer packet(storage, 40, 30);
  EXPECT_EQ(packet.headroom(), 40u);
  EXPECT_EQ(packet.tailroom(), 30u);
  EXPECT_EQ(packet.data()[0], 40);

  EXPECT_EQ(packet.Push(8), &storage[32]);
  EXPECT_EQ(packet.size(), 38u);
  EXPECT_TRUE(packet.Pull(10));
  EXPECT_EQ(packet.data()[0], 42);
  EXPECT_EQ(packet.size(), 28u);
  EXPECT_TRUE(packet.Trim(20));
  EXPECT_EQ(packet.tailroom(), 38u);
  EXPECT_EQ(packet.Append(3), &storage[62]);
  EXPECT_EQ(packet.size(), 23u);
  for (size_t i = 0; i < storage.size(); ++i) EXPECT_EQ(storage[i], i);
}

TEST(PacketBufferTest, RefusesWhatDoesNotFitAndChangesNothing) {
  std::array<uint8_t, 16> storage{};
  PacketBuffer packet(storage, 4, 8);
  EXPECT_EQ(packet.Push(5), nullptr);
  EXPECT_FALSE(packet.Pull(9));
  EXPECT_FALSE(packet.Trim(9));
  EXPECT_EQ(packet.Append(5), nullptr);
  EXPECT_EQ(packet.headroom(), 4u);
  EXPECT_EQ(packet.size(), 8u);
  EXPECT_EQ(packet.tailroom(), 4u);
}

TEST(PacketBufferTest, HintIsAnOrdinaryPacketAtFirst) {
  const PacketBuffer packet;
  EXPECT_EQ(packet.hint().gso_type, GsoType::kNone);
  EXPECT_FALSE(packet.hint().needs_checksum);
  EXPECT_EQ(packet.size(), 0u);
}

}  // namespace
}  // namespace encap
