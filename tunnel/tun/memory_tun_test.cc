#include "tunnel/tun/memory_tun.h"

#include <poll.h>

#include <array>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tunnel/base/error.h"

namespace tunnel {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::chrono::milliseconds kNow(0);
constexpr std::chrono::milliseconds kSoon(2000);

struct Slot {
  std::array<uint8_t, 2048> storage{};
  encap::PacketBuffer buffer{storage, 64, storage.size() - 64};
};

bool Readable(int fd) {
  pollfd p{fd, POLLIN, 0};
  return poll(&p, 1, 0) == 1;
}

TEST(MemoryTunTest, DeliversInjectedPacketsInOrderWithTheirHint) {
  MemoryTunFactory factory;
  auto device = factory.Open({.name = "t0", .queues = 2}).value();
  EXPECT_EQ(device->queue_count(), 2U);
  TunQueue& queue = device->queue(1);
  EXPECT_FALSE(Readable(queue.fd()));
  const std::vector<uint8_t> one = {0x45, 1}, two = {0x45, 2, 3};
  ASSERT_TRUE(factory.Inject("t0", 1, one));
  ASSERT_TRUE(factory.Inject("t0", 1, two,
                             {.needs_checksum = true, .checksum_start = 20}));
  EXPECT_TRUE(Readable(queue.fd()));
  EXPECT_FALSE(Readable(device->queue(0).fd()));
  std::array<Slot, 3> slots;
  std::array<encap::PacketBuffer, 3> buffers = {
      slots[0].buffer, slots[1].buffer, slots[2].buffer};
  const auto result = queue.ReadBatch(buffers);
  EXPECT_EQ(result.packets, 2U);
  EXPECT_FALSE(result.gone);
  EXPECT_THAT(buffers[0].bytes(), ElementsAre(0x45, 1));
  EXPECT_THAT(buffers[1].bytes(), ElementsAre(0x45, 2, 3));
  EXPECT_FALSE(buffers[0].hint().needs_checksum);
  EXPECT_EQ(buffers[1].hint().checksum_start, 20);
  EXPECT_EQ(buffers[2].size(), slots[2].buffer.size());
  EXPECT_FALSE(Readable(queue.fd()));
}

TEST(MemoryTunTest, GivesOutWhatWasWritten) {
  MemoryTunFactory factory;
  auto device = factory.Open({.name = "t0", .queues = 2}).value();
  Slot slot;
  slot.buffer.Trim(3);
  slot.buffer.hint() = {.gso_type = encap::GsoType::kTcp6, .gso_size = 1000};
  EXPECT_EQ(device->queue(1).Write(slot.buffer), TunQueue::WriteResult::kOk);
  const auto delivered = factory.Take("t0", kSoon);
  ASSERT_TRUE(delivered.has_value());
  EXPECT_EQ(delivered->queue, 1U);
  EXPECT_EQ(delivered->bytes.size(), 3U);
  EXPECT_EQ(delivered->hint.gso_size, 1000);
  EXPECT_FALSE(factory.Take("t0", kNow).has_value());
}

TEST(MemoryTunTest, RefusesWhenToldToAndWithoutHeadroom) {
  MemoryTunFactory factory;
  auto device = factory.Open({.name = "t0"}).value();
  Slot slot;
  factory.SetRefuse("t0", true);
  EXPECT_EQ(device->queue(0).Write(slot.buffer),
            TunQueue::WriteResult::kRefused);
  factory.SetRefuse("t0", false);
  EXPECT_EQ(device->queue(0).Write(slot.buffer), TunQueue::WriteResult::kOk);
  encap::PacketBuffer tight(slot.storage, 2, 10);
  EXPECT_EQ(device->queue(0).Write(tight), TunQueue::WriteResult::kRefused);
}

TEST(MemoryTunTest, CountsDevicesAndRefusesATakenName) {
  MemoryTunFactory factory;
  auto first = factory.Open({.name = "a"}).value();
  auto second = factory.Open({.name = "b"}).value();
  EXPECT_NE(first->ifindex(), second->ifindex());
  EXPECT_THAT(factory.names(), ElementsAre("a", "b"));
  EXPECT_EQ(GetReason(factory.Open({.name = "a"}).status()),
            Reason::kNameInUse);
  first.reset();
  second.reset();
  EXPECT_THAT(factory.names(), IsEmpty());
  EXPECT_EQ(factory.created(), 2U);
  EXPECT_EQ(factory.destroyed(), 2U);
  EXPECT_FALSE(factory.Inject("a", 0, std::vector<uint8_t>{1}));
}

TEST(MemoryTunTest, FailsTheOpenThatWasNamed) {
  MemoryTunFactory factory;
  factory.FailOpen(2, MakeError(Reason::kTunUnavailable, "injected"));
  EXPECT_TRUE(factory.Open({.name = "a"}).ok());
  EXPECT_EQ(GetReason(factory.Open({.name = "b"}).status()),
            Reason::kTunUnavailable);
  EXPECT_TRUE(factory.Open({.name = "b"}).ok());
}

TEST(MemoryTunTest, VanishedDeviceIsGone) {
  MemoryTunFactory factory;
  auto device = factory.Open({.name = "a"}).value();
  factory.Vanish("a");
  Slot slot;
  EXPECT_TRUE(Readable(device->queue(0).fd()));
  const auto result = device->queue(0).ReadBatch({&slot.buffer, 1});
  EXPECT_EQ(result.packets, 0U);
  EXPECT_TRUE(result.gone);
  EXPECT_EQ(device->queue(0).Write(slot.buffer), TunQueue::WriteResult::kGone);
}

TEST(MemoryTunTest, PersistentDeviceIsAdoptedWithItsIndex) {
  MemoryTunFactory factory;
  auto device = factory.Open({.name = "a"}).value();
  const uint32_t ifindex = device->ifindex();
  EXPECT_FALSE(factory.IsPersistent("a"));
  ASSERT_TRUE(device->SetPersistent(true).ok());
  EXPECT_TRUE(factory.IsPersistent("a"));
  EXPECT_EQ(GetReason(factory.Adopt({.name = "a"}, ifindex).status()),
            Reason::kNameInUse);
  device.reset();
  EXPECT_THAT(factory.names(), ElementsAre("a"));
  EXPECT_EQ(GetReason(factory.Open({.name = "a"}).status()),
            Reason::kNameInUse);
  EXPECT_EQ(GetReason(factory.Adopt({.name = "a"}, ifindex + 1).status()),
            Reason::kNameInUse);
  EXPECT_EQ(
      GetReason(
          factory.Adopt({.name = "a", .ethernet = true}, ifindex).status()),
      Reason::kNameInUse);
  device = factory.Adopt({.name = "a", .queues = 3}, ifindex).value();
  EXPECT_EQ(device->ifindex(), ifindex);
  EXPECT_EQ(device->queue_count(), 3U);
  ASSERT_TRUE(factory.Inject("a", 2, std::vector<uint8_t>{0x45}));
  EXPECT_TRUE(Readable(device->queue(2).fd()));
  ASSERT_TRUE(device->SetPersistent(false).ok());
  device.reset();
  EXPECT_THAT(factory.names(), IsEmpty());
  EXPECT_EQ(factory.created(), 1U);
  EXPECT_EQ(factory.adopted(), 1U);
  EXPECT_EQ(factory.destroyed(), 1U);
}

TEST(MemoryTunTest, AdoptsNothingThatIsNotThere) {
  MemoryTunFactory factory;
  EXPECT_EQ(GetReason(factory.Adopt({.name = "a"}, 1).status()),
            Reason::kDeviceNotFound);
  const uint32_t foreign = factory.AddForeign("x");
  EXPECT_EQ(GetReason(factory.Adopt({.name = "x"}, foreign).status()),
            Reason::kNameInUse);
  EXPECT_EQ(GetReason(factory.Open({.name = "x"}).status()),
            Reason::kNameInUse);
  auto device = factory.Open({.name = "a"}).value();
  const uint32_t ifindex = device->ifindex();
  factory.FailPersist(1, MakeError(Reason::kNetlinkError, "injected"));
  EXPECT_EQ(GetReason(device->SetPersistent(true)), Reason::kNetlinkError);
  ASSERT_TRUE(device->SetPersistent(true).ok());
  device.reset();
  factory.FailAdopt(1, MakeError(Reason::kFdLimit, "injected"));
  EXPECT_EQ(GetReason(factory.Adopt({.name = "a"}, ifindex).status()),
            Reason::kFdLimit);
  factory.Vanish("a");
  EXPECT_EQ(GetReason(factory.Adopt({.name = "a"}, ifindex).status()),
            Reason::kDeviceNotFound);
  EXPECT_THAT(factory.names(), ElementsAre("x"));
}

}  // namespace
}  // namespace tunnel
