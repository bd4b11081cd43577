// RFC 6040: every cell of the tables, for every mode, transport and mix of
// families, by encapsulation and by decapsulation.

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "encap/decapsulator.h"
#include "encap/encapsulator.h"
#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Bytes;
using testing::Config;
using testing::Frame;
using testing::Inner;
using testing::OwnedPacket;
using testing::Peer;

constexpr uint8_t kDscp = 0xb8;
// RFC 6040 figure 4 by numbers: rows are the inner field Not-ECT (0), ECT(1)
// (1), ECT(0) (2), CE (3), columns the outer one likewise; -1 is a drop.
constexpr int kInwards[4][4] = {
    {0, 0, 0, -1},
    {1, 1, 1, 3},
    {2, 1, 2, 3},
    {3, 3, 3, 3},
};

struct Way {
  EncapConfig config;
  IpFamily inner;
  std::string text;
};

// All that a tunnel can be as far as ECN goes.
void ForEachWay(const std::function<void(const Way&)>& check) {
  for (int mode = 0; mode <= static_cast<int>(Mode::kGretap); ++mode) {
    for (const IpFamily outer : {IpFamily::kV4, IpFamily::kV6}) {
      for (const IpFamily inner : {IpFamily::kV4, IpFamily::kV6}) {
        for (const auto transport :
             {OuterTransport::kIp, OuterTransport::kUdp}) {
          for (const EcnMode ecn : {EcnMode::kNormal, EcnMode::kCompat}) {
            Way way{Config(static_cast<Mode>(mode), outer), inner, ""};
            way.config.transport = transport;
            way.config.ecn = ecn;
            if (!Validate(way.config).empty()) continue;
            if (!Carries(way.config.mode, inner)) continue;
            way.text = std::string(ModeName(way.config.mode)) + ", outer " +
                       way.config.local.ToString() + ", inner " +
                       std::to_string(static_cast<int>(inner)) +
                       (transport == OuterTransport::kUdp ? ", UDP" : "");
            check(way);
          }
        }
      }
    }
  }
}

Bytes Payload(const Way& way, uint8_t ecn) {
  const Bytes ip = Inner(way.inner, {.tos = static_cast<uint8_t>(kDscp | ecn)});
  if (way.config.mode != Mode::kGretap) return ip;
  return Frame(way.inner == IpFamily::kV4 ? 0x0800 : 0x86dd, ip);
}

// `payload` behind the outer headers that `way` gives it.
Bytes Sent(const Way& way, const Bytes& payload) {
  OwnedPacket packet(payload);
  OutputState state;
  EXPECT_EQ(Encapsulator(way.config).Encapsulate(*packet, state),
            DropReason::kNone)
      << way.text;
  return packet.bytes();
}

int OuterEcn(const Way& way, const Bytes& packet) {
  return way.config.remote.is_v4() ? packet[1] & 3 : packet[1] >> 4 & 3;
}

TEST(EcnMatrixTest, OutwardsAllFieldsModesAndFamilies) {
  int ways = 0;
  ForEachWay([&](const Way& way) {
    ++ways;
    for (uint8_t ecn = 0; ecn < 4; ++ecn) {
      const Bytes payload = Payload(way, ecn);
      const Bytes packet = Sent(way, payload);
      const bool normal = way.config.ecn == EcnMode::kNormal;
      EXPECT_EQ(OuterEcn(way, packet), normal ? ecn : 0) << way.text;
      EXPECT_TRUE(std::equal(payload.rbegin(), payload.rend(), packet.rbegin()))
          << "the inner field stays as it is: " << way.text;
    }
  });
  EXPECT_EQ(ways, (3 * 4 + 2 + 1 + 1) * 2 * 2);
}

TEST(EcnMatrixTest, InwardsAllCellsModesAndFamilies) {
  int cells = 0;
  ForEachWay([&](const Way& way) {
    for (uint8_t in = 0; in < 4; ++in) {
      for (uint8_t out = 0; out < 4; ++out) {
        ++cells;
        Bytes bytes = Sent(way, Payload(way, in));
        testing::SetOuterEcn(bytes, out);
        OwnedPacket packet(bytes);
        OuterInfo info;
        ASSERT_EQ(ParseOuter(bytes, {.any_udp_port = true}, info),
                  DropReason::kNone)
            << way.text;
        InputState state;
        const DropReason reason =
            Decapsulator(Peer(way.config)).Decapsulate(*packet, info, state);
        const int want = kInwards[in][out];
        EXPECT_EQ(reason,
                  want < 0 ? DropReason::kEcnIllegal : DropReason::kNone)
            << way.text << ": " << +in << " under " << +out;
        if (want < 0) continue;
        EXPECT_EQ(packet.bytes(), Payload(way, static_cast<uint8_t>(want)))
            << way.text << ": " << +in << " under " << +out;
      }
    }
  });
  EXPECT_EQ(cells, (3 * 4 + 2 + 1 + 1) * 2 * 2 * 16);
}

}  // namespace
}  // namespace encap
