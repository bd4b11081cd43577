#include "tunnel/path/tun_writer.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "encap/offload/flows_for_test.h"

namespace tunnel {
namespace {

using encap::DropReason;
using encap::PacketBuffer;
using encap::testing::After;
using encap::testing::Build;
using encap::testing::Bytes;
using encap::testing::FlowPacket;

struct Written {
  Bytes bytes;
  encap::SegmentHint hint;
};

class FakeQueue : public TunQueue {
 public:
  explicit FakeQueue(TunOffloads offloads) : offloads_(offloads) {}
  int fd() const override { return -1; }
  ReadResult ReadBatch(std::span<PacketBuffer>) noexcept override { return {}; }
  WriteResult Write(PacketBuffer& packet) noexcept override {
    if (packet.headroom() < kTunHeadroom || refuse)
      return WriteResult::kRefused;
    const auto bytes = std::as_const(packet).bytes();
    written.push_back({{bytes.begin(), bytes.end()}, packet.hint()});
    return WriteResult::kOk;
  }
  TunOffloads offloads() const noexcept override { return offloads_; }

  std::vector<Written> written;
  bool refuse = false;

 private:
  const TunOffloads offloads_;
};

class FakeDevice : public TunDevice {
 public:
  explicit FakeDevice(TunOffloads offloads) : queue_(offloads) {}
  const std::string& name() const override { return name_; }
  uint32_t ifindex() const override { return 1; }
  size_t queue_count() const override { return 1; }
  TunQueue& queue(size_t) override { return queue_; }
  absl::Status SetPersistent(bool) override { return absl::OkStatus(); }

  FakeQueue queue_;

 private:
  const std::string name_ = "t0";
};

struct Tunnel {
  explicit Tunnel(encap::Mode mode = encap::Mode::kGre,
                  TunOffloads offloads = {.tcp = true, .udp = true})
      : device(new FakeDevice(offloads)),
        queue(device->queue_),
        endpoint("t0", std::unique_ptr<TunDevice>(device), 1),
        variant(endpoint, Config(mode), SendRoute{},
                std::make_shared<FlowContexts>(1)) {}

  static encap::EncapConfig Config(encap::Mode mode) {
    encap::EncapConfig config;
    config.mode = mode;
    config.local = *encap::IpAddress::Parse("192.0.2.1");
    config.remote = *encap::IpAddress::Parse("192.0.2.2");
    return config;
  }

  FakeDevice* device;
  FakeQueue& queue;
  Endpoint endpoint;
  Variant variant;
};

class TunWriterTest : public testing::Test {
 protected:
  void Write(const Tunnel& tunnel, const Bytes& bytes, bool last = false) {
    Bytes storage(128 + bytes.size());
    std::copy(bytes.begin(), bytes.end(), storage.begin() + 128);
    PacketBuffer packet(storage, 128, bytes.size());
    writer_.Write(tunnel.variant, packet, last);
  }
  OwnedCounter writes_;
  TunWriter writer_{0, writes_};
};

Bytes Frame(uint8_t from, const Bytes& ip) {
  Bytes frame = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, from, 8, 0};
  frame.insert(frame.end(), ip.begin(), ip.end());
  return frame;
}

TEST_F(TunWriterTest, MergesAFlowAndCountsItsPackets) {
  Tunnel tunnel;
  const FlowPacket one;
  const FlowPacket two = After(one);
  Write(tunnel, Build(one));
  Write(tunnel, Build(two));
  EXPECT_TRUE(tunnel.queue.written.empty());
  writer_.Flush();
  ASSERT_EQ(tunnel.queue.written.size(), 1u);
  const Written& written = tunnel.queue.written[0];
  EXPECT_EQ(written.bytes.size(), 240u);
  EXPECT_EQ(written.hint.gso_type, encap::GsoType::kTcp4);
  EXPECT_EQ(written.hint.gso_size, 100);
  EXPECT_EQ(written.hint.header_len, 40);
  EXPECT_EQ(written.hint.checksum_start, 20);
  const TunnelWorkerCounters& counters = tunnel.endpoint.counters(0);
  EXPECT_EQ(counters.receive_packets.value(), 2u);
  EXPECT_EQ(counters.receive_bytes.value(), 280u);
}

TEST_F(TunWriterTest, APacketThatNothingFollowsIsWrittenAtOnce) {
  Tunnel tunnel;
  Write(tunnel, Build(FlowPacket()), true);
  ASSERT_EQ(tunnel.queue.written.size(), 1u);
  EXPECT_TRUE(tunnel.queue.written[0].hint.is_plain());
  // Unless something is held, which may be of its flow.
  const FlowPacket one;
  Write(tunnel, Build(one));
  Write(tunnel, Build(After(one)), true);
  writer_.Flush();
  EXPECT_EQ(tunnel.queue.written.size(), 2u);
}

TEST_F(TunWriterTest, PacketsOfTwoTunnelsAreNeverMerged) {
  Tunnel first, second;
  const FlowPacket one;
  Write(first, Build(one));
  Write(second, Build(After(one)));
  EXPECT_EQ(first.queue.written.size(), 1u);
  writer_.Flush();
  ASSERT_EQ(second.queue.written.size(), 1u);
  EXPECT_EQ(first.queue.written[0].bytes, Build(one));
  EXPECT_EQ(second.queue.written[0].bytes, Build(After(one)));
}

TEST_F(TunWriterTest, FramesWithTheSameLinkHeaderAreMerged) {
  Tunnel tunnel(encap::Mode::kGretap);
  const FlowPacket one;
  const FlowPacket two = After(one);
  Write(tunnel, Frame(7, Build(one)));
  Write(tunnel, Frame(7, Build(two)));
  Write(tunnel, Frame(8, Build(After(two))));
  ASSERT_EQ(tunnel.queue.written.size(), 1u);
  const Written& merged = tunnel.queue.written[0];
  EXPECT_EQ(merged.bytes.size(), 254u);
  EXPECT_EQ(Bytes(merged.bytes.begin(), merged.bytes.begin() + 14),
            Frame(7, {}));
  EXPECT_EQ(merged.hint.header_len, 54);
  EXPECT_EQ(merged.hint.checksum_start, 34);
  writer_.Flush();
  ASSERT_EQ(tunnel.queue.written.size(), 2u);
  EXPECT_EQ(tunnel.queue.written[1].bytes, Frame(8, Build(After(two))));
  EXPECT_EQ(tunnel.endpoint.counters(0).receive_bytes.value(), 3u * 154);
}

TEST_F(TunWriterTest, OtherFramesKeepTheirPlace) {
  Tunnel tunnel(encap::Mode::kGretap);
  const Bytes arp = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 7, 8, 6, 0, 1};
  Write(tunnel, Frame(7, Build(FlowPacket())));
  Write(tunnel, arp);
  ASSERT_EQ(tunnel.queue.written.size(), 2u);
  EXPECT_EQ(tunnel.queue.written[1].bytes, arp);
}

TEST_F(TunWriterTest, APartialChecksumStaysWhereItIs) {
  for (const bool ethernet : {false, true}) {
    Tunnel tunnel(ethernet ? encap::Mode::kGretap : encap::Mode::kGre);
    const Bytes ip = Build(FlowPacket());
    const Bytes bytes = ethernet ? Frame(7, ip) : ip;
    Bytes storage(128 + bytes.size());
    std::copy(bytes.begin(), bytes.end(), storage.begin() + 128);
    PacketBuffer packet(storage, 128, bytes.size());
    const uint16_t start = ethernet ? 34 : 20;
    packet.hint().needs_checksum = true;
    packet.hint().checksum_start = start;
    packet.hint().checksum_offset = 16;
    writer_.Write(tunnel.variant, packet, false);
    ASSERT_EQ(tunnel.queue.written.size(), 1u);
    EXPECT_EQ(tunnel.queue.written[0].bytes, bytes);
    EXPECT_EQ(tunnel.queue.written[0].hint.checksum_start, start);
    writer_.Flush();
  }
}

TEST_F(TunWriterTest, MergesWhatTheDeviceTakesAlone) {
  FlowPacket udp;
  udp.tcp = false;
  Tunnel no_udp(encap::Mode::kGre, {.tcp = true});
  Write(no_udp, Build(udp));
  Write(no_udp, Build(After(udp)));
  EXPECT_EQ(no_udp.queue.written.size(), 2u);
  Tunnel all;
  Write(all, Build(udp));
  Write(all, Build(After(udp)));
  writer_.Flush();
  ASSERT_EQ(all.queue.written.size(), 1u);
  EXPECT_EQ(all.queue.written[0].hint.gso_type, encap::GsoType::kUdp);
  Tunnel off(encap::Mode::kGre, {});
  Write(off, Build(FlowPacket()));
  Write(off, Build(After(FlowPacket())));
  EXPECT_EQ(off.queue.written.size(), 2u);
}

TEST_F(TunWriterTest, ARefusedSuperPacketIsAsManyDrops) {
  Tunnel tunnel;
  tunnel.queue.refuse = true;
  const FlowPacket one;
  Write(tunnel, Build(one));
  Write(tunnel, Build(After(one)));
  writer_.Flush();
  const TunnelWorkerCounters& counters = tunnel.endpoint.counters(0);
  EXPECT_EQ(counters.receive_packets.value(), 0u);
  EXPECT_EQ(
      counters.receive_drops[static_cast<size_t>(DropReason::kInnerWriteError)]
          .value(),
      2u);
}

}  // namespace
}  // namespace tunnel
