#include "tunnel/netlink/memory_link_control.h"

#include <chrono>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tunnel/base/error.h"
#include "tunnel/sync/mutex.h"

namespace tunnel {
namespace {

using encap::IpAddress;
using encap::IpPrefix;
using ::testing::ElementsAre;

const IpAddress kLocal = IpAddress::Parse("192.0.2.1").value();
const IpAddress kRemote = IpAddress::Parse("192.0.2.2").value();

TEST(MemoryLinkControlTest, AppliesAndRecordsChanges) {
  MemoryLinkControl links;
  const IpPrefix prefix = IpPrefix::Parse("10.0.0.1/30").value();
  EXPECT_TRUE(links.SetMtu(100, 1476).ok());
  EXPECT_TRUE(links.SetTxQueueLen(100, 500).ok());
  EXPECT_TRUE(links.AddAddress(100, prefix).ok());
  EXPECT_TRUE(links.SetUp(100, true).ok());
  const auto interface = links.GetInterface(100);
  ASSERT_TRUE(interface.has_value());
  EXPECT_EQ(interface->mtu, 1476U);
  EXPECT_EQ(interface->tx_queue_len, 500U);
  EXPECT_TRUE(interface->up);
  EXPECT_TRUE(links.IsLocalAddress(prefix.address));
  EXPECT_TRUE(links.DeleteAddress(100, prefix).ok());
  EXPECT_FALSE(links.IsLocalAddress(prefix.address));
  EXPECT_THAT(links.calls(), ElementsAre("mtu 100 1476", "txqueuelen 100 500",
                                         "add 100 10.0.0.1/30", "up 100",
                                         "delete 100 10.0.0.1/30"));
}

TEST(MemoryLinkControlTest, FailsTheChangeThatWasNamed) {
  MemoryLinkControl links;
  links.FailChange(2, MakeError(Reason::kNetlinkError, "injected"));
  EXPECT_TRUE(links.SetMtu(100, 1400).ok());
  EXPECT_EQ(GetReason(links.SetMtu(100, 1300)), Reason::kNetlinkError);
  EXPECT_EQ(links.GetInterface(100)->mtu, 1400U);
  EXPECT_TRUE(links.SetMtu(100, 1300).ok());
}

TEST(MemoryLinkControlTest, AnswersRoutes) {
  MemoryLinkControl links;
  EXPECT_EQ(links.RouteTo(kRemote, kLocal, 0, 0)->mtu, 1500U);
  links.SetRoute(kRemote, RouteInfo{.ifindex = 7, .device = "x", .mtu = 1300});
  EXPECT_EQ(links.RouteTo(kRemote, kLocal, 7, 0)->mtu, 1300U);
  EXPECT_EQ(links.RouteTo(kRemote, kLocal, 8, 0).status().code(),
            absl::StatusCode::kNotFound);
  links.SetRoute(kRemote, std::nullopt);
  EXPECT_EQ(links.RouteTo(kRemote, kLocal, 0, 0).status().code(),
            absl::StatusCode::kNotFound);
}

TEST(MemoryLinkControlTest, FindsInterfacesByName) {
  MemoryLinkControl links;
  links.AddInterface(42, "wan", 1400);
  EXPECT_EQ(links.IndexOf("wan"), 42U);
  EXPECT_EQ(links.IndexOf("eth0"), 1U);
  links.RemoveInterface(42);
  EXPECT_EQ(links.IndexOf("wan"), 0U);
}

TEST(MemoryLinkControlTest, InspectsWhatWasSet) {
  MemoryLinkControl links;
  const IpPrefix ours = IpPrefix::Parse("10.0.0.1/30").value();
  const IpPrefix theirs = IpPrefix::Parse("10.0.0.9/32").value();
  EXPECT_EQ(links.Inspect(100)->mtu, 1500U);
  EXPECT_TRUE(links.SetMtu(100, 1400).ok());
  EXPECT_TRUE(links.SetTxQueueLen(100, 7).ok());
  EXPECT_TRUE(links.SetUp(100, true).ok());
  links.AddForeignAddress(100, theirs);
  EXPECT_TRUE(links.AddAddress(100, theirs).ok());
  EXPECT_TRUE(links.AddAddress(100, ours).ok());
  links.AddForeignAddress(100, ours);
  const LinkSettings settings = links.Inspect(100).value();
  EXPECT_TRUE(settings.up);
  EXPECT_EQ(settings.mtu, 1400U);
  EXPECT_EQ(settings.txqueuelen, 7U);
  ASSERT_EQ(settings.addresses.size(), 2U);
  EXPECT_EQ(settings.addresses[0].prefix, ours);
  EXPECT_TRUE(settings.addresses[0].ours);
  EXPECT_EQ(settings.addresses[1].prefix, theirs);
  EXPECT_FALSE(settings.addresses[1].ours);
  EXPECT_TRUE(links.Exists(100).value());
  links.RemoveInterface(100);
  EXPECT_FALSE(links.Exists(100).value());
  EXPECT_EQ(GetReason(links.Inspect(100).status()), Reason::kDeviceNotFound);
  EXPECT_EQ(GetReason(links.SetUp(100, true)), Reason::kDeviceNotFound);
  EXPECT_FALSE(links.Exists(100).value());
}

TEST(MemoryLinkControlTest, EmitsEventsInOrderWithTheViewCurrent) {
  MemoryLinkControl links;
  Mutex mu;
  CondVar changed;
  std::vector<std::pair<bool, bool>> seen;  // removed, local at that moment
  ASSERT_TRUE(links
                  .StartMonitor([&](const LinkEvent& event) {
                    if (event.kind != LinkEvent::Kind::kAddress) return;
                    MutexLock lock(mu);
                    seen.emplace_back(event.removed,
                                      links.IsLocalAddress(event.address));
                    changed.NotifyAll();
                  })
                  .ok());
  const auto wait_for = [&](size_t n) {
    MutexLock lock(mu);
    while (seen.size() < n) changed.Wait(mu);
  };
  links.AddLocalAddress(kLocal);
  wait_for(1);
  links.RemoveLocalAddress(kLocal);
  wait_for(2);
  links.StopMonitor();
  links.AddLocalAddress(kLocal);
  EXPECT_THAT(seen,
              ElementsAre(std::pair(false, true), std::pair(true, false)));
}

}  // namespace
}  // namespace tunnel
