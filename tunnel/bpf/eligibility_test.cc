#include "tunnel/bpf/eligibility.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "encap/packets_for_test.h"

namespace tunnel {
namespace {

using encap::EncapConfig;
using encap::IpFamily;
using encap::Mode;
using encap::testing::Addr;
using encap::testing::Config;

FastSurroundings Good() {
  return {.underlay_ifindex = 3, .underlay_ethernet = true};
}

std::string Why(const std::function<void(EncapConfig&)>& change,
                Mode mode = Mode::kGre, IpFamily outer = IpFamily::kV4) {
  EncapConfig config = Config(mode, outer);
  change(config);
  return WhyUserPath(config, Good());
}

TEST(EligibilityTest, PlainTunnelsOfBothFamiliesAreCarried) {
  const auto nothing = [](EncapConfig&) {};
  for (const Mode mode : {Mode::kGre, Mode::kGif, Mode::kIpip}) {
    EXPECT_EQ(Why(nothing, mode, IpFamily::kV4), "");
    EXPECT_EQ(Why(nothing, mode, IpFamily::kV6), "");
  }
  EXPECT_EQ(Why(nothing, Mode::kSit, IpFamily::kV4), "");
  EXPECT_EQ(Why(nothing, Mode::kIp6ip6, IpFamily::kV6), "");
}

TEST(EligibilityTest, HeaderFieldsDoNotMatter) {
  EXPECT_EQ(Why([](EncapConfig& c) {
              c.input_key = 1;
              c.output_key = 2;
              c.ttl = std::nullopt;
              c.tos = 0x10;
              c.df = encap::DfPolicy::kOff;
              c.ecn = encap::EcnMode::kCompat;
            }),
            "");
  // Over IPv4 there is no such option.
  EXPECT_EQ(Why([](EncapConfig& c) { c.encap_limit = 4; }), "");
  // What is too large goes the user path, and is cut there.
  EXPECT_EQ(
      Why([](EncapConfig& c) { c.fragment = encap::FragmentPolicy::kOuter; }),
      "");
}

TEST(EligibilityTest, WhatEachPacketNeedsIsTold) {
  EXPECT_EQ(Why([](EncapConfig& c) { c.checksum = true; }), "checksum is on");
  EXPECT_EQ(Why([](EncapConfig& c) { c.sequence = true; }), "seq is on");
  EXPECT_EQ(Why([](EncapConfig& c) { c.mode = Mode::kGretap; }),
            "the payload is Ethernet");
  EXPECT_EQ(Why([](EncapConfig& c) { c.remote = Addr("0.0.0.0"); }),
            "remote is any");
  EXPECT_EQ(
      Why([](EncapConfig& c) { c.encap_limit = 4; }, Mode::kGre, IpFamily::kV6),
      "encaplimit is set");
  EXPECT_EQ(Why([](EncapConfig& c) {
              c.allowed_sources = {*encap::IpPrefix::Parse("10.0.0.0/8")};
            }),
            "allowed-ips is set");
  EXPECT_EQ(Why([](EncapConfig& c) { c.mss_clamp = 0; }), "mss-clamp is set");
}

TEST(EligibilityTest, InUdpOnlyWithoutChecksum) {
  const auto with = [](EncapConfig& c) {
    c.transport = encap::OuterTransport::kUdp;
  };
  const auto without = [&](EncapConfig& c) {
    with(c);
    c.udp_zero_checksum = true;
  };
  EXPECT_EQ(Why(with), "noudpcsum is not set");
  EXPECT_EQ(Why(with, Mode::kGif), "noudpcsum is not set");
  EXPECT_EQ(Why(with, Mode::kGre, IpFamily::kV6), "transport is udp over IPv6");
  for (const Mode mode : {Mode::kGre, Mode::kGif, Mode::kIpip, Mode::kSit})
    EXPECT_EQ(Why(without, mode), "");
  EXPECT_EQ(Why(without, Mode::kGretap), "the payload is Ethernet");
  // Of no meaning in IP.
  EXPECT_EQ(Why([](EncapConfig& c) { c.udp_port = 9; }), "");
}

TEST(EligibilityTest, SurroundingsAreTold) {
  const EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
  const auto why = [&](const std::function<void(FastSurroundings&)>& change) {
    FastSurroundings around = Good();
    change(around);
    return WhyUserPath(config, around);
  };
  using S = FastSurroundings;
  EXPECT_EQ(why([](S& s) { s.admin_up = false; }), "administratively down");
  EXPECT_EQ(why([](S& s) { s.can_transmit = false; }),
            "nothing can be sent now");
  EXPECT_EQ(why([](S& s) { s.underlay_ifindex = 0; }),
            "no route to the remote");
  EXPECT_EQ(why([](S& s) { s.underlay_ethernet = false; }),
            "the underlay is not Ethernet");
  EXPECT_EQ(why([](S& s) { s.underlay_is_tunnel = true; }),
            "the route leads through a tunnel");
  EXPECT_EQ(why([](S& s) { s.has_xfrm_policy = true; }),
            "IPsec policies are in force");
}

TEST(EligibilityTest, SlotHasWhatTheProgramsRead) {
  FastRecord record{.config = Config(Mode::kIpip, IpFamily::kV6),
                    .underlay_ifindex = 3,
                    .bound_ifindex = 3,
                    .fwmark = 9,
                    .path_mtu = 1500};
  record.config.ttl = std::nullopt;
  record.config.tos = 0x10;
  const fp_slot slot = SlotFor(5, 7, record);
  EXPECT_EQ(slot.tunnel, 5U);
  EXPECT_EQ(slot.device, 7U);
  EXPECT_EQ(slot.underlay, 3U);
  EXPECT_EQ(slot.bound, 3U);
  EXPECT_EQ(slot.mark, 9U);
  EXPECT_EQ(slot.path_mtu, 1500U);
  EXPECT_EQ(slot.family, 6);
  EXPECT_EQ(slot.is_gre, 0);
  EXPECT_EQ(slot.carries, kFpCarriesV4);
  EXPECT_EQ(slot.ttl_copied, 0xff);
  EXPECT_EQ(slot.ttl_fixed, 0);
  // DSCP fixed, ECN copied (RFC 6040 4.1).
  EXPECT_EQ(slot.tos_fixed, 0x10);
  EXPECT_EQ(slot.tos_copied, 0x03);
  EXPECT_EQ(slot.has_output_key, 0);
}

TEST(EligibilityTest, PortsAreAsOnTheWire) {
  EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
  config.udp_port = 9;  // not in UDP
  EXPECT_EQ(SlotFor(1, 2, {.config = config}).udp_port, 0);
  config.transport = encap::OuterTransport::kUdp;
  config.udp_port = 0;
  fp_slot slot = SlotFor(1, 2, {.config = config});
  EXPECT_EQ(slot.is_gre, 1);
  EXPECT_EQ(slot.udp_port, htons(4754));
  EXPECT_EQ(slot.udp_source_port, 0);
  config.mode = Mode::kGif;
  config.udp_source_port = 0x0102;
  slot = SlotFor(1, 2, {.config = config});
  EXPECT_EQ(slot.is_gre, 0);
  EXPECT_EQ(slot.udp_port, htons(5555));
  EXPECT_EQ(slot.udp_source_port, htons(0x0102));
  const FastInputKey key{
      {config.local, config.remote}, std::nullopt, 0, 17, 5555};
  EXPECT_EQ(InputKeyFor(key).udp_port, slot.udp_port);
  EXPECT_EQ(InputKeyFor(key).protocol, 17);
}

TEST(EligibilityTest, KeyZeroIsNotNoKey) {
  EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
  config.output_key = 0;
  config.input_key = 0x01020304;
  const fp_slot slot = SlotFor(1, 2, {.config = config});
  EXPECT_EQ(slot.has_output_key, 1);
  EXPECT_EQ(slot.output_key, 0U);
  EXPECT_EQ(slot.has_input_key, 1);
  const uint8_t* wire = reinterpret_cast<const uint8_t*>(&slot.input_key);
  EXPECT_EQ(std::vector<uint8_t>(wire, wire + 4),
            (std::vector<uint8_t>{1, 2, 3, 4}));

  FastInputKey key{{config.local, config.remote}, config.input_key, 4, 47};
  const fp_input_key raw = InputKeyFor(key);
  EXPECT_EQ(raw.family, 4);
  EXPECT_EQ(raw.protocol, 47);
  EXPECT_EQ(raw.has_key, 1);
  EXPECT_EQ(raw.key, slot.input_key);
  EXPECT_EQ(raw.ifindex, 4U);
  EXPECT_EQ(raw.local[0], slot.local[0]);
  EXPECT_EQ(raw.remote[0], slot.remote[0]);
  key.key = std::nullopt;
  EXPECT_EQ(InputKeyFor(key).has_key, 0);
}

}  // namespace
}  // namespace tunnel
