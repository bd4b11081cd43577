// What the kernel's GRO merges must come out of RepairGso() as a super-packet
// that a TUN device takes.

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "encap/bytes.h"
#include "encap/checksum.h"
#include "gtest/gtest.h"
#include "tunnel/tun/linux_tun.h"
#include "tunnel/underlay/linux_transport_for_test.h"
#include "tunnel/underlay/vnet_translate.h"

namespace tunnel {
namespace {

using encap::DropReason;
using encap::GsoType;

constexpr size_t kSegments = 8;
constexpr size_t kMss = 1000;

// Segment `i` of a TCP stream 10.9.0.2 -> 10.9.0.1, or the same over IPv6.
Bytes TcpSegment(bool v6, size_t i) {
  const size_t l3 = v6 ? 40 : 20;
  Bytes b(l3 + 20 + kMss, 0x61);
  std::fill_n(b.begin(), l3 + 20, 0);
  if (v6) {
    b[0] = 0x60;
    encap::Put16(&b[4], static_cast<uint16_t>(20 + kMss));
    b[6] = 6;
    b[7] = 64;
    b[8] = b[24] = 0xfd;
    b[23] = 2;
    b[39] = 1;
  } else {
    b[0] = 0x45;
    encap::Put16(&b[2], static_cast<uint16_t>(b.size()));
    encap::Put16(&b[6], 0x4000);
    b[8] = 64;
    b[9] = 6;
    encap::Put32(&b[12], 0x0a090002);
    encap::Put32(&b[16], 0x0a090001);
    encap::StoreBe16(&b[10], encap::InternetChecksum(std::span(b).first(20)));
  }
  uint8_t* tcp = b.data() + l3;
  encap::Put16(tcp, 4000);
  encap::Put16(tcp + 2, 5000);
  encap::Put32(tcp + 4, static_cast<uint32_t>(1000 + i * kMss));
  encap::Put32(tcp + 8, 1);
  tcp[12] = 0x50;
  tcp[13] = 0x10;  // ACK
  encap::Put16(tcp + 14, 500);
  const uint16_t length = 20 + kMss;
  const uint16_t pseudo =
      v6 ? encap::PseudoHeaderSumV6(&b[8], &b[24], 6, length)
         : encap::PseudoHeaderSumV4(&b[12], &b[16], 6, length);
  const uint16_t sum = encap::PartialSum(std::span(b).subspan(l3));
  encap::StoreBe16(tcp + 16,
                   encap::ChecksumFromSum(encap::AddSums(sum, pseudo)));
  return b;
}

Bytes Gre(bool v6, size_t i) {
  Bytes b = {0, 0, 0x08, 0x00};
  if (v6) encap::Put16(&b[2], 0x86dd);
  const Bytes inner = TcpSegment(v6, i);
  b.insert(b.end(), inner.begin(), inner.end());
  return b;
}

struct Case {
  const char* local;
  const char* remote;
  bool inner_v6;
  bool gre;  // else protocol 4 or 41
};

class MergedPacketsTest : public LinuxTransportTest {
 protected:
  void SetUp() override {
    LinuxTransportTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    MakeWire();
    // veth merges only what a sender without TSO sends, and hands each packet
    // over alone, so that the merging must wait for the next.
    ASSERT_EQ(std::system("ethtool -K va tso off && ethtool -K vb gro on && "
                          "unshare -m sh -c '"
                          "mount -t sysfs sysfs /sys && "
                          "echo 20000000 > "
                          "/sys/class/net/vb/gro_flush_timeout'"),
              0);
    Open(1);
    device_ = LinuxTunFactory().Open({.name = "t0"}).value();
    Ip("addr add 10.9.0.1/24 dev t0");
    Ip("addr add fd00:9::1/64 dev t0 nodad");
    Ip("link set t0 up");
  }

  void SendStream(const Case& c) {
    std::vector<Bytes> storage;
    for (size_t i = 0; i < kSegments; ++i) {
      const uint8_t protocol = c.gre ? 47 : c.inner_v6 ? 41 : 4;
      storage.push_back(
          Outer(c.local, c.remote, protocol,
                c.gre ? Gre(c.inner_v6, i) : TcpSegment(c.inner_v6, i)));
    }
    const SendRoute route{.remote = Address(c.remote)};
    std::vector<encap::PacketBuffer> packets;
    for (Bytes& bytes : storage) packets.emplace_back(bytes, 0, bytes.size());
    std::vector<OutgoingPacket> out;
    for (auto& packet : packets) out.push_back({&packet, &route});
    workers_[0]->SendBatch(out);
    for (const OutgoingPacket& packet : out) {
      ASSERT_EQ(packet.result, DropReason::kNone);
    }
  }

  std::unique_ptr<TunDevice> device_;
};

TEST_F(MergedPacketsTest, TunTakesWhatGroHasMerged) {
  for (const Case& c : {Case{"10.0.0.1", "10.0.0.2", false, true},
                        Case{"10.0.0.1", "10.0.0.2", true, true},
                        Case{"10.0.0.1", "10.0.0.2", false, false},
                        Case{"10.0.0.1", "10.0.0.2", true, false},
                        Case{"fd00::1", "fd00::2", false, true},
                        Case{"fd00::1", "fd00::2", true, true}}) {
    SCOPED_TRACE(testing::Message()
                 << c.local << " inner v6 " << c.inner_v6 << " gre " << c.gre);
    SendStream(c);
    const size_t index = std::string(c.local) == "fd00::1" ? 1 : 0;
    const size_t outer_len = (index == 1 ? 40 : 20) + (c.gre ? 4 : 0);
    const size_t inner_headers = (c.inner_v6 ? 40 : 20) + 20;
    size_t payload = 0, merged = 0;
    for (int tries = 0; tries < 100 && payload < kSegments * kMss; ++tries) {
      for (IncomingPacket& in : workers_[0]->ReceiveBatch(index)) {
        encap::PacketBuffer& packet = in.packet;
        ASSERT_TRUE(packet.Pull(outer_len));
        if (packet.hint().needs_checksum) {
          packet.hint().checksum_start -= outer_len;
        }
        if (packet.hint().gso_type != GsoType::kNone) {
          ++merged;
          EXPECT_EQ(packet.hint().gso_type,
                    c.inner_v6 ? GsoType::kTcp6 : GsoType::kTcp4);
          EXPECT_EQ(packet.hint().gso_size, kMss);
        }
        ASSERT_TRUE(RepairGso(packet));
        payload += packet.size() - inner_headers;
        if (packet.hint().gso_type != GsoType::kNone) {
          EXPECT_EQ(packet.hint().header_len, inner_headers);
        }
        EXPECT_EQ(device_->queue(0).Write(packet), TunQueue::WriteResult::kOk);
      }
      usleep(5000);
    }
    EXPECT_EQ(payload, kSegments * kMss);
    EXPECT_GT(merged, 0U);
  }
  // The kernel answers each stray segment with a reset if it has found its
  // checksum right.
  EXPECT_EQ(Snmp("Tcp", "InCsumErrors"), 0U);
  EXPECT_GT(Snmp("Tcp", "OutRsts"), 0U);
}

}  // namespace
}  // namespace tunnel
