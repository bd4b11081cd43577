// What the kernel sends is byte for byte what encap::Encapsulator makes.

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "encap/encapsulator.h"
#include "tunnel/bpf/fast_path_for_test.h"

namespace tunnel {
namespace {

using encap::EncapConfig;
using encap::IpFamily;
using encap::Mode;
using encap::testing::Config;
using encap::testing::Inner;
using encap::testing::InnerOptions;
using encap::testing::InnerV4;
using encap::testing::InnerV6;
using encap::testing::OwnedPacket;

constexpr IpFamily kFamilies[] = {IpFamily::kV4, IpFamily::kV6};

// Each mode over each family, then each field with each of its kinds of value.
std::vector<EncapConfig> Configs() {
  std::vector<EncapConfig> all;
  for (const IpFamily outer : kFamilies) {
    const bool v4 = outer == IpFamily::kV4;
    for (const Mode mode : {Mode::kGif, Mode::kGre, Mode::kIpip,
                            v4 ? Mode::kSit : Mode::kIp6ip6}) {
      const EncapConfig plain = Config(mode, outer);
      all.push_back(plain);
      EncapConfig changed = plain;
      changed.ttl = std::nullopt;
      changed.tos = std::nullopt;
      changed.df = encap::DfPolicy::kInherit;
      all.push_back(changed);
      changed = plain;
      changed.ttl = 7;
      changed.tos = 0xb8;
      changed.df = encap::DfPolicy::kOff;
      changed.ecn = encap::EcnMode::kCompat;
      all.push_back(changed);
      if (mode != Mode::kGre) continue;
      changed = plain;
      changed.output_key = 0x01020304;
      all.push_back(changed);
      changed.output_key = 0;
      all.push_back(changed);
    }
  }
  for (const EncapConfig& in_ip : std::vector(all)) {
    if (in_ip.remote.is_v6()) continue;
    EncapConfig changed = in_ip;
    changed.transport = encap::OuterTransport::kUdp;
    changed.udp_zero_checksum = true;
    all.push_back(changed);
    if (in_ip.output_key != 0U) continue;
    changed.udp_port = 6000;
    changed.udp_source_port = 7777;
    all.push_back(changed);
  }
  return all;
}

std::vector<Bytes> Inners() {
  std::vector<Bytes> all;
  for (const IpFamily family : kFamilies) {
    for (uint8_t tos = 0; tos < 4; ++tos)
      all.push_back(Inner(family, {.tos = static_cast<uint8_t>(0x28 | tos)}));
    all.push_back(Inner(family, {.ttl = 1, .dont_fragment = false}));
    for (const uint8_t protocol : {1, 6, 33, 58, 132, 136})
      all.push_back(Inner(family, {.protocol = protocol, .payload = 40}));
    all.push_back(Inner(family, {.payload = 8}));
    all.push_back(Inner(family, {.payload = 1300}));
  }
  Bytes fragment = InnerV4({.dont_fragment = false});
  fragment[6] = 0x20;  // more fragments: no ports in the hash of its flow
  const uint16_t sum = [&] {
    fragment[10] = fragment[11] = 0;
    return encap::testing::ReferenceChecksum({fragment.data(), 20});
  }();
  fragment[10] = static_cast<uint8_t>(sum >> 8);
  fragment[11] = static_cast<uint8_t>(sum);
  all.push_back(fragment);
  return all;
}

class FastOutputTest : public FastPathTest {
 protected:
  // Sends all of `inners` and compares; gives the number of those carried.
  size_t Compare(const EncapConfig& config, const std::vector<Bytes>& inners) {
    const encap::Encapsulator reference(config);
    encap::OutputState state;
    size_t carried = 0;
    for (const Bytes& inner : inners) {
      OwnedPacket packet(inner);
      if (reference.Encapsulate(*packet, state) != encap::DropReason::kNone)
        continue;
      ++carried;
      SendInner(inner);
      EXPECT_EQ(ReceiveOuter(), packet.bytes()) << encap::testing::ToHex(inner);
    }
    return carried;
  }

  uint64_t Passed() { return tunnel_->Read().transmit_passed; }
};

TEST_F(FastOutputTest, SendsWhatTheEncapsulatorMakes) {
  const std::vector<Bytes> inners = Inners();
  path_ = std::make_unique<LinuxFastPath>();
  for (const EncapConfig& config : Configs()) {
    SCOPED_TRACE(testing::Message() << encap::ModeName(config.mode) << " to "
                                    << config.remote.ToString());
    auto opened = path_->Open(tun_, 1);
    ASSERT_TRUE(opened.ok()) << opened.status();
    tunnel_ = *std::move(opened);
    const auto entry = Enter(config);
    const size_t carried = Compare(config, inners);
    const FastCounters counters = tunnel_->Read();
    EXPECT_EQ(counters.transmit_packets, carried);
    EXPECT_EQ(counters.transmit_passed, 0U);
    Leave(config);
    tunnel_.reset();
    path_->Wait();  // so that the next one has numbers of its own
  }
}

TEST_F(FastOutputTest, CountsInnerPacketsAndBytes) {
  Use(Attachment::Via::kBest);
  const EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
  const auto entry = Enter(config);
  SendInner(InnerV4());
  SendInner(InnerV6());
  EXPECT_FALSE(ReceiveOuter().empty());
  EXPECT_FALSE(ReceiveOuter().empty());
  const FastCounters counters = tunnel_->Read();
  EXPECT_EQ(counters.transmit_packets, 2U);
  EXPECT_EQ(counters.transmit_bytes, InnerV4().size() + InnerV6().size());
  EXPECT_EQ(counters.receive_packets, 0U);
  EXPECT_EQ(counters.send_errors, 0U);
  Leave(config);
}

TEST_F(FastOutputTest, LeavesToTheUserPathWhatIsNotAsUsual) {
  Use(Attachment::Via::kBest);
  const EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
  const auto entry = Enter(config);
  path_->UseUdpPort(4754);
  std::vector<Bytes> unusual;
  for (const IpFamily family : kFamilies) {
    unusual.push_back(Inner(family, {.ttl = 0}));
    unusual.push_back(Inner(family, {.payload = 1480}));
    // What may be the packet of another tunnel.
    for (const uint8_t protocol : {4, 41, 47})
      unusual.push_back(Inner(family, {.protocol = protocol}));
    Bytes udp = Inner(family);
    const size_t port = family == IpFamily::kV4 ? 22 : 42;
    udp[port] = 4754 >> 8;
    udp[port + 1] = 4754 & 0xff;
    unusual.push_back(udp);
    Bytes trailer = Inner(family);
    trailer.push_back(0);
    unusual.push_back(trailer);
  }
  for (const uint8_t next : {0, 43, 44, 60})
    unusual.push_back(InnerV6({.protocol = next}));
  Bytes options = InnerV4({.payload = 40});
  options[0] = 0x46;
  unusual.push_back(options);
  for (size_t i = 0; i < unusual.size(); ++i) {
    SendInner(unusual[i]);
    EXPECT_EQ(Passed(), i + 1) << encap::testing::ToHex(unusual[i]);
  }
  // None of them is on the wire.
  SendInner(InnerV4());
  OwnedPacket want(InnerV4());
  encap::OutputState state;
  ASSERT_EQ(encap::Encapsulator(config).Encapsulate(*want, state),
            encap::DropReason::kNone);
  EXPECT_EQ(ReceiveOuter(), want.bytes());
  EXPECT_EQ(tunnel_->Read().transmit_packets, 1U);
  Leave(config);
}

TEST_F(FastOutputTest, LeavesToTheUserPathWhatTheModeDoesNotCarry) {
  Use(Attachment::Via::kBest);
  const EncapConfig config = Config(Mode::kSit, IpFamily::kV4);
  const auto entry = Enter(config);
  SendInner(InnerV4());
  EXPECT_EQ(Passed(), 1U);
  SendInner(InnerV6());
  EXPECT_EQ(ReceiveOuter().size(), InnerV6().size() + 20);
  Leave(config);
}

TEST_F(FastOutputTest, ALargerPacketThanThePathCarriesIsNotSent) {
  Use(Attachment::Via::kBest);
  const EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
  const Bytes largest = InnerV4({.payload = 1400 - 24 - 20});
  const auto entry = Enter(config, 1400);
  SendInner(largest);
  EXPECT_EQ(ReceiveOuter().size(), 1400U);
  SendInner(InnerV4({.payload = 1400 - 24 - 20 + 1}));
  EXPECT_EQ(Passed(), 1U);
  Leave(config);
}

}  // namespace
}  // namespace tunnel
