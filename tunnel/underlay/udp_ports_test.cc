// UDP ports of the transports: what comes in, and what the kernel and other
// programs see meanwhile.

#include <arpa/inet.h>
#include <sys/socket.h>

#include <string>

#include "encap/bytes.h"
#include "gtest/gtest.h"
#include "tunnel/base/error.h"
#include "tunnel/underlay/linux_transport_for_test.h"

namespace tunnel {
namespace {

using encap::DropReason;
using encap::IpFamily;

constexpr UdpReceivePort kV4{IpFamily::kV4, 4754};
constexpr UdpReceivePort kV6{IpFamily::kV6, 4754};

// UDP without a checksum in front of GRE.
Bytes InUdp(uint16_t port) {
  const Bytes gre = GreWithKey(1);
  Bytes bytes(8);
  encap::Put16(&bytes[0], 50000);
  encap::Put16(&bytes[2], port);
  encap::Put16(&bytes[4], static_cast<uint16_t>(8 + gre.size()));
  bytes.insert(bytes.end(), gre.begin(), gre.end());
  return bytes;
}

Bytes Behind(const Bytes& header, const Bytes& payload) {
  Bytes bytes = header;
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  return bytes;
}

class UdpPortsTest : public LinuxTransportTest {
 protected:
  size_t Arrive(const std::string& address, uint8_t protocol,
                const Bytes& payload, size_t expected) {
    EXPECT_EQ(SendTo(address, Outer(address, address, protocol, payload)),
              DropReason::kNone);
    return Receive(expected).size();
  }
};

TEST_F(UdpPortsTest, PacketsComeWhileThePortIsTaken) {
  Open(2);
  EXPECT_EQ(Arrive("127.0.0.1", 17, InUdp(4754), 0), 0U);
  ASSERT_TRUE(factory_.TakeUdpPort(kV4).ok());
  ASSERT_TRUE(factory_.TakeUdpPort(kV4).ok()) << "a second use";
  EXPECT_EQ(Arrive("127.0.0.1", 17, InUdp(4754), 1), 1U);
  EXPECT_EQ(Arrive("127.0.0.1", 17, InUdp(4755), 0), 0U);
  EXPECT_EQ(Arrive("::1", 17, InUdp(4754), 0), 0U) << "the other version";
  EXPECT_EQ(Arrive("127.0.0.1", 47, GreWithKey(1), 1), 1U);
  factory_.DropUdpPort(kV4);
  EXPECT_EQ(Arrive("127.0.0.1", 17, InUdp(4754), 1), 1U);
  factory_.DropUdpPort(kV4);
  EXPECT_EQ(Arrive("127.0.0.1", 17, InUdp(4754), 0), 0U);
}

TEST_F(UdpPortsTest, FilterFindsUdpBehindOneIpv6ExtensionHeader) {
  Open(1);
  ASSERT_TRUE(factory_.TakeUdpPort(kV6).ok());
  const Bytes udp = InUdp(4754);
  const Bytes other = InUdp(53);
  const Bytes option = {17, 0, 1, 4, 0, 0, 0, 0};
  Bytes longer = {17, 1, 1, 12};
  longer.resize(16);
  const Bytes fragment = {17, 0, 0, 1, 0, 0, 0, 7};
  const Bytes later = {17, 0, 0, 9, 0, 0, 0, 7};  // 8 bytes from the start
  EXPECT_EQ(Arrive("::1", 17, udp, 1), 1U);
  EXPECT_EQ(Arrive("::1", 60, Behind(option, udp), 1), 1U);
  EXPECT_EQ(Arrive("::1", 60, Behind(longer, udp), 1), 1U);
  EXPECT_EQ(Arrive("::1", 44, Behind(fragment, udp), 1), 1U);
  EXPECT_EQ(Arrive("::1", 17, other, 0), 0U);
  EXPECT_EQ(Arrive("::1", 60, Behind(option, other), 0), 0U);
  // Only the first one names the port.
  EXPECT_EQ(Arrive("::1", 44, Behind(later, other), 1), 1U);
  factory_.DropUdpPort(kV6);
  EXPECT_EQ(Arrive("::1", 44, Behind(later, other), 0), 0U);
}

TEST_F(UdpPortsTest, TheKernelDoesNotAnswerForAPortThatIsTaken) {
  Open(1);
  const auto answers = [] {
    return Snmp("Icmp", "OutDestUnreachs") + Snmp6("Icmp6OutDestUnreachs");
  };
  ASSERT_TRUE(factory_.TakeUdpPort(kV4).ok());
  const uint64_t before = answers();
  EXPECT_EQ(Arrive("127.0.0.1", 17, InUdp(4754), 1), 1U);
  EXPECT_EQ(answers(), before);
  EXPECT_EQ(Arrive("127.0.0.1", 17, InUdp(4755), 0), 0U);
  EXPECT_GT(answers(), before) << "nobody listens there";
}

TEST_F(UdpPortsTest, APortOfAnotherProgramIsRefusedByName) {
  Open(1);
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ASSERT_GE(fd, 0);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = htons(4754);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&any), sizeof(any)), 0);
  const absl::Status status = factory_.TakeUdpPort(kV4);
  EXPECT_EQ(GetReason(status), Reason::kUdpPortInUse);
  EXPECT_NE(status.message().find("udp port 4754 over IPv4"),
            absl::string_view::npos)
      << status;
  EXPECT_TRUE(factory_.TakeUdpPort(kV6).ok());
  close(fd);
  EXPECT_TRUE(factory_.TakeUdpPort(kV4).ok());
}

TEST_F(UdpPortsTest, EveryPortOfALongListIsFound) {
  Open(1);
  constexpr uint16_t kFirst = 20000;
  const uint16_t last = kFirst + UdpPorts::kMaxPorts - 1;
  for (uint16_t port = kFirst; port <= last; ++port)
    ASSERT_TRUE(factory_.TakeUdpPort({IpFamily::kV4, port}).ok()) << port;
  EXPECT_EQ(GetReason(factory_.TakeUdpPort(kV4)), Reason::kUdpPortLimit);
  EXPECT_TRUE(factory_.TakeUdpPort({IpFamily::kV4, last}).ok()) << "is in use";
  EXPECT_EQ(Arrive("127.0.0.1", 17, InUdp(kFirst), 1), 1U);
  EXPECT_EQ(Arrive("127.0.0.1", 17, InUdp(last), 1), 1U);
  EXPECT_EQ(Arrive("127.0.0.1", 17, InUdp(last + 1), 0), 0U);
}

}  // namespace
}  // namespace tunnel
