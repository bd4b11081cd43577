// What the kernel hands to the host is byte for byte what encap::Decapsulator
// leaves, and what that refuses the kernel leaves to it.

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "encap/decapsulator.h"
#include "encap/encapsulator.h"
#include "encap/outer_parse.h"
#include "tunnel/bpf/fast_path_for_test.h"

namespace tunnel {
namespace {

using encap::EncapConfig;
using encap::IpFamily;
using encap::Mode;
using encap::testing::Config;
using encap::testing::Inner;
using encap::testing::InnerV4;
using encap::testing::InnerV6;
using encap::testing::OwnedPacket;
using encap::testing::Peer;

constexpr IpFamily kFamilies[] = {IpFamily::kV4, IpFamily::kV6};

// What the other end of the tunnel sends.
Bytes OuterOf(const EncapConfig& config, const Bytes& inner) {
  OwnedPacket packet(inner);
  encap::OutputState state;
  EXPECT_EQ(encap::Encapsulator(Peer(config)).Encapsulate(*packet, state),
            encap::DropReason::kNone);
  return packet.bytes();
}

EncapConfig InUdp(EncapConfig config) {
  config.transport = encap::OuterTransport::kUdp;
  config.udp_zero_checksum = true;
  return config;
}

class FastInputTest : public FastPathTest {
 protected:
  // What the user path gives for the same packet; empty: dropped.
  static Bytes Reference(const EncapConfig& config, const Bytes& outer) {
    OwnedPacket packet(outer);
    encap::OuterInfo info;
    encap::InputState state;
    const encap::ParseOptions options{.any_udp_port = true};
    if (encap::ParseOuter(packet->bytes(), options, info) !=
            encap::DropReason::kNone ||
        encap::Decapsulator(config).Decapsulate(*packet, info, state) !=
            encap::DropReason::kNone) {
      return {};
    }
    return packet.bytes();
  }

  uint64_t Received() { return tunnel_->Read().receive_packets; }

  // Each of `outers` is left alone; `good` comes through behind them.
  void ExpectPassed(const std::vector<Bytes>& outers, const Bytes& good,
                    const Bytes& inner) {
    for (const Bytes& outer : outers) SendOuter(outer);
    SendOuter(good);
    EXPECT_EQ(ReceiveInner(), inner);
    EXPECT_EQ(Received(), 1U);
  }
};

// Each header that the programs know.
std::vector<EncapConfig> Configs() {
  std::vector<EncapConfig> all;
  for (const IpFamily outer : kFamilies) {
    all.push_back(Config(Mode::kGif, outer));
    all.push_back(Config(Mode::kGre, outer));
    all.push_back(Config(Mode::kGre, outer));
    all.back().input_key = all.back().output_key = 0x01020304;
  }
  for (const EncapConfig& in_ip : std::vector(all)) {
    if (!in_ip.remote.is_v6()) all.push_back(InUdp(in_ip));
  }
  return all;
}

TEST_F(FastInputTest, GivesWhatTheDecapsulatorLeaves) {
  path_ = std::make_unique<LinuxFastPath>();
  for (const EncapConfig& config : Configs()) {
    auto opened = path_->Open(tun_, 1);
    ASSERT_TRUE(opened.ok()) << opened.status();
    tunnel_ = *std::move(opened);
    path_->UseUdpPort(encap::UdpPort(config));
    const auto entry = Enter(config);
    uint64_t carried = 0;
    for (const IpFamily inner : kFamilies) {
      for (uint8_t ecn = 0; ecn < 16; ++ecn) {
        Bytes packet = OuterOf(
            config,
            Inner(inner, {.tos = static_cast<uint8_t>(0x28 | ecn % 4)}));
        encap::testing::SetOuterEcn(packet, ecn / 4);
        const Bytes want = Reference(config, packet);
        SendOuter(packet);
        if (want.empty()) continue;  // illegal: the user path drops it
        ++carried;
        EXPECT_EQ(ReceiveInner(), want) << encap::testing::ToHex(packet);
      }
    }
    EXPECT_EQ(Received(), carried);
    EXPECT_EQ(carried, 30U);
    Leave(config);
    path_->LeaveUdpPort(encap::UdpPort(config));
    tunnel_.reset();
    path_->Wait();
  }
}

TEST_F(FastInputTest, LeavesUdpThatIsNotAsUsualToTheUserPath) {
  Use(Attachment::Via::kBest);
  const EncapConfig config = InUdp(Config(Mode::kGre, IpFamily::kV4));
  path_->UseUdpPort(4754);
  path_->UseUdpPort(4755);
  const auto entry = Enter(config);
  const Bytes good = OuterOf(config, InnerV4());
  std::vector<Bytes> unusual;
  const auto changed = [&](size_t at, uint8_t value) {
    Bytes packet = good;
    packet.at(at) = value;
    unusual.push_back(packet);
  };
  changed(23, 4755 & 0xff);   // the port of another tunnel
  changed(23, 4753 & 0xff);   // of no tunnel
  changed(25, good[25] - 1);  // shorter than IP says
  changed(25, good[25] + 1);  // longer
  changed(26, 1);             // a checksum, wrong
  changed(28, 0x45);          // an IP packet
  changed(28, 0x80);          // GRE checksum
  changed(29, 0x01);          // GRE version 1
  EncapConfig summed = config;
  summed.udp_zero_checksum = false;
  unusual.push_back(OuterOf(summed, InnerV4()));  // and a right one
  EncapConfig direct = config;
  direct.mode = Mode::kGif;
  direct.udp_port = 4754;
  unusual.push_back(OuterOf(direct, InnerV4()));
  EncapConfig keyed = config;
  keyed.input_key = keyed.output_key = 1;
  unusual.push_back(OuterOf(keyed, InnerV4()));
  EncapConfig in_ip = config;
  in_ip.transport = encap::OuterTransport::kIp;
  unusual.push_back(OuterOf(in_ip, InnerV4()));
  ExpectPassed(unusual, good, InnerV4());
  Leave(config);
}

TEST_F(FastInputTest, APortIsLookedAtUntilItsLastUse) {
  Use(Attachment::Via::kBest);
  const EncapConfig config = InUdp(Config(Mode::kGif, IpFamily::kV4));
  const auto entry = Enter(config);
  const auto send = [&] { SendOuter(OuterOf(config, InnerV4())); };
  send();
  path_->UseUdpPort(5555);
  path_->UseUdpPort(5555);
  send();
  EXPECT_EQ(ReceiveInner(), InnerV4());
  path_->LeaveUdpPort(5555);
  send();
  EXPECT_EQ(ReceiveInner(), InnerV4());
  path_->LeaveUdpPort(5555);
  send();
  path_->UseUdpPort(5555);
  SendOuter(OuterOf(config, InnerV6()));
  EXPECT_EQ(ReceiveInner(), InnerV6());
  EXPECT_EQ(Received(), 3U);
  Leave(config);
}

TEST_F(FastInputTest, LeavesToTheUserPathWhatIsNotAsUsual) {
  Use(Attachment::Via::kBest);
  const EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
  const auto entry = Enter(config);
  const Bytes inner = InnerV4();
  const Bytes good = OuterOf(config, inner);
  std::vector<Bytes> unusual;
  const auto changed = [&](size_t at, uint8_t value) {
    Bytes packet = good;
    packet.at(at) = value;
    packet[10] = packet[11] = 0;
    const uint16_t sum = encap::testing::ReferenceChecksum({packet.data(), 20});
    packet[10] = static_cast<uint8_t>(sum >> 8);
    packet[11] = static_cast<uint8_t>(sum);
    return packet;
  };
  Bytes wrong_sum = good;
  ++wrong_sum[11];
  unusual.push_back(wrong_sum);
  unusual.push_back(changed(6, 0x20));           // a fragment
  unusual.push_back(changed(15, 3));             // another source
  unusual.push_back(changed(19, 9));             // another destination
  unusual.push_back(changed(20, 0x80));          // GRE checksum
  unusual.push_back(changed(20, 0x10));          // GRE sequence
  unusual.push_back(changed(20, 0x20));          // GRE key
  unusual.push_back(changed(21, 0x01));          // GRE version 1
  unusual.push_back(changed(22, 0x65));          // not IP
  unusual.push_back(changed(24, 0x65));          // not what GRE says
  unusual.push_back(changed(27, inner[3] - 1));  // shorter than the outer says
  unusual.push_back(changed(32, 0));             // inner TTL
  unusual.push_back(changed(36, 127));           // inner source
  unusual.push_back(changed(36, 224));
  Bytes padded = good;
  padded.push_back(0);
  unusual.push_back(padded);
  ExpectPassed(unusual, good, inner);
  Leave(config);
}

TEST_F(FastInputTest, LeavesMartianIpv6SourcesToTheUserPath) {
  Use(Attachment::Via::kBest);
  const EncapConfig config = Config(Mode::kGif, IpFamily::kV6);
  const auto entry = Enter(config);
  const Bytes inner = InnerV6();
  const Bytes good = OuterOf(config, inner);
  std::vector<Bytes> unusual;
  for (const uint8_t first : {0x00, 0xff}) {
    Bytes packet = good;
    packet[40 + 8] = first;
    unusual.push_back(packet);
  }
  ExpectPassed(unusual, good, inner);
  Leave(config);
}

TEST_F(FastInputTest, KeyIsPartOfTheIdentity) {
  Use(Attachment::Via::kBest);
  EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
  const Bytes unkeyed = OuterOf(config, InnerV4());
  config.input_key = config.output_key = 7;
  const Bytes other = OuterOf(config, InnerV4());
  config.input_key = config.output_key = 0;
  const auto entry = Enter(config);
  ExpectPassed({unkeyed, other}, OuterOf(config, InnerV4()), InnerV4());
  Leave(config);
}

TEST_F(FastInputTest, ABoundTunnelComesBeforeOneThatIsNot) {
  Use(Attachment::Via::kBest);
  const EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
  const auto any = Enter(config);
  FastRecord record = Record(config, 1500);
  record.bound_ifindex = under_;
  auto bound = tunnel_->Prepare(record);
  ASSERT_TRUE(bound.ok()) << bound.status();
  const FastInputKey key{
      {config.local, config.remote}, std::nullopt, under_, encap::kProtoGre};
  path_->SetInput(key, bound->get());
  SendOuter(OuterOf(config, InnerV4()));
  EXPECT_EQ(ReceiveInner(), InnerV4());
  // Its own record alone is reached by its key.
  path_->SetInput(key, any.get());
  path_->Wait();
  SendOuter(OuterOf(config, InnerV4()));
  // Of a tunnel that takes the user path, its packets reach no other.
  path_->SetInput(key, nullptr);
  path_->Wait();
  SendOuter(OuterOf(config, InnerV4()));
  path_->ForgetInput(key);
  path_->Wait();
  SendOuter(OuterOf(config, InnerV6()));
  EXPECT_EQ(ReceiveInner(), InnerV6());
  EXPECT_EQ(Received(), 2U);
  Leave(config);
}

TEST_F(FastInputTest, CountsAndNotesTheTime) {
  Use(Attachment::Via::kBest);
  const EncapConfig config = Config(Mode::kGif, IpFamily::kV4);
  const auto entry = Enter(config);
  EXPECT_EQ(tunnel_->Read().last_receive_ns, 0U);
  SendOuter(OuterOf(config, InnerV6()));
  EXPECT_EQ(ReceiveInner(), InnerV6());
  const FastCounters counters = tunnel_->Read();
  EXPECT_EQ(counters.receive_packets, 1U);
  EXPECT_EQ(counters.receive_bytes, InnerV6().size());
  EXPECT_NE(counters.last_receive_ns, 0U);
  EXPECT_EQ(counters.transmit_packets, 0U);
  Leave(config);
}

}  // namespace
}  // namespace tunnel
