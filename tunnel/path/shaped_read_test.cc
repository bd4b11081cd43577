#include "tunnel/path/shaped_read.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace tunnel {
namespace {

using encap::GsoType;
using encap::PacketBuffer;

// Gives out packets of one size, as many as there are.
class FakeQueue : public TunQueue {
 public:
  FakeQueue(size_t packets, size_t bytes) : left_(packets), bytes_(bytes) {}
  int fd() const override { return -1; }
  ReadResult ReadBatch(std::span<PacketBuffer> packets) noexcept override {
    ReadResult result;
    for (; result.packets < packets.size() && left_ > 0; --left_)
      packets[result.packets++].Trim(bytes_);
    result.gone = left_ == 0 && gone;
    return result;
  }
  WriteResult Write(PacketBuffer&) noexcept override {
    return WriteResult::kRefused;
  }
  size_t left() const { return left_; }
  bool gone = false;

 private:
  size_t left_;
  const size_t bytes_;
};

class ShapedReadTest : public ::testing::Test {
 protected:
  ShapedReadTest() : storage_(64 * kRoom) {}

  ShapedReadResult Read(TunQueue& queue, uint64_t now_ns) {
    packets_.clear();
    for (size_t i = 0; i < 64; ++i)
      packets_.push_back(
          PacketBuffer({storage_.data() + i * kRoom, kRoom}, 0, kRoom));
    return ReadShaped(queue, packets_, kLimits, shaper_, now_ns);
  }

  static constexpr size_t kRoom = 2000;
  static constexpr uint64_t kMs = 1'000'000;
  static constexpr ShapeLimits kLimits{.rate = 8'000'000, .burst = 3000};
  std::vector<uint8_t> storage_;
  std::vector<PacketBuffer> packets_;
  Shaper shaper_;
};

TEST_F(ShapedReadTest, StopsWhereTheCreditEnds) {
  FakeQueue queue(10, 1000);
  const ShapedReadResult first = Read(queue, 0);
  EXPECT_EQ(first.packets, 3u);
  EXPECT_EQ(queue.left(), 7u) << "what was not read waits in the device";
  EXPECT_EQ(first.wait_ns, kMs);
  const ShapedReadResult early = Read(queue, 0);
  EXPECT_EQ(early.packets, 0u);
  EXPECT_EQ(early.wait_ns, kMs);
  const ShapedReadResult next = Read(queue, kMs);
  EXPECT_EQ(next.packets, 1u);
  EXPECT_EQ(next.wait_ns, kMs);
}

TEST_F(ShapedReadTest, AnEmptyQueueDoesNotWait) {
  FakeQueue queue(2, 1000);
  const ShapedReadResult read = Read(queue, 0);
  EXPECT_EQ(read.packets, 2u);
  EXPECT_EQ(read.wait_ns, 0u);
  EXPECT_FALSE(read.gone);
}

TEST_F(ShapedReadTest, TellsThatTheDeviceHasGone) {
  FakeQueue queue(0, 1000);
  queue.gone = true;
  EXPECT_TRUE(Read(queue, 0).gone);
}

TEST(ShapedBytesTest, SuperPacketCountsForItsSegments) {
  std::vector<uint8_t> bytes(40 + 2500);
  bytes[20 + 12] = 5 << 4;  // TCP header of 20 bytes
  PacketBuffer packet(bytes, 0, bytes.size());
  EXPECT_EQ(ShapedBytes(packet), 2540u);
  packet.hint() = {.gso_type = GsoType::kTcp4,
                   .needs_checksum = true,
                   .gso_size = 1000,
                   .header_len = 2540,  // all in one piece
                   .checksum_start = 20,
                   .checksum_offset = 16};
  EXPECT_EQ(ShapedBytes(packet), 2500u + 3 * 40);
  packet.hint().gso_type = GsoType::kUdp;
  EXPECT_EQ(ShapedBytes(packet), 2512u + 3 * 28);
}

TEST(ShapedBytesTest, BadHintsCountTheBytes) {
  std::vector<uint8_t> bytes(60, 0xff);
  PacketBuffer packet(bytes, 0, bytes.size());
  for (const uint16_t start : {0, 20, 41, 59, 60, 65535}) {
    packet.hint() = {.gso_type = GsoType::kTcp6,
                     .needs_checksum = true,
                     .gso_size = 1,
                     .checksum_start = start};
    EXPECT_GE(ShapedBytes(packet), 60u);
  }
  packet.hint().gso_size = 0;
  EXPECT_EQ(ShapedBytes(packet), 60u);
}

}  // namespace
}  // namespace tunnel
