#include "tunnel/tun/linux_tun.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <vector>

#include "gtest/gtest.h"
#include "tunnel/base/error.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/netlink/netns_for_test.h"

namespace tunnel {
namespace {

// UDP 10.9.0.2:1000 -> 10.9.0.1:2000, "hello", checksum absent.
std::vector<uint8_t> UdpToHost() {
  return {0x45, 0,    0, 33, 0, 0,  0x40, 0,   64,  17,   0x26,
          0xb8, 10,   9, 0,  2, 10, 9,    0,   1,   0x03, 0xe8,
          0x07, 0xd0, 0, 13, 0, 0,  'h',  'e', 'l', 'l',  'o'};
}

struct Slot {
  std::array<uint8_t, 4096> storage{};
  encap::PacketBuffer buffer{storage, 128, storage.size() - 128};
};

UniqueFd UdpSocket(const char* address, uint16_t port) {
  UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(port);
  inet_pton(AF_INET, address, &name.sin_addr);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)),
            0);
  return fd;
}

bool WaitReadable(int fd) {
  pollfd p{fd, POLLIN, 0};
  return poll(&p, 1, 2000) == 1;
}

TEST(LinuxTunErrorTest, SaysWhatToDoWithoutTheNode) {
  LinuxTunFactory factory({.path = "/nonexistent/tun"});
  const absl::Status status = factory.Open({.name = "t0"}).status();
  EXPECT_EQ(GetReason(status), Reason::kTunUnavailable);
  EXPECT_NE(status.message().find("modprobe tun"), absl::string_view::npos);
  EXPECT_EQ(GetErrorDetail(status)->metadata.at("path"), "/nonexistent/tun");
}

TEST(LinuxTunErrorTest, MapsEachErrno) {
  EXPECT_EQ(GetReason(TunNodeError(EACCES, "p")), Reason::kTunUnavailable);
  EXPECT_EQ(GetReason(TunNodeError(ENODEV, "p")), Reason::kTunUnavailable);
  EXPECT_EQ(GetReason(TunNodeError(EMFILE, "p")), Reason::kFdLimit);
  const absl::Status capability = TunAttachError(EPERM, "t0", 0);
  EXPECT_EQ(GetReason(capability), Reason::kMissingCapability);
  EXPECT_EQ(GetErrorDetail(capability)->metadata.at("capability"),
            "CAP_NET_ADMIN");
  for (const int error : {EBUSY, EEXIST}) {
    const absl::Status taken = TunAttachError(error, "t0", 0);
    EXPECT_EQ(GetReason(taken), Reason::kNameInUse);
    EXPECT_EQ(GetErrorDetail(taken)->metadata.at("name"), "t0");
  }
  EXPECT_EQ(GetReason(TunAttachError(ENFILE, "t0", 3)), Reason::kFdLimit);
  EXPECT_EQ(GetReason(TunAttachError(EINVAL, "t0", 0)),
            Reason::kKernelFeatureMissing);
}

TEST(LinuxTunErrorTest, RefusesNamesThatTheKernelWouldChange) {
  LinuxTunFactory factory;
  for (const char* name : {"", "gre%d", "a-name-that-is-too-long"}) {
    const absl::Status status = factory.Open({.name = name}).status();
    EXPECT_EQ(GetReason(status), Reason::kFieldInvalid) << name;
  }
  EXPECT_EQ(GetReason(factory.Open({.name = "t0", .queues = 0}).status()),
            Reason::kFieldInvalid);
}

class LinuxTunTest : public NetnsTest {};

TEST_F(LinuxTunTest, CarriesPacketsBothWays) {
  LinuxTunFactory factory({.offload = false});
  auto device = factory.Open({.name = "t0"});
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_EQ((*device)->ifindex(), IfIndex("t0"));
  Ip("addr add 10.9.0.1/30 dev t0");
  Ip("link set t0 up");
  const UniqueFd udp = UdpSocket("10.9.0.1", 2000);
  TunQueue& queue = (*device)->queue(0);

  Slot out;
  const std::vector<uint8_t> packet = UdpToHost();
  std::copy(packet.begin(), packet.end(), out.buffer.data());
  out.buffer.Trim(packet.size());
  ASSERT_EQ(queue.Write(out.buffer), TunQueue::WriteResult::kOk);
  ASSERT_TRUE(WaitReadable(udp.get()));
  std::array<char, 64> text{};
  sockaddr_in from{};
  socklen_t len = sizeof(from);
  ASSERT_EQ(recvfrom(udp.get(), text.data(), text.size(), 0,
                     reinterpret_cast<sockaddr*>(&from), &len),
            5);
  EXPECT_STREQ(text.data(), "hello");

  // The kernel sends other packets too (IPv6 router solicitations).
  ASSERT_EQ(sendto(udp.get(), "world!", 6, 0,
                   reinterpret_cast<sockaddr*>(&from), sizeof(from)),
            6);
  bool seen = false;
  while (!seen && WaitReadable(queue.fd())) {
    std::array<Slot, 4> slots;
    std::array<encap::PacketBuffer, 4> buffers = {
        slots[0].buffer, slots[1].buffer, slots[2].buffer, slots[3].buffer};
    const auto result = queue.ReadBatch(buffers);
    for (size_t i = 0; i < result.packets; ++i) {
      if (buffers[i].size() != 34 || buffers[i].data()[9] != 17) continue;
      seen = true;
      EXPECT_EQ(buffers[i].headroom(), 128U);
      EXPECT_EQ(std::string(buffers[i].data() + 28, buffers[i].data() + 34),
                "world!");
      EXPECT_TRUE(buffers[i].hint().is_plain());
    }
  }
  EXPECT_TRUE(seen);
}

// What the kernel hands over of two times 1,000 bytes sent by UDP_SEGMENT.
TEST_F(LinuxTunTest, OffloadsAreThoseOfTheOneThatHasTheDevice) {
  for (const bool offload : {true, false, true}) {
    LinuxTunFactory factory({.offload = offload});
    auto device = if_nametoindex("t0") == 0
                      ? factory.Open({.name = "t0"})
                      : factory.Adopt({.name = "t0"}, IfIndex("t0"));
    ASSERT_TRUE(device.ok()) << device.status();
    TunQueue& queue = (*device)->queue(0);
    EXPECT_EQ(queue.offloads().tcp, offload);
    if (!offload) EXPECT_FALSE(queue.offloads().udp);
    Ip("addr replace 10.9.0.1/30 dev t0");
    Ip("link set t0 up");
    const UniqueFd udp = UdpSocket("10.9.0.1", 2000);
    const int size = 1000;
    constexpr int kUdpSegment = 103;
    ASSERT_EQ(
        setsockopt(udp.get(), IPPROTO_UDP, kUdpSegment, &size, sizeof(size)),
        0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(9);
    to.sin_addr.s_addr = htonl(0x0a090002);
    const std::vector<char> data(2000);
    ASSERT_EQ(sendto(udp.get(), data.data(), data.size(), 0,
                     reinterpret_cast<sockaddr*>(&to), sizeof(to)),
              2000);
    const bool super = queue.offloads().udp;
    size_t seen = 0;
    while (seen < (super ? 1u : 2u) && WaitReadable(queue.fd())) {
      Slot slot;
      if (queue.ReadBatch({&slot.buffer, 1}).packets == 0) continue;
      if (slot.buffer.data()[9] != 17 || slot.buffer.data()[0] != 0x45)
        continue;
      ++seen;
      EXPECT_EQ(slot.buffer.size(), 28u + (super ? 2000 : 1000));
      EXPECT_EQ(slot.buffer.hint().gso_type,
                super ? encap::GsoType::kUdp : encap::GsoType::kNone);
      EXPECT_EQ(slot.buffer.hint().gso_size, super ? 1000 : 0);
      EXPECT_EQ(slot.buffer.hint().needs_checksum, super);
    }
    EXPECT_EQ(seen, super ? 1u : 2u);
    ASSERT_TRUE((*device)->SetPersistent(true).ok());
  }
}

TEST_F(LinuxTunTest, RefusesATakenName) {
  LinuxTunFactory factory;
  const auto device = factory.Open({.name = "t0"});
  ASSERT_TRUE(device.ok()) << device.status();
  const absl::Status same = factory.Open({.name = "t0"}).status();
  EXPECT_EQ(GetReason(same), Reason::kNameInUse) << same;
  EXPECT_EQ(GetErrorDetail(same)->metadata.at("name"), "t0");
  EXPECT_EQ(GetReason(factory.Open({.name = "lo"}).status()),
            Reason::kNameInUse);
}

TEST_F(LinuxTunTest, DestructionRemovesTheDevice) {
  LinuxTunFactory factory;
  for (const bool ethernet : {false, true}) {
    auto device =
        factory.Open({.name = "t0", .ethernet = ethernet, .queues = 4});
    ASSERT_TRUE(device.ok()) << device.status();
    EXPECT_EQ((*device)->queue_count(), 4U);
    device->reset();
  }
  EXPECT_TRUE(factory.Open({.name = "t0"}).ok());
}

TEST_F(LinuxTunTest, WriteIsRefusedWhileTheLinkIsDown) {
  LinuxTunFactory factory;
  auto device = factory.Open({.name = "t0"}).value();
  Slot slot;
  const std::vector<uint8_t> packet = UdpToHost();
  std::copy(packet.begin(), packet.end(), slot.buffer.data());
  slot.buffer.Trim(packet.size());
  EXPECT_EQ(device->queue(0).Write(slot.buffer),
            TunQueue::WriteResult::kRefused);
}

TEST_F(LinuxTunTest, SaysThatADeletedDeviceIsGone) {
  LinuxTunFactory factory;
  auto device = factory.Open({.name = "t0", .queues = 2}).value();
  Ip("link set t0 up");
  Ip("link del t0");
  for (size_t i = 0; i < 2; ++i) {
    Slot slot;
    const auto result = device->queue(i).ReadBatch({&slot.buffer, 1});
    EXPECT_TRUE(result.gone);
    EXPECT_EQ(slot.buffer.size(), slot.storage.size() - 128);
    EXPECT_EQ(device->queue(i).Write(slot.buffer),
              TunQueue::WriteResult::kGone);
  }
}

TEST_F(LinuxTunTest, AdoptsThePersistentDeviceOfTheProcessBefore) {
  LinuxTunFactory factory;
  for (const bool ethernet : {false, true}) {
    const TunFactory::Request request = {
        .name = "t0", .ethernet = ethernet, .queues = 4};
    auto device = factory.Open(request).value();
    const uint32_t ifindex = device->ifindex();
    ASSERT_TRUE(device->SetPersistent(true).ok());
    Ip("addr add 10.9.0.1/30 dev t0");
    Ip("link set t0 up mtu 1333");
    device.reset();
    ASSERT_EQ(IfIndex("t0"), ifindex);

    auto adopted = factory.Adopt(request, ifindex);
    ASSERT_TRUE(adopted.ok()) << adopted.status();
    EXPECT_EQ((*adopted)->ifindex(), ifindex);
    EXPECT_EQ((*adopted)->queue_count(), 4U);
    Ip("route get 10.9.0.2");
    if (!ethernet) {
      Slot out;
      const std::vector<uint8_t> packet = UdpToHost();
      std::copy(packet.begin(), packet.end(), out.buffer.data());
      out.buffer.Trim(packet.size());
      const UniqueFd udp = UdpSocket("10.9.0.1", 2000);
      ASSERT_EQ((*adopted)->queue(3).Write(out.buffer),
                TunQueue::WriteResult::kOk);
      EXPECT_TRUE(WaitReadable(udp.get()));
    }
    ASSERT_TRUE((*adopted)->SetPersistent(false).ok());
    adopted->reset();
    EXPECT_EQ(if_nametoindex("t0"), 0U);
  }
}

TEST_F(LinuxTunTest, LeavesTheDeviceOfSomebodyElseAsItIs) {
  LinuxTunFactory factory;
  const auto refused = [&](const std::string& name, const char* differs,
                           uint32_t ifindex, bool ethernet = false) {
    const absl::Status status =
        factory.Adopt({.name = name, .ethernet = ethernet}, ifindex).status();
    EXPECT_EQ(GetReason(status), Reason::kNameInUse) << name << status;
    EXPECT_EQ(GetErrorDetail(status)->metadata["differs"], differs) << status;
  };
  MakeVeth("dum", "peer");
  Ip("tuntap add plain mode tun");
  Ip("tuntap add ours mode tun multi_queue vnet_hdr");
  refused("dum", "kind", IfIndex("dum"));
  refused("plain", "flags", IfIndex("plain"));
  refused("ours", "kind", IfIndex("ours"), true);
  refused("ours", "ifindex", IfIndex("ours") + 1);
  const auto busy = factory.Adopt({.name = "ours"}, IfIndex("ours"));
  ASSERT_TRUE(busy.ok()) << busy.status();
  refused("ours", "use", IfIndex("ours"));
  const auto fleeting = factory.Open({.name = "fleet"}).value();
  refused("fleet", "owner", fleeting->ifindex());
  // Attaching would have changed the flags.
  refused("plain", "flags", IfIndex("plain"));
  EXPECT_EQ(GetReason(factory.Adopt({.name = "none"}, 7).status()),
            Reason::kDeviceNotFound);
  EXPECT_EQ(if_nametoindex("none"), 0U);
}

}  // namespace
}  // namespace tunnel
