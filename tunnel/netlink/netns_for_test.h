// NetnsTest: each test in a network namespace of its own, which goes away with
// the test. For tests that need the kernel.

#ifndef TUNNEL_NETLINK_NETNS_FOR_TEST_H_
#define TUNNEL_NETLINK_NETNS_FOR_TEST_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace tunnel {

// Without root the test is skipped; with CI=true in the environment it fails.
class NetnsTest : public ::testing::Test {
 protected:
  void SetUp() override;

  // Runs "ip ARGUMENTS" of iproute2 in the namespace.
  static void Ip(const std::string& arguments);
  // Runs nft of nftables there with `commands` ("add table ip t").
  static void Nft(const std::string& commands);
  // Runs a command line of sh there.
  static void Shell(const std::string& command);
  static uint32_t IfIndex(const std::string& device);
  // A veth pair, both ends up and without GRO or offloads set.
  static void MakeVeth(const std::string& one, const std::string& other);
  static std::string MacOf(const std::string& device);
  // The number behind `name` in a file of /proc/net ("snmp6", "Ip6InReceives")
  // or in the two-line tables of "snmp" ("Icmp", "OutDestUnreachs").
  static uint64_t Snmp(const std::string& group, const std::string& name);
  static uint64_t Snmp6(const std::string& name);
};

}  // namespace tunnel

#endif  // TUNNEL_NETLINK_NETNS_FOR_TEST_H_
