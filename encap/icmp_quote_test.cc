#include "encap/icmp_quote.h"

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <vector>

#include "encap/encapsulator.h"
#include "encap/fragment.h"
#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Addr;
using testing::Bytes;
using testing::Config;
using testing::Frame;
using testing::FromHex;
using testing::InnerV4;
using testing::InnerV6;
using testing::OwnedPacket;
using testing::ReferenceChecksum;

constexpr IpFamily kV4 = IpFamily::kV4;
constexpr IpFamily kV6 = IpFamily::kV6;
using Kind = IcmpErrorKind;

Bytes First(const Bytes& bytes, size_t size) {
  return {bytes.begin(),
          bytes.begin() + static_cast<ptrdiff_t>(std::min(size, bytes.size()))};
}

Bytes Sent(const EncapConfig& config, const Bytes& inner) {
  OwnedPacket packet(inner);
  OutputState state;
  EXPECT_EQ(Encapsulator(config).Encapsulate(*packet, state),
            DropReason::kNone);
  return packet.bytes();
}

// `head` is type, code, checksum (mended for ICMP) and the word behind.
Bytes Message(IpFamily family, std::string_view head, const Bytes& quote) {
  Bytes message = FromHex(head);
  message.insert(message.end(), quote.begin(), quote.end());
  if (family == kV4) {
    const uint16_t sum = ReferenceChecksum(message);
    message[2] = static_cast<uint8_t>(sum >> 8);
    message[3] = static_cast<uint8_t>(sum);
  }
  return message;
}

// What is parsed is pointed into: a block of its own size, that stays.
const Bytes& Keep(const Bytes& bytes) {
  static std::deque<Bytes> kept;
  return kept.emplace_back(bytes);
}

std::optional<OuterError> Parse(const Bytes& message, IpFamily family) {
  return ParseIcmpError(Keep(message), family);
}

std::optional<OuterError> Quoted(const IcmpErrorHead& head,
                                 const Bytes& quote) {
  return ParseQuote(head, Keep(quote));
}

constexpr std::string_view kFragNeeded = "03 04 0000 0000 0578";   // 1400
constexpr std::string_view kPacketTooBig = "02 00 0000 00000578";  // 1400

std::string_view TooBig(IpFamily family) {
  return family == kV4 ? kFragNeeded : kPacketTooBig;
}

TEST(IcmpQuoteTest, ReadsTypeCodeAndWhatTheyCarry) {
  struct Row {
    IpFamily family;
    const char* head;
    Kind kind;
    uint32_t info;
  };
  const std::vector<Row> rows = {
      {kV4, "03 04 0000 0000 0578", Kind::kTooBig, 1400},
      {kV4, "03 04 0000 0000 0000", Kind::kTooBig, 0},
      {kV4, "03 01 0000 0000 0578", Kind::kUnreachable, 0},
      {kV4, "03 0d 0000 00000000", Kind::kUnreachable, 0},
      {kV4, "0b 00 0000 00000000", Kind::kHopLimitExceeded, 0},
      {kV4, "0b 01 0000 00000000", Kind::kReassemblyTimeout, 0},
      {kV4, "0c 00 0000 14000000", Kind::kParameterProblem, 20},
      {kV6, "02 00 0000 00010000", Kind::kTooBig, 65536},
      {kV6, "02 07 0000 00000578", Kind::kTooBig, 1400},
      {kV6, "01 04 0000 00000000", Kind::kUnreachable, 0},
      {kV6, "03 00 0000 00000000", Kind::kHopLimitExceeded, 0},
      {kV6, "03 01 0000 00000000", Kind::kReassemblyTimeout, 0},
      {kV6, "04 00 0000 0000002c", Kind::kParameterProblem, 44},
  };
  for (const Row& row : rows) {
    const EncapConfig config = Config(Mode::kGif, row.family);
    const auto error = Parse(
        Message(row.family, row.head, Sent(config, InnerV4())), row.family);
    ASSERT_TRUE(error) << row.head;
    EXPECT_EQ(error->kind, row.kind) << row.head;
    EXPECT_EQ(error->head.info, row.info) << row.head;
    EXPECT_EQ(error->addresses, (AddressPair{config.local, config.remote}));
    EXPECT_EQ(error->protocol, 4);
    EXPECT_EQ(error->packet_len, InnerV4().size() + EncapOverhead(config));
    EXPECT_FALSE(error->pointed_limit);
  }
}

TEST(IcmpQuoteTest, TakesNothingButErrorsOfTheFamily) {
  const Bytes v4 = Sent(Config(Mode::kGif, kV4), InnerV4());
  const Bytes v6 = Sent(Config(Mode::kGif, kV6), InnerV4());
  for (const char* head :
       {"00 00 0000 00000000", "04 00 0000 00000000", "05 01 0000 c0000201",
        "08 00 0000 00000000", "0d 00 0000 00000000"}) {
    EXPECT_FALSE(Parse(Message(kV4, head, v4), kV4)) << head;
  }
  for (const char* head : {"00 00 0000 00000000", "05 00 0000 00000000",
                           "80 00 0000 00000000", "89 00 0000 00000000"}) {
    EXPECT_FALSE(Parse(Message(kV6, head, v6), kV6)) << head;
  }
  EXPECT_FALSE(Parse(Message(kV4, kFragNeeded, v6), kV4));
  EXPECT_FALSE(Parse(Message(kV6, kPacketTooBig, v4), kV6));
  EXPECT_FALSE(Parse(Message(kV4, kFragNeeded, {}), kV4));
  EXPECT_FALSE(Parse({}, kV4));
  Bytes wrong_sum = Message(kV4, kFragNeeded, v4);
  wrong_sum[2] ^= 1;
  EXPECT_FALSE(Parse(wrong_sum, kV4));
  Bytes short_ihl = v4;
  short_ihl[0] = 0x44;
  EXPECT_FALSE(Parse(Message(kV4, kFragNeeded, short_ihl), kV4));
}

// The tunnels whose packets are told apart.
std::vector<EncapConfig> Tunnels(IpFamily outer) {
  std::vector<EncapConfig> all;
  for (const Mode mode : {Mode::kGif, Mode::kGre, Mode::kGretap}) {
    EncapConfig config = Config(mode, outer);
    all.push_back(config);
    config.transport = OuterTransport::kUdp;
    all.push_back(config);
    config.udp_source_port = 7000;
    all.push_back(config);
    config.udp_source_port = 0;
    config.udp_port = 6000;
    all.push_back(config);
    if (!IsGre(mode)) continue;
    config = Config(mode, outer);
    config.output_key = 0;
    all.push_back(config);
    config.output_key = 7;
    all.push_back(config);
    config.checksum = true;
    all.push_back(config);
    config.sequence = true;
    all.push_back(config);
  }
  return all;
}

// RFC 792 promises the IP header and 8 bytes: less than that is nobody's.
TEST(IcmpQuoteTest, QuoteIsThatOfOneTunnel) {
  for (const IpFamily outer : {kV4, kV6}) {
    const std::vector<EncapConfig> tunnels = Tunnels(outer);
    for (size_t i = 0; i < tunnels.size(); ++i) {
      const Bytes inner = tunnels[i].mode == Mode::kGretap
                              ? Frame(0x0800, InnerV4())
                              : InnerV4();
      const Bytes sent = Sent(tunnels[i], inner);
      const auto error = Parse(Message(outer, TooBig(outer), sent), outer);
      ASSERT_TRUE(error);
      for (size_t j = 0; j < tunnels.size(); ++j) {
        EXPECT_EQ(IsQuoteOf(*error, tunnels[j]), i == j) << i << ' ' << j;
      }
      const size_t ip = outer == kV4 ? 20 : 40;
      for (size_t size = ip; size < sent.size(); ++size) {
        const auto cut = Quoted(error->head, First(sent, size));
        ASSERT_TRUE(cut) << size;
        EXPECT_EQ(IsQuoteOf(*cut, tunnels[i]), size >= ip + 8)
            << i << ' ' << size;
      }
    }
  }
}

TEST(IcmpQuoteTest, AddressesAndFamilyAreCompared) {
  const EncapConfig config = Config(Mode::kGif, kV4);
  const auto error = Quoted({3, 4, 1400}, Sent(config, InnerV4()));
  ASSERT_TRUE(error);
  EXPECT_TRUE(IsQuoteOf(*error, config));
  EncapConfig other = config;
  other.local = Addr("192.0.2.9");
  EXPECT_FALSE(IsQuoteOf(*error, other));
  other = config;
  other.remote = Addr("192.0.2.9");
  EXPECT_FALSE(IsQuoteOf(*error, other));
  other.remote = Addr("0.0.0.0");
  EXPECT_FALSE(IsQuoteOf(*error, other)) << "nothing is sent to a wildcard";
  std::swap(other.local = config.local, other.remote = config.remote);
  EXPECT_FALSE(IsQuoteOf(*error, other)) << "received, not sent";
  EXPECT_TRUE(IsQuoteOf(*error, Config(Mode::kIpip, kV4)));
  EXPECT_FALSE(IsQuoteOf(*error, Config(Mode::kSit, kV4)));
}

// A protocol number that the payload belies.
TEST(IcmpQuoteTest, InnerVersionMustFitTheProtocol) {
  const EncapConfig config = Config(Mode::kGif, kV4);
  Bytes sent = Sent(config, InnerV4());
  sent[20] = 0x60;
  const auto error = Quoted({3, 4, 1400}, sent);
  ASSERT_TRUE(error);
  EXPECT_FALSE(IsQuoteOf(*error, config));
}

TEST(IcmpQuoteTest, FindsTheInnerPacketWhereItsHeaderIsWhole) {
  for (const IpFamily outer : {kV4, kV6}) {
    for (const EncapConfig& config : Tunnels(outer)) {
      for (const bool v6 : {false, true}) {
        const Bytes ip = v6 ? InnerV6() : InnerV4();
        const bool frame = config.mode == Mode::kGretap;
        const Bytes inner = frame ? Frame(v6 ? 0x86dd : 0x0800, ip, 1) : ip;
        const Bytes sent = Sent(config, inner);
        const size_t overhead = sent.size() - ip.size();
        for (size_t size = 0; size <= sent.size(); ++size) {
          const auto error =
              Quoted({outer == kV4 ? uint8_t{3} : uint8_t{2},
                      outer == kV4 ? uint8_t{4} : uint8_t{0}, 1400},
                     First(sent, size));
          const auto found =
              error ? FindQuotedInner(*error, config) : std::nullopt;
          ASSERT_EQ(found.has_value(), size >= overhead + (v6 ? 40u : 20u))
              << size;
          if (!found) continue;
          EXPECT_EQ(found->overhead, overhead);
          EXPECT_EQ(found->family, v6 ? kV6 : kV4);
          EXPECT_EQ(Bytes(found->packet.begin(), found->packet.end()),
                    First(ip, size - overhead));
        }
      }
    }
  }
}

TEST(IcmpQuoteTest, FrameWithoutIpHasNoInnerPacket) {
  const EncapConfig config = Config(Mode::kGretap, kV4);
  const auto error =
      Quoted({3, 4, 1400}, Sent(config, Frame(0x0806, Bytes(60))));
  ASSERT_TRUE(error);
  EXPECT_TRUE(IsQuoteOf(*error, config));
  EXPECT_FALSE(FindQuotedInner(*error, config));
}

TEST(IcmpQuoteTest, MalformedInnerHeaderIsNotFound) {
  const EncapConfig config = Config(Mode::kGif, kV4);
  Bytes sent = Sent(config, InnerV4());
  sent[20] = 0x44;
  auto error = Quoted({3, 4, 1400}, sent);
  ASSERT_TRUE(error);
  EXPECT_FALSE(FindQuotedInner(*error, config));
  sent[20] = 0x4f;  // 60 bytes of header: the packet has 52
  error = Quoted({3, 4, 1400}, sent);
  ASSERT_TRUE(error);
  EXPECT_FALSE(FindQuotedInner(*error, config));
}

// The option of this tunnel stands between the headers, and a Parameter Problem
// that points to it is told from others.
TEST(IcmpQuoteTest, PointerAtTheEncapsulationLimit) {
  EncapConfig config = Config(Mode::kGre, kV6);
  config.encap_limit = 0;
  const Bytes sent = Sent(config, InnerV6());
  for (uint32_t pointer = 0; pointer < 60; ++pointer) {
    const auto error = Quoted({4, 0, pointer}, sent);
    ASSERT_TRUE(error);
    EXPECT_TRUE(IsQuoteOf(*error, config));
    EXPECT_EQ(error->protocol, 47);
    EXPECT_EQ(error->ip_len, 48);
    EXPECT_EQ(error->pointed_limit,
              pointer == 44 ? std::optional<uint8_t>(0) : std::nullopt);
  }
  const auto too_big = Quoted({2, 0, 44}, sent);
  ASSERT_TRUE(too_big);
  EXPECT_FALSE(too_big->pointed_limit);
}

// Fragments of our own making: the first has the upper layer, the others have
// addresses and protocol alone.
TEST(IcmpQuoteTest, FragmentsOfTheOuterPacket) {
  for (const IpFamily outer : {kV4, kV6}) {
    for (const bool limit : {false, true}) {
      if (limit && outer == kV4) continue;
      EncapConfig config = Config(Mode::kGre, outer);
      config.output_key = 5;
      if (limit) config.encap_limit = 3;
      const Bytes sent = Sent(config, InnerV4({.payload = 1000}));
      Fragmenter cut;
      ASSERT_EQ(
          Fragmenter::Start(
              sent,
              {.mtu = 600, .identification = 9, .ignore_dont_fragment = true},
              cut),
          DropReason::kNone);
      Bytes buffer(cut.max_size());
      for (bool first = true; const size_t size = cut.Next(buffer);
           first = false) {
        const auto error =
            Parse(Message(outer, TooBig(outer), First(buffer, size)), outer);
        ASSERT_TRUE(error);
        EXPECT_EQ(error->later_fragment, !first);
        EXPECT_EQ(error->packet_len, size);
        EXPECT_TRUE(IsQuoteOf(*error, config));
        EXPECT_EQ(FindQuotedInner(*error, config).has_value(), first);
        EXPECT_EQ(error->upper.empty(), !first);
        EXPECT_FALSE(IsQuoteOf(*error, Config(Mode::kGif, outer)) && !limit);
      }
    }
  }
}

// RFC 4884: the quote ends where the length field says, an extension follows.
TEST(IcmpQuoteTest, ExtensionBehindTheQuoteIsNotPartOfIt) {
  const EncapConfig v4 = Config(Mode::kGif, kV4);
  Bytes quote = First(Sent(v4, InnerV4({.payload = 300})), 128);
  quote.insert(quote.end(), 20, 0xee);
  auto error = Parse(Message(kV4, "03 01 0000 00 20 0000", quote), kV4);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->upper.size(), 108u);
  const EncapConfig v6 = Config(Mode::kGif, kV6);
  quote = First(Sent(v6, InnerV4({.payload = 300})), 128);
  quote.insert(quote.end(), 20, 0xee);
  error = Parse(Message(kV6, "03 00 0000 10 000000", quote), kV6);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->upper.size(), 88u);
  // In a Packet Too Big the same byte is part of the MTU.
  error = Parse(Message(kV6, "02 00 0000 01000000", quote), kV6);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->upper.size(), 108u);
  // A length beyond the message says nothing.
  error =
      Parse(Message(kV4, "03 01 0000 00 ff 0000", Sent(v4, InnerV4())), kV4);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->upper.size(), InnerV4().size());
}

TEST(IcmpQuoteTest, EveryTruncationReadsNothingOutside) {
  for (const IpFamily outer : {kV4, kV6}) {
    EncapConfig config = Config(Mode::kGretap, outer);
    config.transport = OuterTransport::kUdp;
    if (outer == kV6) config.encap_limit = 2;
    const Bytes sent = Sent(config, Frame(0x86dd, InnerV6(), 1));
    const Bytes whole = Message(outer, TooBig(outer), sent);
    for (size_t size = 0; size < whole.size(); ++size) {
      const Bytes cut = First(whole, size);
      // The checksum of ICMP is that of the whole message.
      const Bytes message =
          outer == kV4 && size >= 8
              ? Message(kV4, kFragNeeded, Bytes(cut.begin() + 8, cut.end()))
              : cut;
      const auto error = Parse(message, outer);
      const size_t header = 8 + (outer == kV4 ? 20 : 40);
      EXPECT_EQ(error.has_value(), size >= header) << size;
      if (error) FindQuotedInner(*error, config);
    }
  }
}

}  // namespace
}  // namespace encap
