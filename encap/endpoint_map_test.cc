#include "encap/endpoint_map.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Addr;
using testing::Config;

constexpr IpFamily kV4 = IpFamily::kV4;
constexpr IpFamily kV6 = IpFamily::kV6;

// What a packet of the other end of `config` looks like.
OuterInfo From(const EncapConfig& config, uint8_t protocol) {
  OuterInfo outer;
  outer.addresses = {config.local, config.remote};
  outer.protocol = protocol;
  outer.key = config.input_key;
  if (config.transport == OuterTransport::kUdp)
    outer.udp_port = UdpPort(config);
  return outer;
}

EncapConfig Keyed(uint32_t key) {
  EncapConfig config = Config(Mode::kGre, kV4);
  config.input_key = key;
  return config;
}

TEST(EndpointMapTest, FindsWhatEachModeReceives) {
  const struct {
    Mode mode;
    IpFamily outer;
    std::vector<uint8_t> protocols;
  } cases[] = {{Mode::kGif, kV4, {kProtoIpip, kProtoIpv6}},
               {Mode::kGif, kV6, {kProtoIpip, kProtoIpv6}},
               {Mode::kIpip, kV4, {kProtoIpip}},
               {Mode::kIpip, kV6, {kProtoIpip}},
               {Mode::kSit, kV4, {kProtoIpv6}},
               {Mode::kIp6ip6, kV6, {kProtoIpv6}},
               {Mode::kGre, kV4, {kProtoGre}},
               {Mode::kGretap, kV6, {kProtoGre}}};
  for (const auto& c : cases) {
    EndpointMap map;
    const EncapConfig config = Config(c.mode, c.outer);
    EXPECT_EQ(map.Insert(config, 5), std::nullopt);
    EXPECT_EQ(map.size(), 1u);
    for (const uint8_t protocol : {kProtoIpip, kProtoIpv6, kProtoGre}) {
      const auto found = map.Find(From(config, protocol));
      const bool mine = std::find(c.protocols.begin(), c.protocols.end(),
                                  protocol) != c.protocols.end();
      EXPECT_EQ(found.why, mine ? DropReason::kNone : DropReason::kNoTunnel)
          << ModeName(c.mode) << int{protocol};
      EXPECT_EQ(found.tunnel, mine ? 5u : 0u);
    }
    OuterInfo udp = From(config, kProtoGre);
    udp.udp_port = kGreInUdpPort;
    EXPECT_EQ(map.Find(udp).why, DropReason::kNoTunnel);
  }
}

TEST(EndpointMapTest, InUdpThePortIsTheIdentity) {
  EncapConfig gif = Config(Mode::kGif, kV4);
  gif.transport = OuterTransport::kUdp;
  EncapConfig gre = Config(Mode::kGre, kV4);
  gre.transport = OuterTransport::kUdp;
  EndpointMap map;
  EXPECT_EQ(map.Insert(gif, 1), std::nullopt);
  EXPECT_EQ(map.Insert(gre, 2), std::nullopt) << "another port by default";
  gre.udp_port = kDirectUdpPort;
  EXPECT_EQ(map.Insert(gre, 3), 1u);
  for (const uint8_t protocol : {kProtoIpip, kProtoIpv6}) {
    EXPECT_EQ(map.Find(From(gif, protocol)).tunnel, 1u);
  }
  gre.udp_port = 0;
  EXPECT_EQ(map.Find(From(gre, kProtoGre)).tunnel, 2u);
  gre.transport = OuterTransport::kIp;
  EXPECT_EQ(map.Find(From(gre, kProtoGre)).why, DropReason::kNoTunnel);
}

TEST(EndpointMapTest, TheSameIdentityIsRefusedAndNamesItsHolder) {
  EndpointMap map;
  const EncapConfig gif = Config(Mode::kGif, kV4);
  ASSERT_EQ(map.Insert(gif, 1), std::nullopt);
  EXPECT_EQ(map.Insert(gif, 1), std::nullopt) << "it has it already";
  EXPECT_EQ(map.Insert(gif, 2), 1u);
  EXPECT_EQ(map.Insert(Config(Mode::kIpip, kV4), 2), 1u);
  EXPECT_EQ(map.Insert(Config(Mode::kSit, kV4), 2), 1u);
  EXPECT_EQ(map.Insert(Config(Mode::kGre, kV4), 2), std::nullopt);
  EXPECT_EQ(map.size(), 2u);

  // Half of a gif tunnel is held: nothing changes.
  EndpointMap half;
  ASSERT_EQ(half.Insert(Config(Mode::kSit, kV4), 7), std::nullopt);
  EXPECT_EQ(half.Insert(gif, 8), 7u);
  EXPECT_EQ(half.Insert(gif, 7), 7u);
  EXPECT_EQ(half.Find(From(gif, kProtoIpip)).why, DropReason::kNoTunnel);
  EXPECT_FALSE(half.Erase(gif, 7));
  EXPECT_EQ(half.Find(From(gif, kProtoIpv6)).tunnel, 7u);
}

TEST(EndpointMapTest, NoKeyAndKeyZeroAreTwoTunnels) {
  EndpointMap map;
  const EncapConfig none = Config(Mode::kGre, kV4);
  EXPECT_EQ(map.Insert(none, 1), std::nullopt);
  EXPECT_EQ(map.Insert(Keyed(0), 2), std::nullopt);
  EXPECT_EQ(map.Find(From(none, kProtoGre)).tunnel, 1u);
  EXPECT_EQ(map.Find(From(Keyed(0), kProtoGre)).tunnel, 2u);
}

TEST(EndpointMapTest, SaysWhyNothingIsFound) {
  EndpointMap map;
  ASSERT_EQ(map.Insert(Keyed(42), 1), std::nullopt);
  const EncapConfig none = Config(Mode::kGre, kV4);
  EXPECT_EQ(map.Find(From(none, kProtoGre)).why, DropReason::kKeyMissing);
  EXPECT_EQ(map.Find(From(Keyed(43), kProtoGre)).why, DropReason::kKeyMismatch);
  OuterInfo stranger = From(Keyed(42), kProtoGre);
  stranger.addresses.remote = Addr("192.0.2.77");
  EXPECT_EQ(map.Find(stranger).why, DropReason::kWrongSource);
  stranger.addresses.remote = Addr("127.0.0.1");
  EXPECT_EQ(map.Find(stranger).why, DropReason::kMartianSource);
  OuterInfo elsewhere = From(Keyed(42), kProtoGre);
  elsewhere.addresses.local = Addr("192.0.2.99");
  EXPECT_EQ(map.Find(elsewhere).why, DropReason::kNoTunnel);

  EndpointMap unkeyed;
  ASSERT_EQ(unkeyed.Insert(none, 1), std::nullopt);
  EXPECT_EQ(unkeyed.Find(From(Keyed(1), kProtoGre)).why,
            DropReason::kKeyUnexpected);
}

TEST(EndpointMapTest, AnyRemoteComesAfterTheOneThatIsNamed) {
  EncapConfig any = Config(Mode::kGre, kV4);
  any.remote = Addr("0.0.0.0");
  EncapConfig any_keyed = any;
  any_keyed.input_key = 9;
  EndpointMap map;
  ASSERT_EQ(map.Insert(any, 1), std::nullopt);
  ASSERT_EQ(map.Insert(Config(Mode::kGre, kV4), 2), std::nullopt);
  ASSERT_EQ(map.Insert(any_keyed, 3), std::nullopt);
  OuterInfo outer = From(Config(Mode::kGre, kV4), kProtoGre);
  EXPECT_EQ(map.Find(outer).tunnel, 2u);
  outer.key = 9;
  EXPECT_EQ(map.Find(outer).tunnel, 3u);
  outer.addresses.remote = Addr("203.0.113.5");
  EXPECT_EQ(map.Find(outer).tunnel, 3u);
  outer.key = 8;
  EXPECT_EQ(map.Find(outer).why, DropReason::kKeyMismatch);
  outer.key.reset();
  EXPECT_EQ(map.Find(outer).tunnel, 1u);
  outer.addresses.remote = Addr("240.0.0.1");
  EXPECT_EQ(map.Find(outer).why, DropReason::kMartianSource);
  ASSERT_TRUE(map.Erase(any, 1));
  outer.addresses.remote = Addr("203.0.113.5");
  EXPECT_EQ(map.Find(outer).why, DropReason::kKeyMissing);
  ASSERT_TRUE(map.Erase(any_keyed, 3));
  EXPECT_EQ(map.Find(outer).why, DropReason::kWrongSource);
}

TEST(EndpointMapTest, ErasesForItsHolderAlone) {
  EndpointMap map;
  const EncapConfig gif = Config(Mode::kGif, kV6);
  EXPECT_FALSE(map.Erase(gif, 1));
  ASSERT_EQ(map.Insert(gif, 1), std::nullopt);
  EXPECT_FALSE(map.Erase(gif, 2));
  EXPECT_EQ(map.Find(From(gif, kProtoIpv6)).tunnel, 1u);
  EXPECT_TRUE(map.Erase(gif, 1));
  EXPECT_EQ(map.Find(From(gif, kProtoIpv6)).why, DropReason::kNoTunnel);
  EXPECT_EQ(map.size(), 0u);
}

TEST(EndpointMapTest, ACopyIsAMapOfItsOwn) {
  EndpointMap map;
  ASSERT_EQ(map.Insert(Keyed(1), 1), std::nullopt);
  EndpointMap copy = map;
  ASSERT_TRUE(copy.Erase(Keyed(1), 1));
  ASSERT_EQ(copy.Insert(Keyed(2), 2), std::nullopt);
  EXPECT_EQ(map.Find(From(Keyed(1), kProtoGre)).tunnel, 1u);
  EXPECT_EQ(map.Find(From(Keyed(2), kProtoGre)).why, DropReason::kKeyMismatch);
}

// Against std::map, through growth and erasure, in small key spaces that make
// long runs of slots.
TEST(EndpointMapTest, AgreesWithAnOrderedMap) {
  rc::check("insert, erase, find", [] {
    EndpointMap map;
    std::map<std::tuple<int, int, bool, int>, uint32_t> model;
    const auto steps = *rc::gen::inRange(1, 400);
    for (int i = 0; i < steps; ++i) {
      const int host = *rc::gen::inRange(1, 12);
      const int mode = *rc::gen::inRange(0, 2);
      const bool keyed = mode == 0 && *rc::gen::arbitrary<bool>();
      const int key = keyed ? *rc::gen::inRange(0, 4) : 0;
      const auto tunnel = *rc::gen::inRange<uint32_t>(0, 3);
      EncapConfig config = Config(mode == 0 ? Mode::kGre : Mode::kGif, kV4);
      config.remote = Addr("198.51.100." + std::to_string(host));
      if (keyed) config.input_key = static_cast<uint32_t>(key);
      const std::tuple name(host, mode, keyed, key);
      const auto held = model.find(name);
      const bool mine = held != model.end() && held->second == tunnel;
      if (*rc::gen::arbitrary<bool>()) {
        const auto holder = map.Insert(config, tunnel);
        RC_ASSERT(holder.has_value() == (held != model.end() && !mine));
        if (!holder) model[name] = tunnel;
      } else {
        RC_ASSERT(map.Erase(config, tunnel) == mine);
        if (mine) model.erase(name);
      }
      RC_ASSERT(map.size() == model.size());
      const auto now = model.find(name);
      const auto found =
          map.Find(From(config, mode == 0 ? kProtoGre : kProtoIpv6));
      RC_ASSERT((found.why == DropReason::kNone) == (now != model.end()));
      if (now != model.end()) RC_ASSERT(found.tunnel == now->second);
    }
  });
}

}  // namespace
}  // namespace encap
