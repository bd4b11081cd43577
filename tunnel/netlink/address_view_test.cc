#include "tunnel/netlink/address_view.h"

#include "gtest/gtest.h"

namespace tunnel {
namespace {

using encap::IpAddress;
using encap::IpFamily;

LocalAddress Make(const char* prefix, uint32_t ifindex = 1) {
  LocalAddress address;
  address.ifindex = ifindex;
  address.prefix = *encap::IpPrefix::Parse(prefix);
  address.usable = address.global = true;
  return address;
}

std::string First(const AddressView& view, IpFamily family = IpFamily::kV4,
                  uint32_t ifindex = 1) {
  return view.First(ifindex, family).ToString();
}

TEST(AddressViewTest, TakesTheOldestGlobalAddressOfTheFamily) {
  AddressView view;
  EXPECT_EQ(First(view), "");
  LocalAddress local = Make("169.254.1.1/16");
  local.global = false;
  LocalAddress waiting = Make("10.0.0.9/24");
  waiting.usable = false;
  view.Set(local);
  view.Set(waiting);
  view.Set(Make("fd00::1/64"));
  EXPECT_EQ(First(view), "");
  view.Set(Make("10.0.0.2/24"));
  view.Set(Make("10.0.0.1/24"));
  EXPECT_EQ(First(view), "10.0.0.2");
  EXPECT_EQ(First(view, IpFamily::kV6), "fd00::1");
  EXPECT_EQ(First(view, IpFamily::kV4, 2), "");
  view.Set(Make("10.0.0.9/24"));  // its detection has ended: it came first
  EXPECT_EQ(First(view), "10.0.0.9");
}

TEST(AddressViewTest, PrefersWhatIsNotDeprecatedThenPrimary) {
  AddressView view;
  LocalAddress old = Make("10.0.0.1/24");
  LocalAddress second = Make("10.0.0.2/24");
  second.secondary = true;
  view.Set(old);
  view.Set(second);
  EXPECT_EQ(First(view), "10.0.0.1");
  old.deprecated = true;
  view.Set(old);
  EXPECT_EQ(First(view), "10.0.0.2");
  view.Remove(second);
  EXPECT_EQ(First(view), "10.0.0.1");
}

TEST(AddressViewTest, CountsAnAddressOnEachPlace) {
  AddressView view;
  const IpAddress address = *IpAddress::Parse("10.0.0.1");
  view.Set(Make("10.0.0.1/24"));
  view.Set(Make("10.0.0.1/30"));
  view.Set(Make("10.0.0.1/24", 2));
  view.Set(Make("10.0.0.1/24", 2));
  view.Remove(Make("10.0.0.1/24"));
  EXPECT_TRUE(view.Has(address));
  view.Remove(Make("10.0.0.1/30"));
  EXPECT_TRUE(view.Has(address));
  LocalAddress failed = Make("10.0.0.1/24", 2);
  failed.usable = false;
  view.Set(failed);
  EXPECT_FALSE(view.Has(address));
  view.Set(Make("10.0.0.1/24", 2));
  view.RemoveInterface(2);
  EXPECT_FALSE(view.Has(address));
  view.Remove(Make("10.0.0.1/24"));
  view.RemoveInterface(2);
}

TEST(AddressViewTest, ResetKeepsTheOrderOfWhatIsKnown) {
  AddressView view;
  view.Reset({Make("10.0.0.1/24"), Make("10.0.0.2/24"), Make("fd00::2/64"),
              Make("fd00::1/64")});
  EXPECT_EQ(First(view), "10.0.0.1");
  EXPECT_EQ(First(view, IpFamily::kV6), "fd00::1");
  // As the kernel lists them after a third has come and the first has gone.
  view.Reset({Make("10.0.0.3/24"), Make("10.0.0.2/24"), Make("fd00::3/64"),
              Make("fd00::2/64")});
  EXPECT_EQ(First(view), "10.0.0.2");
  EXPECT_EQ(First(view, IpFamily::kV6), "fd00::2");
  EXPECT_FALSE(view.Has(*IpAddress::Parse("10.0.0.1")));
  EXPECT_TRUE(view.Has(*IpAddress::Parse("10.0.0.3")));
}

}  // namespace
}  // namespace tunnel
