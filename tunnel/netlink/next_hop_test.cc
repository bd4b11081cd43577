#include "tunnel/netlink/next_hop.h"

#include <atomic>
#include <thread>

#include "gtest/gtest.h"

namespace tunnel {
namespace {

// All of it follows from `n`.
LinkDestination Numbered(uint32_t n) {
  LinkDestination to{.ifindex = n + 1, .mtu = n % 65535 + 1};
  for (size_t i = 0; i < to.address.size(); ++i)
    to.address[i] = static_cast<uint8_t>(n >> (i % 4 * 8));
  return to;
}

TEST(NextHopTest, IsUnknownUntilSetAndAgainWhenCleared) {
  NextHop hop;
  EXPECT_EQ(hop.Load(), LinkDestination{});
  const LinkDestination to{
      .ifindex = 0xfedcba98, .mtu = 1500, .address = {2, 0, 0xff, 1, 0x80, 9}};
  hop.Set(to);
  EXPECT_EQ(hop.Load(), to);
  hop.Clear();
  EXPECT_EQ(hop.Load(), LinkDestination{});
}

TEST(NextHopTest, LargeMtuIsTakenForTheLargestPacket) {
  NextHop hop;
  hop.Set({.ifindex = 1, .mtu = 100'000});
  EXPECT_EQ(hop.Load().mtu, 65535U);
}

TEST(NextHopTest, ReaderNeverSeesHalfOfAChange) {
  constexpr uint32_t kChanges = 200'000;
  NextHop hop;
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (uint32_t n = 0; n < kChanges; ++n) hop.Set(Numbered(n));
    done.store(true, std::memory_order_release);
  });
  uint64_t known = 0, wrong = 0;
  while (!done.load(std::memory_order_acquire)) {
    const LinkDestination to = hop.Load();
    if (to.ifindex == 0) continue;
    ++known;
    wrong += to != Numbered(to.ifindex - 1);
  }
  writer.join();
  EXPECT_EQ(wrong, 0U) << "of " << known;
  EXPECT_EQ(hop.Load(), Numbered(kChanges - 1));
}

}  // namespace
}  // namespace tunnel
