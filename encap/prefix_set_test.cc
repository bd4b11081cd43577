#include "encap/prefix_set.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Addr;

PrefixSet Set(std::initializer_list<std::string_view> texts) {
  std::vector<IpPrefix> prefixes;
  for (const std::string_view text : texts) {
    prefixes.push_back(*IpPrefix::Parse(text));
  }
  return PrefixSet(prefixes);
}

TEST(PrefixSetTest, EmptyContainsNothing) {
  const PrefixSet set;
  EXPECT_TRUE(set.empty());
  EXPECT_FALSE(set.Contains(Addr("10.0.0.1")));
  EXPECT_FALSE(set.Contains(Addr("fd00::1")));
  EXPECT_FALSE(set.Contains(IpAddress()));
}

TEST(PrefixSetTest, EdgesOfAPrefixAreInside) {
  const PrefixSet set = Set({"10.1.2.3/22", "fd00:1::/31", "2001:db8::8/125"});
  EXPECT_FALSE(set.empty());
  for (const char* in : {"10.1.0.0", "10.1.3.255", "fd00::", "2001:db8::f",
                         "fd00:1:ffff:ffff:ffff:ffff:ffff:ffff"}) {
    EXPECT_TRUE(set.Contains(Addr(in))) << in;
  }
  for (const char* out : {"10.0.255.255", "10.1.4.0", "fd00:2::", "2001:db8::7",
                          "2001:db8::10"}) {
    EXPECT_FALSE(set.Contains(Addr(out))) << out;
  }
}

TEST(PrefixSetTest, FamiliesAreApart) {
  EXPECT_FALSE(Set({"0.0.0.0/0"}).Contains(Addr("::")));
  EXPECT_TRUE(Set({"0.0.0.0/0"}).Contains(Addr("255.255.255.255")));
  EXPECT_FALSE(Set({"::/0"}).Contains(Addr("0.0.0.0")));
  EXPECT_TRUE(
      Set({"::/0"}).Contains(Addr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")));
}

TEST(PrefixSetTest, NestedPrefixesAreOne) {
  const PrefixSet set =
      Set({"10.1.2.0/24", "10.0.0.0/8", "10.200.0.0/16", "11.0.0.1/32"});
  EXPECT_TRUE(set.Contains(Addr("10.250.0.1")));
  EXPECT_TRUE(set.Contains(Addr("10.1.2.3")));
  EXPECT_TRUE(set.Contains(Addr("11.0.0.1")));
  EXPECT_FALSE(set.Contains(Addr("11.0.0.2")));
}

// Against the plain definition, bit by bit.
bool Covers(const IpPrefix& prefix, const IpAddress& address) {
  if (prefix.address.family() != address.family()) return false;
  for (unsigned bit = 0; bit < prefix.length; ++bit) {
    const uint8_t difference =
        prefix.address.bytes()[bit / 8] ^ address.bytes()[bit / 8];
    if (difference >> (7 - bit % 8) & 1) return false;
  }
  return true;
}

IpAddress AnyAddress(IpFamily family) {
  // Few values in each byte, so that prefixes meet addresses.
  std::array<uint8_t, 16> bytes;
  for (uint8_t& byte : bytes) byte = *rc::gen::element<uint8_t>(0, 1, 128, 255);
  return family == IpFamily::kV4 ? IpAddress::V4(bytes.data())
                                 : IpAddress::V6(bytes.data());
}

RC_GTEST_PROP(PrefixSetTest, AgreesWithThePlainDefinition, ()) {
  std::vector<IpPrefix> prefixes;
  for (int i = *rc::gen::inRange(0, 12); i > 0; --i) {
    const IpFamily family = *rc::gen::element(IpFamily::kV4, IpFamily::kV6);
    const int bits = family == IpFamily::kV4 ? 32 : 128;
    prefixes.push_back({AnyAddress(family),
                        static_cast<uint8_t>(*rc::gen::inRange(0, bits + 1))});
  }
  const PrefixSet set{std::span<const IpPrefix>(prefixes)};
  for (int i = 0; i < 20; ++i) {
    const IpAddress address =
        AnyAddress(*rc::gen::element(IpFamily::kV4, IpFamily::kV6));
    bool covered = false;
    for (const IpPrefix& prefix : prefixes) covered |= Covers(prefix, address);
    RC_ASSERT(set.Contains(address) == covered);
  }
}

}  // namespace
}  // namespace encap
