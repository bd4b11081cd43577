#include "tunnel/bpf/fast_path_for_test.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstring>
#include <utility>

#include "encap/outer_parse.h"
#include "encap/wire/udp.h"

namespace tunnel {
namespace {

constexpr int kPatienceMs = 5000;

sockaddr_ll LinkAddress(uint32_t ifindex, uint16_t protocol) {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(protocol);
  address.sll_ifindex = static_cast<int>(ifindex);
  return address;
}

UniqueFd PacketSocket(int type, uint32_t ifindex) {
  UniqueFd fd(socket(AF_PACKET, type, htons(ETH_P_ALL)));
  const sockaddr_ll address = LinkAddress(ifindex, ETH_P_ALL);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address),
                 sizeof(address)),
            0);
  return fd;
}

uint16_t EtherTypeOf(const Bytes& packet) {
  return packet.at(0) >> 4 == 4 ? ETH_P_IP : ETH_P_IPV6;
}

// What comes in for this host: what it sends, and what the kernel sends by
// itself to a group, is skipped.
Bytes Receive(int fd) {
  while (true) {
    pollfd wait{fd, POLLIN, 0};
    if (poll(&wait, 1, kPatienceMs) != 1) return {};
    Bytes bytes(70000);
    sockaddr_ll from{};
    socklen_t size = sizeof(from);
    const ssize_t n = recvfrom(fd, bytes.data(), bytes.size(), 0,
                               reinterpret_cast<sockaddr*>(&from), &size);
    if (n < 0 || from.sll_pkttype != PACKET_HOST) continue;
    bytes.resize(static_cast<size_t>(n));
    return bytes;
  }
}

Bytes MacBytes(const std::string& text) {
  Bytes mac(6);
  unsigned int part[6];
  std::sscanf(text.c_str(), "%x:%x:%x:%x:%x:%x", &part[0], &part[1], &part[2],
              &part[3], &part[4], &part[5]);
  for (size_t i = 0; i < 6; ++i) mac[i] = static_cast<uint8_t>(part[i]);
  return mac;
}

}  // namespace

void FastPathTest::SetUp() {
  NetnsTest::SetUp();
  if (IsSkipped() || HasFatalFailure()) return;
  // One CPU, so that the numbers of packets are one series.
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  Ip("link add u0 type veth peer name u1");
  // Nothing is sent but by the test.
  for (const char* name : {"u0", "u1"}) {
    Ip(std::string("link set ") + name + " addrgenmode none");
    Ip(std::string("link set ") + name + " up");
  }
  Ip("addr add 192.0.2.1/24 dev u0");
  Ip("addr add 2001:db8::1/64 dev u0 nodad");
  Ip("neigh add 192.0.2.2 lladdr " + MacOf("u1") + " dev u0");
  Ip("neigh add 2001:db8::2 lladdr " + MacOf("u1") + " dev u0");
  LinuxTunFactory factory;
  auto device = factory.Open({.name = "t0"});
  ASSERT_TRUE(device.ok()) << device.status();
  device_ = *std::move(device);
  tun_ = device_->ifindex();
  under_ = IfIndex("u0");
  Ip("link set t0 addrgenmode none mtu 9000");
  Ip("link set t0 up");
  tun_socket_ = PacketSocket(SOCK_DGRAM, tun_);
  wire_socket_ = PacketSocket(SOCK_RAW, IfIndex("u1"));
  link_header_ = MacBytes(MacOf("u0"));
  const Bytes source = MacBytes(MacOf("u1"));
  link_header_.insert(link_header_.end(), source.begin(), source.end());
}

void FastPathTest::Use(Attachment::Via via) {
  path_ = std::make_unique<LinuxFastPath>(via);
  ASSERT_TRUE(path_->Usable().ok()) << path_->Usable();
  auto tunnel = path_->Open(tun_, 1);
  ASSERT_TRUE(tunnel.ok()) << tunnel.status();
  tunnel_ = *std::move(tunnel);
}

FastRecord FastPathTest::Record(const encap::EncapConfig& config,
                                uint32_t path_mtu) {
  return {.config = config, .underlay_ifindex = under_, .path_mtu = path_mtu};
}

std::unique_ptr<FastEntry> FastPathTest::Enter(const encap::EncapConfig& config,
                                               uint32_t path_mtu) {
  auto entry = tunnel_->Prepare(Record(config, path_mtu));
  EXPECT_TRUE(entry.ok()) << entry.status();
  if (!entry.ok()) return nullptr;
  SetInputs(config, entry->get());
  tunnel_->SetOutput(entry->get());
  Turn();
  return *std::move(entry);
}

void FastPathTest::Turn() {
  tunnel_->ForceTurn(FastDirection::kOut);
  tunnel_->ForceTurn(FastDirection::kIn);
}

void FastPathTest::Leave(const encap::EncapConfig& config) {
  tunnel_->SetOutput(nullptr);
  SetInputs(config, nullptr);
  path_->Wait();
}

std::vector<FastInputKey> FastPathTest::KeysOf(
    const encap::EncapConfig& config) {
  FastInputKey key{{config.local, config.remote}, config.input_key, 0, 0};
  if (config.transport == encap::OuterTransport::kUdp) {
    key.protocol = encap::kProtoUdp;
    key.udp_port = encap::UdpPort(config);
    return {key};
  }
  std::vector<FastInputKey> keys;
  for (const uint8_t protocol :
       {encap::kProtoGre, encap::kProtoIpip, encap::kProtoIpv6}) {
    if (encap::IsGre(config.mode) != (protocol == encap::kProtoGre)) continue;
    key.protocol = protocol;
    keys.push_back(key);
  }
  return keys;
}

void FastPathTest::SetInputs(const encap::EncapConfig& config,
                             const FastEntry* entry) {
  for (const FastInputKey& key : KeysOf(config)) path_->SetInput(key, entry);
}

void FastPathTest::SendInner(const Bytes& packet, uint32_t mark) {
  ASSERT_EQ(
      setsockopt(tun_socket_.get(), SOL_SOCKET, SO_MARK, &mark, sizeof(mark)),
      0);
  const sockaddr_ll to = LinkAddress(tun_, EtherTypeOf(packet));
  ASSERT_EQ(sendto(tun_socket_.get(), packet.data(), packet.size(), 0,
                   reinterpret_cast<const sockaddr*>(&to), sizeof(to)),
            static_cast<ssize_t>(packet.size()))
      << std::strerror(errno);
}

Bytes FastPathTest::ReceiveOuter() {
  const Bytes frame = Receive(wire_socket_.get());
  if (frame.size() < ETH_HLEN) return {};
  return {frame.begin() + ETH_HLEN, frame.end()};
}

void FastPathTest::SendOuter(const Bytes& packet) {
  Bytes frame = link_header_;
  frame.push_back(static_cast<uint8_t>(EtherTypeOf(packet) >> 8));
  frame.push_back(static_cast<uint8_t>(EtherTypeOf(packet)));
  frame.insert(frame.end(), packet.begin(), packet.end());
  ASSERT_EQ(send(wire_socket_.get(), frame.data(), frame.size(), 0),
            static_cast<ssize_t>(frame.size()))
      << std::strerror(errno);
}

Bytes FastPathTest::ReceiveInner() { return Receive(tun_socket_.get()); }

}  // namespace tunnel
