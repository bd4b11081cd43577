#include "tunnel/netlink/linux_link_control.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tunnel/base/error.h"
#include "tunnel/netlink/link.h"
#include "tunnel/netlink/netns_for_test.h"
#include "tunnel/sync/mutex.h"

namespace tunnel {
namespace {

using encap::IpAddress;
using encap::IpPrefix;

IpAddress Address(const char* text) { return IpAddress::Parse(text).value(); }
IpPrefix Prefix(const char* text) { return IpPrefix::Parse(text).value(); }

// Collects events from the monitor's thread.
class Events {
 public:
  void Add(const LinkEvent& event) {
    MutexLock lock(mu_);
    events_.push_back(event);
    added_.NotifyAll();
  }

  // Waits until `matches` holds for one of the events; false after 5 s.
  template <typename F>
  bool WaitFor(F matches) {
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::seconds(5);
    MutexLock lock(mu_);
    for (;;) {
      for (const LinkEvent& event : events_) {
        if (matches(event)) return true;
      }
      if (!added_.WaitUntil(mu_, deadline)) return false;
    }
  }

 private:
  Mutex mu_;
  CondVar added_;
  std::vector<LinkEvent> events_ ABSL_GUARDED_BY(mu_);
};

class LinuxLinkControlTest : public NetnsTest {
 protected:
  void SetUp() override {
    NetnsTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    MakeVeth("va", "vb");
    va_ = IfIndex("va");
    links_ = LinuxLinkControl::Create().value();
    socket_.emplace(NetlinkSocket::Open().value());
  }

  LinkInfo Link(uint32_t ifindex) { return GetLink(*socket_, ifindex).value(); }

  uint32_t va_ = 0;
  // These outlive the monitor, which uses them.
  Events events_;
  Mutex gate_;
  std::unique_ptr<LinuxLinkControl> links_;
  std::optional<NetlinkSocket> socket_;
};

TEST_F(LinuxLinkControlTest, ChangesFlagsMtuAndQueueLength) {
  EXPECT_TRUE(links_->SetUp(va_, false).ok());
  EXPECT_FALSE(Link(va_).up);
  EXPECT_TRUE(links_->SetUp(va_, true).ok());
  EXPECT_TRUE(links_->SetUp(va_, true).ok());
  EXPECT_TRUE(Link(va_).up);
  EXPECT_TRUE(links_->SetMtu(va_, 1400).ok());
  EXPECT_EQ(Link(va_).mtu, 1400U);
  EXPECT_TRUE(links_->SetTxQueueLen(va_, 77).ok());
  EXPECT_EQ(Link(va_).tx_queue_len, 77U);
  EXPECT_EQ(Link(va_).name, "va");
}

TEST_F(LinuxLinkControlTest, SaysWhatTheKernelRefused) {
  const absl::Status gone = links_->SetMtu(9999, 1400);
  EXPECT_EQ(GetReason(gone), Reason::kDeviceNotFound) << gone;
  const absl::Status mtu = links_->SetMtu(va_, 1 << 30);
  EXPECT_EQ(GetReason(mtu), Reason::kNetlinkError) << mtu;
  EXPECT_NE(mtu.message().find("mtu greater than device maximum"),
            absl::string_view::npos)
      << mtu;
}

TEST_F(LinuxLinkControlTest, AddsAndDeletesAddressesIdempotently) {
  for (const char* text : {"10.0.0.1/30", "fd00::1/64"}) {
    const IpPrefix prefix = Prefix(text);
    EXPECT_FALSE(links_->IsLocalAddress(prefix.address)) << text;
    EXPECT_TRUE(links_->AddAddress(va_, prefix).ok()) << text;
    EXPECT_TRUE(links_->AddAddress(va_, prefix).ok()) << text;
    // At once: an IPv6 address does not wait for duplicate detection.
    EXPECT_TRUE(links_->IsLocalAddress(prefix.address)) << text;
    EXPECT_TRUE(links_->DeleteAddress(va_, prefix).ok()) << text;
    EXPECT_TRUE(links_->DeleteAddress(va_, prefix).ok()) << text;
    EXPECT_FALSE(links_->IsLocalAddress(prefix.address)) << text;
  }
  EXPECT_EQ(GetReason(links_->AddAddress(9999, Prefix("10.0.0.1/30"))),
            Reason::kDeviceNotFound);
}

TEST_F(LinuxLinkControlTest, InspectsALinkAndTellsOurAddressesFromOthers) {
  Ip("addr add 10.8.0.1/32 dev vb");
  Ip("addr add 10.0.0.9/24 dev va");
  Ip("addr add fd00::9/64 dev va nodad");
  for (const char* text : {"10.0.0.1/30", "fd00::1/64", "10.0.0.9/24"}) {
    ASSERT_TRUE(links_->AddAddress(va_, Prefix(text)).ok()) << text;
  }
  ASSERT_TRUE(links_->SetMtu(va_, 1400).ok());
  ASSERT_TRUE(links_->SetTxQueueLen(va_, 77).ok());
  const auto settings = links_->Inspect(va_);
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_TRUE(settings->up);
  EXPECT_EQ(settings->mtu, 1400U);
  EXPECT_EQ(settings->txqueuelen, 77U);
  std::map<std::string, bool> ours;
  for (const LinkSettings::Address& address : settings->addresses) {
    ours[address.prefix.ToString()] = address.ours;
  }
  const std::map<std::string, bool> wanted = {{"10.0.0.1/30", true},
                                              {"10.0.0.9/24", false},
                                              {"fd00::1/64", true},
                                              {"fd00::9/64", false}};
  EXPECT_EQ(ours, wanted);  // and not the fe80:: one of the kernel
}

TEST_F(LinuxLinkControlTest, KnowsWhetherAnInterfaceExists) {
  EXPECT_TRUE(links_->Exists(va_).value());
  Ip("link del va");
  EXPECT_FALSE(links_->Exists(va_).value());
  EXPECT_EQ(GetReason(links_->Inspect(va_).status()), Reason::kDeviceNotFound);
}

TEST_F(LinuxLinkControlTest, CountsPacketsThatTheKernelDropped) {
  ASSERT_EQ(std::system("ip addr add 10.0.0.1/24 dev va &&"
                        "ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev va "
                        "&& ip link set vb mtu 600"),
            0);
  EXPECT_EQ(links_->TransmitDrops(va_), 0U);
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ASSERT_GE(fd, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(9);
  ASSERT_EQ(inet_pton(AF_INET, "10.0.0.2", &to.sin_addr), 1);
  const std::array<char, 1000> more_than_the_peer_takes{};
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(sendto(fd, more_than_the_peer_takes.data(),
                     more_than_the_peer_takes.size(), 0,
                     reinterpret_cast<const sockaddr*>(&to), sizeof(to)),
              static_cast<ssize_t>(more_than_the_peer_takes.size()));
  }
  close(fd);
  EXPECT_EQ(links_->TransmitDrops(va_), 3U);
  EXPECT_EQ(links_->TransmitDrops(0x7ffffff0), 0U) << "no such interface";
}

TEST_F(LinuxLinkControlTest, ExplainsDisabledIpv6) {
  ASSERT_EQ(std::system("echo 1 > "
                        "/proc/sys/net/ipv6/conf/va/disable_ipv6"),
            0);
  const absl::Status status = links_->AddAddress(va_, Prefix("fd00::1/64"));
  EXPECT_EQ(GetReason(status), Reason::kNetlinkError);
  EXPECT_NE(status.message().find("disable_ipv6"), absl::string_view::npos)
      << status;
}

TEST_F(LinuxLinkControlTest, FindsInterfacesByName) {
  EXPECT_EQ(links_->IndexOf("va"), va_);
  EXPECT_EQ(links_->IndexOf("nothing"), 0U);
  EXPECT_EQ(links_->IndexOf(""), 0U);
  EXPECT_EQ(links_->IndexOf("a-name-that-is-too-long"), 0U);
}

TEST_F(LinuxLinkControlTest, LooksUpRoutesWithTheirMtu) {
  Ip("addr add 10.0.0.1/24 dev va");
  Ip("addr add fd00::1/64 dev va nodad");
  Ip("route add 10.5.0.0/16 via 10.0.0.2 mtu 1300");
  Ip("route add unreachable 10.6.0.0/16");
  Ip("-6 route add fd05::/16 via fd00::2 mtu 1350");
  ASSERT_TRUE(links_->SetMtu(va_, 1450).ok());
  const auto mtu = [this](const char* remote, const char* local) {
    const auto route = links_->RouteTo(Address(remote), Address(local), 0, 0);
    EXPECT_TRUE(route.ok()) << remote << ": " << route.status();
    if (!route.ok()) return uint32_t{0};
    EXPECT_EQ(route->device, "va");
    EXPECT_EQ(route->ifindex, va_);
    return route->mtu;
  };
  EXPECT_EQ(mtu("10.0.0.9", "10.0.0.1"), 1450U);
  EXPECT_EQ(mtu("10.5.0.9", "10.0.0.1"), 1300U);
  EXPECT_EQ(mtu("10.5.0.9", "0.0.0.0"), 1300U);
  EXPECT_EQ(mtu("fd00::9", "fd00::1"), 1450U);
  EXPECT_EQ(mtu("fd05::9", "::"), 1350U);
  for (const char* remote : {"10.6.0.1", "99.0.0.1", "fd99::1"}) {
    const auto route = links_->RouteTo(Address(remote), {}, 0, 0);
    EXPECT_EQ(route.status().code(), absl::StatusCode::kNotFound) << remote;
    EXPECT_FALSE(GetReason(route.status()).has_value());
  }
  const auto foreign =
      links_->RouteTo(Address("10.5.0.9"), Address("192.0.2.1"), 0, 0);
  EXPECT_EQ(foreign.status().code(), absl::StatusCode::kNotFound);
}

TEST_F(LinuxLinkControlTest, LooksUpRoutesByMarkSourceAndInterface) {
  MakeVeth("vc", "vd");
  const uint32_t vc = IfIndex("vc");
  Ip("addr add 10.0.0.1/24 dev va");
  Ip("addr add 10.1.0.1/24 dev vc");
  Ip("route add 10.5.0.0/16 via 10.0.0.2");
  Ip("route add 10.5.0.0/16 via 10.1.0.2 table 7");
  Ip("rule add fwmark 5 table 7");
  Ip("addr add 10.9.9.9/32 dev lo");
  Ip("rule add from 10.9.9.9 table 7");
  const IpAddress remote = Address("10.5.0.9");
  EXPECT_EQ(links_->RouteTo(remote, {}, 0, 0)->ifindex, va_);
  EXPECT_EQ(links_->RouteTo(remote, {}, 0, 5)->ifindex, vc);
  EXPECT_EQ(links_->RouteTo(remote, Address("10.9.9.9"), 0, 0)->ifindex, vc);
  EXPECT_EQ(links_->RouteTo(remote, {}, vc, 0)->ifindex, vc);
  Ip("addr add fd00::1/64 dev va nodad");
  Ip("addr add fd01::1/64 dev vc nodad");
  Ip("-6 route add fd05::/16 dev va metric 1");
  Ip("-6 route add fd05::/16 dev vc metric 4000");
  EXPECT_EQ(
      links_->RouteTo(Address("fd05::9"), Address("fd00::1"), 0, 0)->ifindex,
      va_);
  EXPECT_EQ(
      links_->RouteTo(Address("fd05::9"), Address("fd00::1"), vc, 0)->ifindex,
      vc);
  EXPECT_EQ(links_->RouteTo(remote, {}, 9999, 0).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(LinuxLinkControlTest, MonitorSeesAddressesLinksAndRoutes) {
  ASSERT_TRUE(
      links_
          ->StartMonitor([this](const LinkEvent& event) { events_.Add(event); })
          .ok());
  EXPECT_EQ(GetReason(links_->StartMonitor([](const LinkEvent&) {})),
            Reason::kInvalidState);
  EXPECT_TRUE(links_->IsLocalAddress(Address("127.0.0.1")));
  for (const char* text : {"10.0.0.1/24", "fd00::1/64"}) {
    const IpPrefix prefix = Prefix(text);
    const auto about = [&](bool removed) {
      return [&, removed](const LinkEvent& event) {
        return event.kind == LinkEvent::Kind::kAddress &&
               event.address == prefix.address && event.ifindex == va_ &&
               event.removed == removed;
      };
    };
    EXPECT_FALSE(links_->IsLocalAddress(prefix.address));
    ASSERT_TRUE(links_->AddAddress(va_, prefix).ok());
    ASSERT_TRUE(events_.WaitFor(about(false))) << text;
    EXPECT_TRUE(links_->IsLocalAddress(prefix.address)) << text;
    ASSERT_TRUE(links_->DeleteAddress(va_, prefix).ok());
    ASSERT_TRUE(events_.WaitFor(about(true))) << text;
    EXPECT_FALSE(links_->IsLocalAddress(prefix.address)) << text;
  }
  EXPECT_TRUE(events_.WaitFor([](const LinkEvent& event) {
    return event.kind == LinkEvent::Kind::kRoute;
  }));
  Ip("link del va");
  EXPECT_TRUE(events_.WaitFor([this](const LinkEvent& event) {
    return event.kind == LinkEvent::Kind::kLink && event.ifindex == va_ &&
           event.removed;
  }));
  links_->StopMonitor();
  links_->StopMonitor();
}

TEST_F(LinuxLinkControlTest, MonitorRecoversFromLostEvents) {
  // The first event holds the monitor up until the receive buffer has run over.
  {
    const MutexLock hold(gate_);
    ASSERT_TRUE(links_
                    ->StartMonitor([&](const LinkEvent& event) {
                      MutexLock wait(gate_);
                      events_.Add(event);
                    })
                    .ok());
    Ip("addr add 10.7.0.1/32 dev va");
    // Each flip of the MTU sends a link message of more than a kilobyte.
    for (uint32_t i = 0; i < 12000; ++i) {
      ASSERT_TRUE(links_->SetMtu(va_, 1400 + i % 2).ok());
    }
    Ip("addr add 10.7.0.2/32 dev va");
  }
  EXPECT_TRUE(events_.WaitFor([](const LinkEvent& event) {
    return event.kind == LinkEvent::Kind::kResync;
  }));
  EXPECT_TRUE(links_->IsLocalAddress(Address("10.7.0.2")));
}

TEST_F(LinuxLinkControlTest, SameAddressWithTwoPrefixesStaysLocal) {
  ASSERT_TRUE(links_->StartMonitor([](const LinkEvent&) {}).ok());
  links_->StopMonitor();
  ASSERT_TRUE(
      links_
          ->StartMonitor([this](const LinkEvent& event) { events_.Add(event); })
          .ok());
  ASSERT_TRUE(links_->AddAddress(va_, Prefix("10.0.0.1/24")).ok());
  ASSERT_TRUE(links_->AddAddress(va_, Prefix("10.0.0.1/30")).ok());
  ASSERT_TRUE(links_->DeleteAddress(va_, Prefix("10.0.0.1/24")).ok());
  ASSERT_TRUE(events_.WaitFor([](const LinkEvent& event) {
    return event.kind == LinkEvent::Kind::kAddress && event.removed;
  }));
  EXPECT_TRUE(links_->IsLocalAddress(Address("10.0.0.1")));
}

}  // namespace
}  // namespace tunnel
