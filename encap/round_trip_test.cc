// Properties over random tunnels and packets: decapsulate(encapsulate(p)) = p,
// and what is sent says what the configuration says.

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "encap/decapsulator.h"
#include "encap/encapsulator.h"
#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Bytes;
using testing::Config;
using testing::Frame;
using testing::Inner;
using testing::InnerOptions;
using testing::Ipv4HeaderIsRight;
using testing::OwnedPacket;
using testing::Peer;

template <typename T>
std::optional<T> AnyOptional(rc::Gen<T> gen) {
  return *rc::gen::arbitrary<bool>() ? std::optional<T>(*gen) : std::nullopt;
}

EncapConfig AnyConfig() {
  const Mode mode = *rc::gen::element(Mode::kGif, Mode::kIpip, Mode::kSit,
                                      Mode::kIp6ip6, Mode::kGre, Mode::kGretap);
  IpFamily outer = *rc::gen::element(IpFamily::kV4, IpFamily::kV6);
  if (mode == Mode::kSit) outer = IpFamily::kV4;
  if (mode == Mode::kIp6ip6) outer = IpFamily::kV6;
  EncapConfig config = Config(mode, outer);
  if (IsGre(mode)) {
    config.input_key = AnyOptional(rc::gen::arbitrary<uint32_t>());
    config.output_key = AnyOptional(rc::gen::arbitrary<uint32_t>());
    config.checksum = *rc::gen::arbitrary<bool>();
    config.sequence = *rc::gen::arbitrary<bool>();
  }
  config.ttl = AnyOptional(rc::gen::inRange<uint8_t>(1, 255));
  if (*rc::gen::arbitrary<bool>()) {
    config.tos = static_cast<uint8_t>(*rc::gen::arbitrary<uint8_t>() & 0xfc);
  }
  config.df =
      *rc::gen::element(DfPolicy::kOn, DfPolicy::kOff, DfPolicy::kInherit);
  config.ecn = *rc::gen::element(EcnMode::kNormal, EcnMode::kCompat);
  if (outer == IpFamily::kV6) {
    config.encap_limit = AnyOptional(rc::gen::arbitrary<uint8_t>());
  }
  if (mode != Mode::kGretap && *rc::gen::arbitrary<bool>()) {
    // Where the packets of AnyIp() come from.
    for (const char* text : {"10.1.0.0/24", "fd00:1::/64"}) {
      const IpPrefix prefix = *IpPrefix::Parse(text);
      if (!Carries(mode, prefix.address.family())) continue;
      config.allowed_sources.push_back(prefix);
    }
  }
  if (*rc::gen::arbitrary<bool>()) {
    config.transport = OuterTransport::kUdp;
    config.udp_port = *rc::gen::arbitrary<uint16_t>();
    config.udp_source_port = *rc::gen::arbitrary<uint16_t>();
    config.udp_zero_checksum =
        outer == IpFamily::kV4 && *rc::gen::arbitrary<bool>();
  }
  return config;
}

Bytes AnyIp(IpFamily family) {
  InnerOptions options;
  options.tos = *rc::gen::arbitrary<uint8_t>();
  options.ttl = *rc::gen::inRange<uint8_t>(1, 255);
  options.dont_fragment = *rc::gen::arbitrary<bool>();
  options.protocol = *rc::gen::arbitrary<uint8_t>();
  options.payload = *rc::gen::inRange<size_t>(0, 1600);
  return Inner(family, options);
}

Bytes AnyPayload(Mode mode) {
  const IpFamily family = mode == Mode::kIpip ? IpFamily::kV4
                          : mode == Mode::kSit || mode == Mode::kIp6ip6
                              ? IpFamily::kV6
                              : *rc::gen::element(IpFamily::kV4, IpFamily::kV6);
  if (mode != Mode::kGretap) return AnyIp(family);
  if (*rc::gen::arbitrary<bool>()) {
    return Frame(family == IpFamily::kV4 ? 0x0800 : 0x86dd, AnyIp(family),
                 *rc::gen::inRange(0, 3));
  }
  return Frame(*rc::gen::arbitrary<uint16_t>(),
               *rc::gen::container<Bytes>(rc::gen::arbitrary<uint8_t>()));
}

constexpr ParseOptions kAnyUdp{.any_udp_port = true};

RC_GTEST_PROP(RoundTripTest, WhatGoesInComesOut, ()) {
  const EncapConfig config = AnyConfig();
  RC_ASSERT(Validate(config).empty());
  const Encapsulator encapsulator(config);
  const Decapsulator decapsulator(Peer(config));
  OutputState out;
  out.next_sequence = *rc::gen::arbitrary<uint32_t>();
  out.next_ipv4_id = *rc::gen::arbitrary<uint16_t>();
  InputState in;
  for (int i = 0; i < 3; ++i) {
    const Bytes payload = AnyPayload(config.mode);
    OwnedPacket packet(payload, kMaxEncapHeadroom, 8);
    RC_ASSERT(encapsulator.Encapsulate(*packet, out) == DropReason::kNone);
    const uint32_t overhead =
        EncapOverhead(config) - (config.mode == Mode::kGretap ? 14 : 0);
    RC_ASSERT(packet->size() == payload.size() + overhead);
    if (config.remote.is_v4()) RC_ASSERT(Ipv4HeaderIsRight(packet->bytes()));

    const size_t padding = *rc::gen::inRange<size_t>(0, 9);
    RC_ASSERT(packet->Append(padding) != nullptr);
    OuterInfo info;
    RC_ASSERT(ParseOuter(packet->bytes(), kAnyUdp, info) == DropReason::kNone);
    RC_ASSERT(info.udp_port == UdpPort(config));
    RC_ASSERT(info.has_udp_checksum ==
              (config.transport == OuterTransport::kUdp &&
               !config.udp_zero_checksum));
    RC_ASSERT(info.addresses.local == config.remote);
    RC_ASSERT(info.addresses.remote == config.local);
    RC_ASSERT(info.key == config.output_key);
    RC_ASSERT(decapsulator.Decapsulate(*packet, info, in) == DropReason::kNone);
    RC_ASSERT(packet.bytes() == payload);
    RC_ASSERT(packet->headroom() == kMaxEncapHeadroom);
  }
}

// A tunnel in a tunnel: two headers on, two headers off; but none behind a
// limit of 0 (RFC 2473 4.1.1).
RC_GTEST_PROP(RoundTripTest, TunnelsNest, ()) {
  EncapConfig inner_config = AnyConfig();
  inner_config.mode = Mode::kGre;
  inner_config.allowed_sources.clear();
  const EncapConfig outer_config =
      Config(Mode::kGif, *rc::gen::element(IpFamily::kV4, IpFamily::kV6));
  const Bytes payload = AnyIp(IpFamily::kV6);
  OwnedPacket packet(payload);
  OutputState out1;
  OutputState out2;
  InputState in1;
  InputState in2;
  OuterInfo info;
  RC_ASSERT(Encapsulator(inner_config).Encapsulate(*packet, out1) ==
            DropReason::kNone);
  const DropReason nested =
      Encapsulator(outer_config).Encapsulate(*packet, out2);
  if (inner_config.encap_limit == 0) {
    RC_ASSERT(nested == DropReason::kRecursion);
    return;
  }
  RC_ASSERT(nested == DropReason::kNone);
  RC_ASSERT(ParseOuter(packet->bytes(), true, info) == DropReason::kNone);
  RC_ASSERT(Decapsulator(Peer(outer_config)).Decapsulate(*packet, info, in2) ==
            DropReason::kNone);
  RC_ASSERT(ParseOuter(packet->bytes(), kAnyUdp, info) == DropReason::kNone);
  RC_ASSERT(Decapsulator(Peer(inner_config)).Decapsulate(*packet, info, in1) ==
            DropReason::kNone);
  RC_ASSERT(packet.bytes() == payload);
}

}  // namespace
}  // namespace encap
