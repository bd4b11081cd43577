#include "encap/icmp_error.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "encap/bytes.h"
#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Addr;
using testing::Bytes;
using testing::Config;
using testing::FromHex;
using testing::InnerV4;
using testing::InnerV6;
using testing::ReferenceChecksum;

constexpr IpFamily kV4 = IpFamily::kV4;
constexpr IpFamily kV6 = IpFamily::kV6;
using Kind = InnerError::Kind;

// `packet` with some bytes changed and its IPv4 header checksum mended.
Bytes Changed(Bytes packet, size_t at, std::string_view hex) {
  const Bytes bytes = FromHex(hex);
  std::copy(bytes.begin(), bytes.end(),
            packet.begin() + static_cast<ptrdiff_t>(at));
  if (packet[0] >> 4 == 4) {
    const size_t len = size_t{4} * (packet[0] & 15);
    Put16(packet.data() + 10, 0);
    Put16(packet.data() + 10, ReferenceChecksum({packet.data(), len}));
  }
  return packet;
}

Bytes Icmp4(uint8_t type) {
  Bytes packet = InnerV4({.protocol = 1});
  packet[20] = type;
  return packet;
}

Bytes Icmp6(uint8_t type) {
  Bytes packet = InnerV6({.protocol = 58});
  packet[40] = type;
  return packet;
}

Bytes WithHeaders(uint8_t next, std::string_view headers, uint8_t type) {
  Bytes packet = Icmp6(type);
  const Bytes inserted = FromHex(headers);
  packet[6] = next;
  packet.insert(packet.begin() + 40, inserted.begin(), inserted.end());
  return packet;
}

TEST(MayAnswerTest, Rfc1812) {
  const Bytes plain = InnerV4();
  Bytes wrong_sum = plain;
  wrong_sum[10] ^= 1;
  struct Row {
    const char* name;
    Bytes packet;
    bool may;
  };
  const std::vector<Row> rows = {
      {"plain", plain, true},
      {"header checksum", wrong_sum, false},
      {"header length", Changed(plain, 0, "44"), false},
      {"total length", Changed(plain, 2, "0013"), false},
      {"version", Changed(plain, 0, "55"), false},
      {"first fragment", Changed(plain, 6, "2000"), true},
      {"later fragment", Changed(plain, 6, "2001"), false},
      {"last fragment", Changed(plain, 6, "0010"), false},
      {"to multicast", Changed(plain, 16, "e0000001"), false},
      {"to broadcast", Changed(plain, 16, "ffffffff"), false},
      {"from 0.0.0.0", Changed(plain, 12, "00000000"), false},
      {"from loopback", Changed(plain, 12, "7f000001"), false},
      {"from multicast", Changed(plain, 12, "e0000001"), false},
      {"from broadcast", Changed(plain, 12, "ffffffff"), false},
      {"from class E", Changed(plain, 12, "f0000001"), false},
      {"echo request", Icmp4(8), true},
      {"echo reply", Icmp4(0), true},
      {"unreachable", Icmp4(3), false},
      {"source quench", Icmp4(4), false},
      {"redirect", Icmp4(5), false},
      {"time exceeded", Icmp4(11), false},
      {"parameter problem", Icmp4(12), false},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(MayAnswer(row.packet, Kind::kTooBig), row.may) << row.name;
  }
  const Bytes icmp = Icmp4(8);
  EXPECT_FALSE(MayAnswer(std::span(icmp).first(20), Kind::kTooBig));
  EXPECT_TRUE(MayAnswer(std::span(icmp).first(21), Kind::kTooBig));
}

TEST(MayAnswerTest, Rfc4443) {
  constexpr Kind kHost = Kind::kHostUnreachable;
  const Bytes plain = InnerV6();
  struct Row {
    const char* name;
    Bytes packet;
    Kind kind;
    bool may;
  };
  const std::vector<Row> rows = {
      {"plain", plain, kHost, true},
      {"from ::", Changed(plain, 8, std::string(32, '0')), kHost, false},
      {"from multicast", Changed(plain, 8, "ff02"), kHost, false},
      {"to multicast", Changed(plain, 24, "ff02"), kHost, false},
      {"to multicast, too big", Changed(plain, 24, "ff02"), Kind::kTooBig,
       true},
      {"to multicast, parameter", Changed(plain, 24, "ff02"),
       Kind::kParameterProblem, false},
      {"echo request", Icmp6(128), kHost, true},
      {"neighbour solicitation", Icmp6(135), kHost, true},
      {"unreachable", Icmp6(1), kHost, false},
      {"too big", Icmp6(2), Kind::kTooBig, false},
      {"unknown error", Icmp6(127), kHost, false},
      {"redirect", Icmp6(137), kHost, false},
      {"error behind options", WithHeaders(60, "3a 00 0104 00000000", 1), kHost,
       false},
      {"echo behind options", WithHeaders(60, "3a 00 0104 00000000", 128),
       kHost, true},
      {"first fragment of an error", WithHeaders(44, "3a 00 0001 00000001", 1),
       kHost, false},
      {"first fragment of an echo", WithHeaders(44, "3a 00 0001 00000001", 128),
       kHost, true},
      {"later fragment of ICMPv6", WithHeaders(44, "3a 00 0010 00000001", 128),
       kHost, false},
      {"later fragment of UDP", WithHeaders(44, "11 00 0010 00000001", 128),
       kHost, true},
      {"later fragment of what is not seen",
       WithHeaders(44, "3c 00 0010 00000001", 128), kHost, false},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(MayAnswer(row.packet, row.kind), row.may) << row.name;
  }
  EXPECT_FALSE(MayAnswer({}, kHost));
}

TEST(MayAnswerTest, EveryTruncationReadsNothingOutside) {
  const std::vector<std::pair<Bytes, size_t>> packets = {
      {InnerV4(), 20},
      {Icmp4(8), 21},
      {InnerV6(), 40},
      {Icmp6(128), 41},
      {WithHeaders(60, "3a 00 0104 00000000", 128), 49},
      {WithHeaders(44, "3a 00 0001 00000001", 128), 49}};
  for (const auto& [whole, enough] : packets) {
    for (size_t size = 0; size < whole.size(); ++size) {
      const Bytes cut(whole.begin(),
                      whole.begin() + static_cast<ptrdiff_t>(size));
      EXPECT_EQ(MayAnswer(cut, Kind::kTooBig), size >= enough) << size;
    }
  }
}

Bytes Compose(const InnerError& error, const Bytes& packet,
              const char* source) {
  Bytes out(1280, 0xee);
  out.resize(ComposeIcmpError(error, packet, Addr(source), out));
  return out;
}

// True when the ICMPv6 checksum over header and pseudo-header is right.
bool Icmp6SumIsRight(const Bytes& packet) {
  Bytes sum(packet.begin() + 8, packet.begin() + 40);
  const auto length = static_cast<uint32_t>(packet.size() - 40);
  sum.resize(40);
  Put32(sum.data() + 32, length);
  Put32(sum.data() + 36, 58);
  sum.insert(sum.end(), packet.begin() + 40, packet.end());
  return ReferenceChecksum(sum) == 0;
}

TEST(ComposeIcmpErrorTest, Ipv4ByTheByte) {
  const Bytes inner = InnerV4({.payload = 28});
  const Bytes error = Compose({Kind::kTooBig, 1400}, inner, "10.9.0.1");
  ASSERT_EQ(error.size(), 28 + inner.size());
  EXPECT_EQ(Bytes(error.begin(), error.begin() + 10),
            FromHex("45c0004c 00004000 4001"));
  EXPECT_TRUE(testing::Ipv4HeaderIsRight(error));
  EXPECT_EQ(Bytes(error.begin() + 12, error.begin() + 22),
            FromHex("0a090001 0a010001 0304"));
  EXPECT_EQ(Bytes(error.begin() + 24, error.begin() + 28),
            FromHex("0000 0578"));
  EXPECT_EQ(ReferenceChecksum(std::span(error).subspan(20)), 0);
  EXPECT_EQ(Bytes(error.begin() + 28, error.end()), inner);
}

TEST(ComposeIcmpErrorTest, Ipv6ByTheByte) {
  const Bytes inner = InnerV6();
  const Bytes error = Compose({Kind::kTooBig, 1400}, inner, "fd00:9::1");
  ASSERT_EQ(error.size(), 48 + inner.size());
  EXPECT_EQ(Bytes(error.begin(), error.begin() + 8),
            FromHex("60000000 0050 3a 40"));
  EXPECT_EQ(Bytes(error.begin() + 8, error.begin() + 42),
            FromHex("fd000009000000000000000000000001"
                    "fd000001000000000000000000000001 0200"));
  EXPECT_EQ(Get32(error.data() + 44), 1400u);
  EXPECT_TRUE(Icmp6SumIsRight(error));
  EXPECT_EQ(Bytes(error.begin() + 48, error.end()), inner);
}

TEST(ComposeIcmpErrorTest, KindsAndTheirNumbers) {
  struct Row {
    InnerError error;
    const char* v4;  // type, code; rest of header
    const char* v6;
  };
  for (const Row& row : std::vector<Row>{
           {{Kind::kTooBig, 70000}, "0304 0000ffff", "0200 00011170"},
           {{Kind::kTooBig, 1000}, "0304 000003e8", "0200 00000500"},
           {{Kind::kHostUnreachable, 9}, "0301 00000000", "0103 00000000"},
           {{Kind::kParameterProblem, 44}, "0c00 2c000000", "0400 0000002c"}}) {
    const auto head = [](const Bytes& error, size_t at) {
      Bytes bytes(error.begin() + static_cast<ptrdiff_t>(at),
                  error.begin() + static_cast<ptrdiff_t>(at + 8));
      bytes.erase(bytes.begin() + 2, bytes.begin() + 4);
      return bytes;
    };
    const Bytes v4 = Compose(row.error, InnerV4(), "10.9.0.1");
    const Bytes v6 = Compose(row.error, InnerV6(), "fd00:9::1");
    EXPECT_EQ(head(v4, 20), FromHex(row.v4));
    EXPECT_EQ(head(v6, 40), FromHex(row.v6));
    EXPECT_EQ(ReferenceChecksum(std::span(v4).subspan(20)), 0);
    EXPECT_TRUE(Icmp6SumIsRight(v6));
  }
}

TEST(ComposeIcmpErrorTest, QuotesAsMuchAsMayBe) {
  for (size_t payload = 0; payload < 1400; payload += 7) {
    const Bytes v4 = InnerV4({.payload = payload});
    const Bytes v6 = InnerV6({.payload = payload});
    const Bytes error4 = Compose({Kind::kTooBig, 600}, v4, "10.9.0.1");
    const Bytes error6 = Compose({Kind::kTooBig, 1280}, v6, "fd00:9::1");
    EXPECT_EQ(error4.size(), std::min<size_t>(576, 28 + v4.size()));
    EXPECT_EQ(error6.size(), std::min<size_t>(1280, 48 + v6.size()));
    EXPECT_TRUE(testing::Ipv4HeaderIsRight(error4));
    EXPECT_EQ(Get16(error4.data() + 2), error4.size());
    EXPECT_EQ(ReferenceChecksum(std::span(error4).subspan(20)), 0);
    EXPECT_TRUE(Icmp6SumIsRight(error6));
    EXPECT_TRUE(std::equal(error4.begin() + 28, error4.end(), v4.begin()));
    EXPECT_TRUE(std::equal(error6.begin() + 48, error6.end(), v6.begin()));
  }
}

TEST(ComposeIcmpErrorTest, PaddingBehindThePacketIsNotQuoted) {
  Bytes v4 = InnerV4();
  const size_t size = v4.size();
  v4.resize(size + 30, 0xee);
  EXPECT_EQ(Compose({}, v4, "10.9.0.1").size(), 28 + size);
  Bytes v6 = InnerV6();
  v6.resize(v6.size() + 30, 0xee);
  EXPECT_EQ(Compose({}, v6, "fd00:9::1").size(), 48 + InnerV6().size());
}

TEST(ComposeIcmpErrorTest, WritesNothingWhereItMayNot) {
  Bytes out(1280, 0xee);
  const Bytes untouched = out;
  const auto compose = [&](const Bytes& packet, const char* source,
                           size_t room) {
    return ComposeIcmpError({}, packet, Addr(source),
                            std::span(out).first(room));
  };
  EXPECT_EQ(compose(Icmp4(3), "10.9.0.1", 1280), 0u);
  EXPECT_EQ(compose(InnerV4(), "fd00::1", 1280), 0u);
  EXPECT_EQ(compose(InnerV6(), "10.9.0.1", 1280), 0u);
  EXPECT_EQ(compose(InnerV4(), "10.9.0.1", 575), 0u);
  EXPECT_EQ(compose(InnerV6(), "fd00::1", 1279), 0u);
  EXPECT_EQ(ComposeIcmpError({}, InnerV4(), IpAddress(), out), 0u);
  EXPECT_EQ(compose({}, "10.9.0.1", 1280), 0u);
  EXPECT_EQ(out, untouched);
  EXPECT_NE(compose(InnerV4(), "10.9.0.1", 576), 0u);
}

// An outer error about a gif packet with this inner packet.
std::optional<InnerError> Relay(IpFamily outer, IcmpErrorHead head,
                                const Bytes& inner, uint32_t path_mtu,
                                OuterTransport transport = OuterTransport::kIp,
                                std::optional<uint8_t> limit = {}) {
  EncapConfig config = Config(Mode::kGif, outer);
  config.transport = transport;
  config.encap_limit = limit;
  Bytes quote(EncapOverhead(config));
  const bool v4 = outer == kV4;
  quote[0] = v4 ? 0x45 : 0x60;
  const auto local = config.local.bytes();
  const auto remote = config.remote.bytes();
  std::copy(local.begin(), local.end(), quote.begin() + (v4 ? 12 : 8));
  std::copy(remote.begin(), remote.end(), quote.begin() + (v4 ? 16 : 24));
  uint8_t protocol = inner[0] >> 4 == 4 ? 4 : 41;
  if (transport == OuterTransport::kUdp) {
    protocol = 17;
    Put32(quote.data() + quote.size() - 8, 0xc0000000 | kDirectUdpPort);
  }
  quote[v4 ? 9 : 6] = protocol;
  if (limit) {
    quote[6] = 60;
    const Bytes option = FromHex("00 00 04 01 00 01 01 00");
    std::copy(option.begin(), option.end(), quote.begin() + 40);
    quote[40] = protocol;
    quote[44] = *limit;
  }
  quote.insert(quote.end(), inner.begin(), inner.end());
  const auto error = ParseQuote(head, quote);
  EXPECT_TRUE(error);
  const auto found = FindQuotedInner(*error, config);
  EXPECT_TRUE(found);
  return error && found ? RelayOuterError(*error, *found, path_mtu)
                        : std::nullopt;
}

constexpr IcmpErrorHead kTooBig4 = {3, 4, 1400};
constexpr IcmpErrorHead kTooBig6 = {2, 0, 1400};

TEST(RelayOuterErrorTest, TooBigTellsWhatIsLeft) {
  const Bytes v4 = InnerV4({.payload = 1460});
  const Bytes v4_no_df = InnerV4({.dont_fragment = false, .payload = 1460});
  const Bytes v6 = InnerV6({.payload = 1440});
  const auto too_big = [](uint32_t mtu) {
    return std::optional(InnerError{Kind::kTooBig, mtu});
  };
  EXPECT_EQ(Relay(kV4, kTooBig4, v4, 1400), too_big(1380));
  EXPECT_EQ(Relay(kV6, kTooBig6, v4, 1400), too_big(1360));
  EXPECT_EQ(Relay(kV4, kTooBig4, v6, 1400), too_big(1380));
  EXPECT_EQ(Relay(kV6, kTooBig6, v6, 1400), too_big(1360));
  EXPECT_EQ(Relay(kV4, kTooBig4, v6, 1400, OuterTransport::kUdp),
            too_big(1372));
  EXPECT_EQ(Relay(kV6, kTooBig6, v6, 1400, OuterTransport::kIp, 4),
            too_big(1352));
  EXPECT_EQ(Relay(kV4, kTooBig4, v4, 576), too_big(556));
  EXPECT_EQ(Relay(kV4, kTooBig4, v6, 576), too_big(1280)) << "IPv6 floor";
  EXPECT_EQ(Relay(kV4, kTooBig4, v4, 1500), std::nullopt) << "fits";
  EXPECT_EQ(Relay(kV4, kTooBig4, v4_no_df, 1400), std::nullopt)
      << "its sender asked for no such news";
  EXPECT_EQ(Relay(kV4, kTooBig4, InnerV6({.payload = 1240}), 576), std::nullopt)
      << "1280 bytes pass in any case";
  EXPECT_EQ(Relay(kV4, kTooBig4, v4, 10), too_big(0));
}

TEST(RelayOuterErrorTest, OtherErrorsByTheTable) {
  const std::optional<InnerError> host = InnerError{Kind::kHostUnreachable, 0};
  struct Row {
    const char* name;
    IpFamily outer;
    IcmpErrorHead head;
    std::optional<InnerError> want;
    OuterTransport transport = OuterTransport::kIp;
    std::optional<uint8_t> limit = std::nullopt;
  };
  const std::vector<Row> rows = {
      {"net unreachable", kV4, {3, 0, 0}, host},
      {"host unreachable", kV4, {3, 1, 0}, host},
      {"protocol unreachable", kV4, {3, 2, 0}, host},
      {"port unreachable", kV4, {3, 3, 0}, std::nullopt},
      {"port, in UDP", kV4, {3, 3, 0}, host, OuterTransport::kUdp},
      {"source route failed", kV4, {3, 5, 0}, std::nullopt},
      {"prohibited", kV4, {3, 13, 0}, host},
      {"TTL exceeded", kV4, {11, 0, 0}, host},
      {"reassembly", kV4, {11, 1, 0}, std::nullopt},
      {"parameter problem", kV4, {12, 0, 20}, std::nullopt},
      {"no route", kV6, {1, 0, 0}, host},
      {"address unreachable", kV6, {1, 3, 0}, host},
      {"port unreachable", kV6, {1, 4, 0}, std::nullopt},
      {"port, in UDP", kV6, {1, 4, 0}, host, OuterTransport::kUdp},
      {"code 5 of ICMPv6", kV6, {1, 5, 0}, host},
      {"hop limit exceeded", kV6, {3, 0, 0}, host},
      {"reassembly", kV6, {3, 1, 0}, std::nullopt},
      {"next header unknown", kV6, {4, 1, 6}, std::nullopt},
      {"encapsulation limit 0", kV6, {4, 0, 44}, host, OuterTransport::kIp, 0},
      {"encapsulation limit 1",
       kV6,
       {4, 0, 44},
       std::nullopt,
       OuterTransport::kIp,
       1},
      {"beside the limit",
       kV6,
       {4, 0, 43},
       std::nullopt,
       OuterTransport::kIp,
       0},
  };
  for (const Row& row : rows) {
    for (const Bytes& inner : {InnerV4(), InnerV6()}) {
      EXPECT_EQ(
          Relay(row.outer, row.head, inner, 1500, row.transport, row.limit),
          row.want)
          << row.name;
    }
  }
}

}  // namespace
}  // namespace encap
