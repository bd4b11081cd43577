#include "encap/batch.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Bytes;
using testing::Config;
using testing::OwnedPacket;
using testing::Peer;

constexpr IpFamily kV4 = IpFamily::kV4;
constexpr IpFamily kV6 = IpFamily::kV6;
constexpr size_t kTunnels = 5;
constexpr size_t kSizes[] = {0, 1, 7, 8, 9, 15, 16, 17, 40, 100};

// Buffers of the caller, as many as are asked for.
class Buffers {
 public:
  explicit Buffers(const std::vector<Bytes>& packets) {
    for (const Bytes& bytes : packets) {
      owned_.push_back(std::make_unique<OwnedPacket>(bytes));
      packets_.push_back(**owned_.back());
    }
  }
  std::span<PacketBuffer> packets() { return packets_; }
  Bytes bytes(size_t i) const {
    const auto bytes = packets_[i].bytes();
    return {bytes.begin(), bytes.end()};
  }

 private:
  std::vector<std::unique_ptr<OwnedPacket>> owned_;
  std::vector<PacketBuffer> packets_;
};

EncapConfig TunnelConfig(size_t i) {
  EncapConfig config =
      Config(i % 2 == 0 ? Mode::kGre : Mode::kGif, i % 3 == 0 ? kV6 : kV4);
  if (i % 2 == 0) {
    config.input_key = config.output_key = static_cast<uint32_t>(i);
    config.sequence = true;
  }
  return config;
}

// Inner packets; each seventh is one that is dropped.
std::vector<Bytes> InnerPackets(size_t count) {
  std::vector<Bytes> packets;
  for (size_t i = 0; i < count; ++i) {
    packets.push_back(testing::Inner(
        i % 3 == 0 ? kV6 : kV4,
        {.tos = static_cast<uint8_t>(i % 3), .payload = 20 + i}));
    if (i % 7 == 3) packets.back().resize(10);
  }
  return packets;
}

TEST(BatchTest, EncapsulatesAsOneByOne) {
  for (const size_t count : kSizes) {
    const Encapsulator encapsulator(TunnelConfig(2));
    const std::vector<Bytes> inner = InnerPackets(count);
    Buffers batch(inner);
    Buffers single(inner);
    std::vector<DropReason> reasons(count);
    OutputState batch_state;
    OutputState state;
    const size_t taken =
        EncapsulateBatch(encapsulator, batch.packets(), batch_state, reasons);
    size_t expected = 0;
    for (size_t i = 0; i < count; ++i) {
      const DropReason reason =
          encapsulator.Encapsulate(single.packets()[i], state);
      EXPECT_EQ(reasons[i], reason) << i;
      EXPECT_EQ(batch.bytes(i), single.bytes(i)) << i;
      if (reason == DropReason::kNone) ++expected;
    }
    EXPECT_EQ(taken, expected);
    EXPECT_EQ(batch_state.next_sequence, state.next_sequence);
  }
}

std::vector<EncapConfig> TunnelConfigs() {
  std::vector<EncapConfig> configs;
  for (size_t i = 0; i < kTunnels; ++i) configs.push_back(TunnelConfig(i));
  return configs;
}

// The receiving ends of tunnels.
struct Receiver {
  explicit Receiver(const std::vector<EncapConfig>& configs = TunnelConfigs())
      : states(configs.size()) {
    for (size_t i = 0; i < configs.size(); ++i) {
      const EncapConfig config = Peer(configs[i]);
      decapsulators.emplace_back(config);
      EXPECT_EQ(map.Insert(config, static_cast<uint32_t>(i)), std::nullopt);
    }
    for (size_t i = 0; i < configs.size(); ++i) {
      tunnels.push_back({&decapsulators[i], &states[i]});
    }
  }
  EndpointMap map;
  std::vector<Decapsulator> decapsulators;
  std::vector<InputState> states;
  std::vector<InputTunnel> tunnels;
};

// Outer packets of all tunnels, in turn; some are cut, some of no tunnel.
std::vector<Bytes> OuterPackets(size_t count) {
  std::vector<Bytes> packets;
  std::vector<OutputState> states(kTunnels);
  for (size_t i = 0; i < count; ++i) {
    EncapConfig config = TunnelConfig(i % kTunnels);
    if (i % 11 == 5) config.output_key = 77;
    OwnedPacket packet(testing::InnerV4({.payload = 20 + i}));
    EXPECT_EQ(Encapsulator(config).Encapsulate(*packet, states[i % kTunnels]),
              DropReason::kNone);
    packets.push_back(packet.bytes());
    if (i % 13 == 4) packets.back().resize(30);
    if (i % 17 == 6) packets.back()[0] = 0x15;
  }
  return packets;
}

// Parse, find and decapsulate, a packet a call.
InputResult DecapsulateOne(Receiver& receiver, const ParseOptions& options,
                           PacketBuffer& packet) {
  OuterInfo info;
  InputResult result{ParseOuter(packet.bytes(), options, info),
                     InputResult::kNoTunnel};
  if (result.reason != DropReason::kNone) return result;
  const auto found = receiver.map.Find(info);
  result.reason = found.why;
  if (found.why != DropReason::kNone) return result;
  result.tunnel = found.tunnel;
  result.reason = receiver.decapsulators[found.tunnel].Decapsulate(
      packet, info, receiver.states[found.tunnel]);
  return result;
}

// Returns how many packets were taken.
size_t ExpectAsOneByOne(
    const std::vector<Bytes>& outer, const ParseOptions& options = {},
    const std::vector<EncapConfig>& configs = TunnelConfigs()) {
  Receiver receiver(configs);
  Receiver reference(configs);
  Buffers batch(outer);
  Buffers single(outer);
  std::vector<InputResult> results(outer.size());
  const size_t taken = DecapsulateBatch(receiver.map, receiver.tunnels, options,
                                        batch.packets(), results);
  size_t expected = 0;
  for (size_t i = 0; i < outer.size(); ++i) {
    const InputResult result =
        DecapsulateOne(reference, options, single.packets()[i]);
    EXPECT_EQ(results[i].reason, result.reason) << i;
    EXPECT_EQ(results[i].tunnel, result.tunnel) << i;
    EXPECT_EQ(batch.bytes(i), single.bytes(i)) << i;
    if (result.reason == DropReason::kNone) ++expected;
  }
  EXPECT_EQ(taken, expected);
  return taken;
}

TEST(BatchTest, DecapsulatesForManyTunnelsAsOneByOne) {
  for (const size_t count : kSizes) {
    const size_t taken = ExpectAsOneByOne(OuterPackets(count));
    EXPECT_TRUE(count < 40 || (taken > count / 2 && taken < count));
  }
}

// Behind each good packet one that differs from it in one bit of the headers.
TEST(BatchTest, APacketLikeTheOneBeforeIsJudgedByItself) {
  constexpr size_t kHeaders = 20 + 8 + 20;
  std::vector<EncapConfig> configs = {
      Config(Mode::kGif, kV4), Config(Mode::kGre, kV4), Config(Mode::kGre, kV4),
      Config(Mode::kGre, kV4)};
  configs[2].input_key = configs[2].output_key = 7;
  configs[3].input_key = configs[3].output_key = 6;
  for (const EncapConfig& config : configs) {
    OwnedPacket packet(testing::InnerV4({.payload = 30}));
    OutputState state;
    ASSERT_EQ(Encapsulator(config).Encapsulate(*packet, state),
              DropReason::kNone);
    std::vector<Bytes> outer;
    for (size_t bit = 0; bit < 8 * kHeaders; ++bit) {
      outer.push_back(packet.bytes());
      outer.push_back(packet.bytes());
      outer.back()[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    }
    outer.push_back({});
    outer.push_back(packet.bytes());
    EXPECT_GT(ExpectAsOneByOne(outer, {}, configs), 8 * kHeaders);
    EXPECT_GT(
        ExpectAsOneByOne(outer, {.verify_header_checksum = false}, configs),
        8 * kHeaders);
  }
}

TEST(BatchTest, ATunnelWithoutADecapsulatorIsDown) {
  Receiver receiver;
  receiver.tunnels[1].decapsulator = nullptr;
  receiver.tunnels.resize(3);
  const std::vector<Bytes> outer = OuterPackets(4);
  Buffers batch(outer);
  std::vector<InputResult> results(4);
  EXPECT_EQ(DecapsulateBatch(receiver.map, receiver.tunnels, ParseOptions(),
                             batch.packets(), results),
            2u);
  EXPECT_EQ(results[1].reason, DropReason::kDown);
  EXPECT_EQ(results[1].tunnel, 1u);
  EXPECT_EQ(results[3].reason, DropReason::kDown);
  EXPECT_EQ(results[3].tunnel, 3u);
  EXPECT_EQ(batch.bytes(3), outer[3]);
}

}  // namespace
}  // namespace encap
