#include "tunnel/rewire/link_changes.h"

#include <cstdlib>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tunnel/netlink/linux_link_control.h"
#include "tunnel/netlink/netns_for_test.h"

namespace tunnel {
namespace {

using Prefixes = std::vector<encap::IpPrefix>;

Prefixes List(const std::vector<const char*>& texts) {
  Prefixes list;
  for (const char* text : texts) list.push_back(*encap::IpPrefix::Parse(text));
  return list;
}

class LinkChangesTest : public NetnsTest {
 protected:
  void SetUp() override {
    NetnsTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    MakeVeth("va", "vb");
    va_ = IfIndex("va");
    links_ = LinuxLinkControl::Create().value();
  }

  void Change(const Prefixes& from, const Prefixes& to, bool keep) {
    LinkChanges changes(*links_, va_);
    ASSERT_TRUE(changes.SetAddresses(from, to).ok());
    if (keep) changes.Keep();
  }

  // In the order of the kernel: primary addresses first.
  std::vector<std::string> Addresses() {
    std::vector<std::string> list;
    const LinkSettings settings = *links_->Inspect(va_);
    for (const auto& address : settings.addresses)
      list.push_back(address.prefix.ToString());
    return list;
  }

  uint32_t va_ = 0;
  std::unique_ptr<LinuxLinkControl> links_;
};

TEST_F(LinkChangesTest, SecondaryAddressesOutliveTheirPrimaryOne) {
  for (const char* promote : {"0", "1"}) {
    const std::string command = std::string("echo ") + promote +
                                " > /proc/sys/net/ipv4/conf/va/promote_"
                                "secondaries";
    ASSERT_EQ(std::system(command.c_str()), 0);
    const Prefixes first = List({"10.0.0.1/24", "10.0.0.2/24", "10.1.0.1/24"});
    const Prefixes second = List({"10.0.0.2/24", "10.0.0.3/24", "10.1.0.1/24"});
    Change({}, first, true);
    Change(first, second, true);
    const std::vector<std::string> wanted = {"10.1.0.1/24", "10.0.0.2/24",
                                             "10.0.0.3/24"};
    EXPECT_EQ(std::multiset<std::string>(wanted.begin(), wanted.end()),
              [&] {
                const auto now = Addresses();
                return std::multiset<std::string>(now.begin(), now.end());
              }())
        << "promote_secondaries " << promote;
    Change(second, {}, true);
    EXPECT_TRUE(Addresses().empty());
  }
}

TEST_F(LinkChangesTest, TheWayBackLeavesAddressesAndRoutesInPlace) {
  const Prefixes first = List({"10.0.0.1/24", "10.0.0.2/24", "fd00::1/64"});
  Change({}, first, true);
  Ip("route add 10.5.0.0/16 dev va src 10.0.0.1");
  const std::vector<std::string> before = Addresses();
  Change(first, List({"10.0.0.2/24", "10.0.0.3/24", "10.7.0.1/24"}), false);
  EXPECT_EQ(Addresses(), before);  // the primary one is still the first
  EXPECT_EQ(std::system("ip route show 10.5.0.0/16 | grep -q 'src 10.0.0.1'"),
            0);
}

}  // namespace
}  // namespace tunnel
