#include "tunnel/netlink/monitor.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tunnel/netlink/link.h"
#include "tunnel/netlink/netlink_socket.h"
#include "tunnel/netlink/netns_for_test.h"
#include "tunnel/sync/mutex.h"

namespace tunnel {
namespace {

using encap::IpAddress;
using encap::IpFamily;
using Kind = LinkEvent::Kind;

constexpr int kRoutes = 10000;

IpAddress Address(const char* text) { return IpAddress::Parse(text).value(); }

// Holds the monitor up while closed, and collects what it says.
class Gate {
 public:
  void Add(const LinkEvent& event) {
    MutexLock lock(mu_);
    held_ = closed_;
    changed_.NotifyAll();
    while (closed_) changed_.Wait(mu_);
    events_.push_back(event);
    changed_.NotifyAll();
  }
  void Close() {
    MutexLock lock(mu_);
    closed_ = true;
  }
  void Open() {
    MutexLock lock(mu_);
    closed_ = held_ = false;
    events_.clear();
    changed_.NotifyAll();
  }
  // Until the monitor stands before the closed gate.
  void WaitUntilHeld() {
    MutexLock lock(mu_);
    while (!held_) changed_.Wait(mu_);
  }
  template <typename F>
  bool WaitFor(F matches) {
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::seconds(20);
    MutexLock lock(mu_);
    for (size_t seen = 0;;) {
      for (; seen < events_.size(); ++seen) {
        if (matches(events_[seen])) return true;
      }
      if (!changed_.WaitUntil(mu_, deadline)) return false;
    }
  }

 private:
  Mutex mu_;
  CondVar changed_;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  bool held_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<LinkEvent> events_ ABSL_GUARDED_BY(mu_);
};

class MonitorTest : public NetnsTest {
 protected:
  void SetUp() override {
    NetnsTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    MakeVeth("va", "vb");
    va_ = IfIndex("va");
  }
  void Start(int receive_buffer = LinkMonitor::kReceiveBuffer) {
    monitor_ =
        LinkMonitor::Start([this](const LinkEvent& event) { gate_.Add(event); },
                           receive_buffer)
            .value();
  }
  std::string First(IpFamily family) {
    return monitor_->First(va_, family).ToString();
  }
  bool SeesFirst(IpFamily family, const std::string& wanted) {
    return First(family) == wanted || gate_.WaitFor([&](const LinkEvent&) {
      return First(family) == wanted;
    });
  }

  uint32_t va_ = 0;
  Gate gate_;
  std::unique_ptr<LinkMonitor> monitor_;
};

// A batch file for ip(8), removed with the object.
class Batch {
 public:
  explicit Batch(const std::string& name)
      : path_(testing::TempDir() + "/" + name), out_(path_) {}
  ~Batch() { std::remove(path_.c_str()); }
  std::ofstream& out() { return out_; }
  std::string Close() {
    out_.close();
    return "-batch " + path_;
  }

 private:
  const std::string path_;
  std::ofstream out_;
};

std::string RouteNumber(int i) {
  return "10." + std::to_string(100 + i / 250) + "." + std::to_string(i % 250) +
         ".0/24";
}

TEST_F(MonitorTest, LostEventsAreMadeGoodAmongTenThousandRoutes) {
  Ip("addr add 10.0.0.1/24 dev va");
  Batch routes("routes");
  for (int i = 0; i < kRoutes; ++i)
    routes.out() << "route add " << RouteNumber(i) << " via 10.0.0.2\n";
  Start(16 << 10);
  gate_.Close();
  Ip("addr add 10.7.0.1/32 dev va");
  gate_.WaitUntilHeld();
  Ip(routes.Close());
  Ip("addr add 10.7.0.2/32 dev va");
  Ip("addr del 10.7.0.1/32 dev va");
  const auto begin = std::chrono::steady_clock::now();
  gate_.Open();
  EXPECT_TRUE(gate_.WaitFor(
      [](const LinkEvent& event) { return event.kind == Kind::kResync; }));
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_TRUE(monitor_->Has(Address("10.7.0.2")));
  EXPECT_FALSE(monitor_->Has(Address("10.7.0.1")));
  const double ms = std::chrono::duration<double, std::milli>(took).count();
  RecordProperty("resync_ms", std::to_string(ms));
  std::printf("resync with %d routes: %.1f ms\n", kRoutes, ms);
}

TEST_F(MonitorTest, RouteEventsSayWhereTheRouteLeads) {
  Ip("addr add 10.0.0.1/24 dev va");
  Ip("addr add fd00::1/64 dev va nodad");
  Start();
  const auto sees = [&](const char* prefix) {
    return gate_.WaitFor([&](const LinkEvent& event) {
      return event.kind == Kind::kRoute &&
             event.destination == encap::IpPrefix::Parse(prefix);
    });
  };
  Ip("route add 10.5.0.0/16 via 10.0.0.2");
  EXPECT_TRUE(sees("10.5.0.0/16"));
  Ip("route add default via 10.0.0.2");
  EXPECT_TRUE(sees("0.0.0.0/0"));
  Ip("-6 route add fd05::/16 via fd00::2");
  EXPECT_TRUE(sees("fd05::/16"));
  Ip("-6 route add default via fd00::2");
  EXPECT_TRUE(sees("::/0"));
}

TEST_F(MonitorTest, RuleMayLeadAnywhere) {
  for (const std::string family : {"", "-6 "}) {
    for (const std::string verb : {"add", "del"}) {
      gate_.Open();
      if (monitor_ == nullptr) Start();
      Ip(family + "rule " + verb + " fwmark 9 table 7");
      EXPECT_TRUE(gate_.WaitFor([](const LinkEvent& event) {
        return event.kind == Kind::kRoute && !event.destination;
      })) << family
          << verb;
    }
  }
}

TEST_F(MonitorTest, ManyRoutesBecomeOneEvent) {
  Ip("addr add 10.0.0.1/24 dev va");
  Batch routes("many");
  for (int i = 0; i < 300; ++i)
    routes.out() << "route add " << RouteNumber(i) << " via 10.0.0.2\n";
  Start();
  gate_.Close();
  Ip("addr add 10.7.0.1/32 dev va");
  gate_.WaitUntilHeld();
  Ip(routes.Close());
  gate_.Open();
  EXPECT_TRUE(gate_.WaitFor([](const LinkEvent& event) {
    return event.kind == Kind::kRoute && !event.destination;
  }));
}

TEST_F(MonitorTest, FollowsTheFirstGlobalAddress) {
  Ip("addr add 10.0.0.1/24 dev va");
  Ip("addr add 10.0.0.2/24 dev va");
  Ip("addr add fd00::1/64 dev va nodad");
  Ip("addr add fd00::2/64 dev va nodad");
  Start();
  EXPECT_EQ(First(IpFamily::kV4), "10.0.0.1");
  EXPECT_EQ(First(IpFamily::kV6), "fd00::1");
  Ip("addr add fd00::3/64 dev va nodad");
  Ip("addr del fd00::1/64 dev va");
  EXPECT_TRUE(SeesFirst(IpFamily::kV6, "fd00::2"));
  Ip("addr change fd00::2/64 dev va valid_lft 1000 preferred_lft 0");
  EXPECT_TRUE(SeesFirst(IpFamily::kV6, "fd00::3"));
  // Takes its secondary address along.
  Ip("addr del 10.0.0.1/24 dev va");
  EXPECT_TRUE(SeesFirst(IpFamily::kV4, ""));
  EXPECT_FALSE(monitor_->Has(Address("10.0.0.2")));
}

TEST_F(MonitorTest, SeesAPromotedAddress) {
  ASSERT_EQ(std::system("echo 1 > "
                        "/proc/sys/net/ipv4/conf/va/promote_secondaries"),
            0);
  Ip("addr add 10.0.0.1/24 dev va");
  Ip("addr add 10.0.0.2/24 dev va");
  Start();
  Ip("addr del 10.0.0.1/24 dev va");
  EXPECT_TRUE(SeesFirst(IpFamily::kV4, "10.0.0.2"));
  EXPECT_TRUE(monitor_->Has(Address("10.0.0.2")));
}

TEST_F(MonitorTest, SocketIsOpenedAnewWhenAnswersDoNotMatch) {
  NetlinkSocket socket = NetlinkSocket::Open().value();
  // An answer that nobody waits for: to the next request it is a foreign one.
  struct {
    nlmsghdr header;
    ifinfomsg body;
  } stray{};
  stray.header.nlmsg_len = sizeof(stray);
  stray.header.nlmsg_type = RTM_GETLINK;
  stray.header.nlmsg_flags = NLM_F_REQUEST;
  stray.header.nlmsg_seq = 1;
  stray.body.ifi_index = 1;
  ASSERT_EQ(send(socket.fd(), &stray, sizeof(stray), 0), sizeof(stray));
  const auto link = GetLink(socket, "va");
  ASSERT_TRUE(link.ok()) << link.status();
  EXPECT_EQ(link->ifindex, va_);
  EXPECT_EQ(GetLink(socket, "lo")->ifindex, 1U);
}

}  // namespace
}  // namespace tunnel
