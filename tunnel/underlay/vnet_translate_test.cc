#include "tunnel/underlay/vnet_translate.h"

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "encap/bytes.h"
#include "encap/checksum.h"
#include "gtest/gtest.h"

namespace tunnel {
namespace {

using encap::GsoType;
using encap::PacketBuffer;
using encap::SegmentHint;
using Bytes = std::vector<uint8_t>;
using Header = std::array<uint8_t, kVirtioNetHdrLen>;

Header MakeHeader(uint8_t flags, uint8_t type, uint16_t gso_size,
                  uint16_t start, uint16_t offset) {
  Header header{flags, type};
  const std::array<uint16_t, 4> numbers = {1078, gso_size, start, offset};
  __builtin_memcpy(header.data() + 2, numbers.data(), 8);
  return header;
}

// What packet sockets were seen to deliver for packets merged by the kernel,
// over Ethernet: offsets from the link header.
struct Golden {
  const char* name;
  uint8_t flags;
  uint8_t gso_type;
  uint16_t csum_start;
  uint16_t csum_offset;
  uint16_t outer_len;    // outer IP and tunnel header, bytes
  uint16_t inner_start;  // expected checksum_start in the inner packet
};

constexpr Golden kGolden[] = {
    {"GRE / TCP over IPv4", 1, 1, 58, 16, 24, 20},
    {"GRE with key / TCP over IPv4", 1, 1, 62, 16, 28, 20},
    {"GRE with checksum / TCP over IPv4", 1, 1, 62, 16, 28, 20},
    {"GRE / TCP over IPv6", 1, 4, 78, 16, 24, 40},
    {"IPIP / TCP", 1, 1, 54, 16, 20, 20},
    {"protocol 41 / TCP", 1, 4, 74, 16, 20, 40},
    {"GRE / Ethernet / TCP", 1, 1, 72, 16, 24, 34},
    {"GRE / UDP", 1, 5, 58, 6, 24, 20},
    {"IPIP / UDP", 1, 5, 54, 6, 20, 20},
};

TEST(TranslateVnetHdrTest, CountsFromTheOuterHeader) {
  for (const Golden& g : kGolden) {
    const Header header =
        MakeHeader(g.flags, g.gso_type, 1400, g.csum_start, g.csum_offset);
    SegmentHint hint;
    ASSERT_TRUE(TranslateVnetHdr(header, 14, 6000, hint)) << g.name;
    EXPECT_EQ(static_cast<uint8_t>(hint.gso_type), g.gso_type) << g.name;
    EXPECT_EQ(hint.gso_size, 1400) << g.name;
    EXPECT_TRUE(hint.needs_checksum) << g.name;
    EXPECT_EQ(hint.checksum_start - g.outer_len, g.inner_start) << g.name;
    EXPECT_EQ(hint.checksum_offset, g.csum_offset) << g.name;
    EXPECT_EQ(hint.header_len, 0) << "the kernel's is a hint only";
  }
}

TEST(TranslateVnetHdrTest, WorksForAnyLinkHeader) {
  for (const uint16_t link : {0, 4, 14, 18}) {
    SegmentHint hint;
    ASSERT_TRUE(TranslateVnetHdr(MakeHeader(1, 1, 1400, link + 44, 16), link,
                                 6000, hint));
    EXPECT_EQ(hint.checksum_start, 44);
  }
}

TEST(TranslateVnetHdrTest, ValidChecksumSaysNothing) {
  SegmentHint hint;
  ASSERT_TRUE(TranslateVnetHdr(MakeHeader(2, 0, 0, 0, 0), 14, 100, hint));
  EXPECT_EQ(hint.gso_type, GsoType::kNone);
  EXPECT_FALSE(hint.needs_checksum);
  // Merged with rx-gro-list: super-packet without a partial checksum.
  ASSERT_TRUE(TranslateVnetHdr(MakeHeader(2, 1, 1400, 0, 0), 14, 6000, hint));
  EXPECT_EQ(hint.gso_type, GsoType::kTcp4);
  EXPECT_FALSE(hint.needs_checksum);
  EXPECT_EQ(hint.checksum_start, 0);
}

TEST(TranslateVnetHdrTest, RefusesWhatCanNotBeAnInnerChecksum) {
  SegmentHint hint;
  EXPECT_FALSE(TranslateVnetHdr(MakeHeader(1, 0, 0, 10, 6), 14, 100, hint));
  EXPECT_FALSE(TranslateVnetHdr(MakeHeader(1, 0, 0, 33, 6), 14, 100, hint));
  EXPECT_TRUE(TranslateVnetHdr(MakeHeader(1, 0, 0, 34, 6), 14, 100, hint));
  EXPECT_FALSE(TranslateVnetHdr(MakeHeader(1, 0, 0, 107, 6), 14, 100, hint));
  EXPECT_TRUE(TranslateVnetHdr(MakeHeader(1, 0, 0, 106, 6), 14, 100, hint));
  EXPECT_FALSE(
      TranslateVnetHdr(MakeHeader(1, 0, 0, 0xffff, 0xffff), 14, 100, hint));
  EXPECT_FALSE(TranslateVnetHdr(MakeHeader(0, 3, 100, 0, 0), 14, 100, hint));
}

constexpr uint8_t kTcp = 6, kUdp = 17;

// An inner packet with `payload` bytes behind a TCP (with 12 bytes of options)
// or UDP header; checksum field 0xabcd.
Bytes Inner(bool v6, uint8_t protocol, size_t payload, bool ethernet = false) {
  const size_t transport_len = protocol == kTcp ? 32 : 8;
  const size_t l3 = v6 ? 40 : 20;
  const size_t link = ethernet ? 14 : 0;
  Bytes b(link + l3 + transport_len + payload, 0x5a);
  std::fill(b.begin(), b.end() - payload, 0);
  if (ethernet) encap::Put16(&b[12], v6 ? 0x86dd : 0x0800);
  uint8_t* ip = b.data() + link;
  if (v6) {
    ip[0] = 0x60;
    encap::Put16(ip + 4, static_cast<uint16_t>(transport_len + payload));
    ip[6] = protocol;
    ip[8] = 0xfd;
    ip[24] = 0xfd;
    ip[39] = 1;
  } else {
    ip[0] = 0x45;
    encap::Put16(ip + 2, static_cast<uint16_t>(l3 + transport_len + payload));
    ip[9] = protocol;
    encap::Put32(ip + 12, 0x0a090001);
    encap::Put32(ip + 16, 0x0a090002);
  }
  uint8_t* transport = ip + l3;
  if (protocol == kTcp) {
    transport[12] = 0x80;
    encap::Put16(transport + 16, 0xabcd);
  } else {
    encap::Put16(transport + 4, static_cast<uint16_t>(8 + payload));
    encap::Put16(transport + 6, 0xabcd);
  }
  return b;
}

PacketBuffer Buffer(Bytes& bytes, const SegmentHint& hint) {
  PacketBuffer buffer(bytes, 0, bytes.size());
  buffer.hint() = hint;
  return buffer;
}

struct Case {
  const char* name;
  bool v6;
  uint8_t protocol;
  GsoType type;
  bool ethernet;
};

constexpr Case kCases[] = {
    {"TCP over IPv4", false, kTcp, GsoType::kTcp4, false},
    {"TCP over IPv6", true, kTcp, GsoType::kTcp6, false},
    {"UDP over IPv4", false, kUdp, GsoType::kUdp, false},
    {"UDP over IPv6", true, kUdp, GsoType::kUdp, false},
    {"TCP over IPv4 in a frame", false, kTcp, GsoType::kTcp4, true},
    {"TCP over IPv6 in a frame", true, kTcp, GsoType::kTcp6, true},
};

size_t TransportAt(const Case& c) {
  return (c.ethernet ? 14 : 0) + (c.v6 ? 40 : 20);
}

TEST(RepairGsoTest, KeepsAPartialChecksumAndFindsTheHeaderLength) {
  for (const Case& c : kCases) {
    Bytes bytes = Inner(c.v6, c.protocol, 3000, c.ethernet);
    const Bytes before = bytes;
    const uint16_t field = c.protocol == kTcp ? 16 : 6;
    PacketBuffer packet =
        Buffer(bytes, {.gso_type = c.type,
                       .needs_checksum = true,
                       .gso_size = 1000,
                       .header_len = 1078,
                       .checksum_start = static_cast<uint16_t>(TransportAt(c)),
                       .checksum_offset = field});
    ASSERT_TRUE(RepairGso(packet, c.ethernet)) << c.name;
    EXPECT_EQ(packet.hint().header_len,
              TransportAt(c) + (c.protocol == kTcp ? 32 : 8))
        << c.name;
    EXPECT_EQ(bytes, before) << c.name;
  }
}

// After the repair, finishing the checksum must give one that verifies.
TEST(RepairGsoTest, StoresThePseudoHeaderSumWhereThereIsNone) {
  for (const Case& c : kCases) {
    Bytes bytes = Inner(c.v6, c.protocol, 3001, c.ethernet);
    PacketBuffer packet = Buffer(bytes, {.gso_type = c.type, .gso_size = 1000});
    ASSERT_TRUE(RepairGso(packet, c.ethernet)) << c.name;
    EXPECT_TRUE(packet.hint().needs_checksum);
    EXPECT_EQ(packet.hint().checksum_start, TransportAt(c));
    EXPECT_EQ(packet.hint().checksum_offset, c.protocol == kTcp ? 16 : 6);
    ASSERT_EQ(encap::FinishChecksum(packet), encap::DropReason::kNone);
    const uint8_t* ip = bytes.data() + (c.ethernet ? 14 : 0);
    const size_t length = bytes.size() - TransportAt(c);
    const uint16_t pseudo =
        c.v6 ? encap::PseudoHeaderSumV6(ip + 8, ip + 24, c.protocol, length)
             : encap::PseudoHeaderSumV4(ip + 12, ip + 16, c.protocol, length);
    const uint16_t sum = encap::PartialSum(
        std::span<const uint8_t>(bytes).subspan(TransportAt(c)));
    EXPECT_EQ(encap::AddSums(sum, pseudo), 0xffff) << c.name;
  }
}

TEST(RepairGsoTest, LeavesOrdinaryPacketsAlone) {
  Bytes bytes = {1, 2, 3};
  PacketBuffer packet = Buffer(bytes, {});
  EXPECT_TRUE(RepairGso(packet));
  EXPECT_EQ(packet.size(), 3U);
}

TEST(RepairGsoTest, CutsWhatLiesBehindTheInnerLength) {
  Bytes bytes = Inner(false, kTcp, 3000);
  const size_t size = bytes.size();
  bytes.resize(size + 6);
  PacketBuffer packet =
      Buffer(bytes, {.gso_type = GsoType::kTcp4, .gso_size = 1000});
  ASSERT_TRUE(RepairGso(packet));
  EXPECT_EQ(packet.size(), size);
}

TEST(RepairGsoTest, WalksIpv6ExtensionHeaders) {
  Bytes bytes = Inner(true, kTcp, 3000);
  const Bytes options = {kTcp, 0, 1, 4, 0, 0, 0, 0};
  bytes.insert(bytes.begin() + 40, options.begin(), options.end());
  bytes[6] = 60;
  encap::Put16(&bytes[4], static_cast<uint16_t>(bytes.size() - 40));
  PacketBuffer packet =
      Buffer(bytes, {.gso_type = GsoType::kTcp6, .gso_size = 1000});
  ASSERT_TRUE(RepairGso(packet));
  EXPECT_EQ(packet.hint().checksum_start, 48);
  EXPECT_EQ(packet.hint().header_len, 80);
}

// Each change makes a packet that must be dropped, and is left as it was.
TEST(RepairGsoTest, RefusesWhatDoesNotAgree) {
  using Change = void (*)(Bytes&, SegmentHint&);
  struct {
    const char* name;
    Change change;
  } const changes[] = {
      {"empty", [](Bytes& b, SegmentHint&) { b.clear(); }},
      {"short IP header", [](Bytes& b, SegmentHint&) { b.resize(19); }},
      {"IHL below 5", [](Bytes& b, SegmentHint&) { b[0] = 0x44; }},
      {"version", [](Bytes& b, SegmentHint&) { b[0] = 0x55; }},
      {"cut short", [](Bytes& b, SegmentHint&) { b.pop_back(); }},
      {"total length in the header",
       [](Bytes& b, SegmentHint&) { encap::Put16(&b[2], 18); }},
      {"no room for TCP",
       [](Bytes& b, SegmentHint&) { encap::Put16(&b[2], 39); }},
      {"fragment", [](Bytes& b, SegmentHint&) { b[6] = 0x20; }},
      {"TCP offset below 5", [](Bytes& b, SegmentHint&) { b[32] = 0x40; }},
      {"TCP header behind the end",
       [](Bytes& b, SegmentHint&) {
         b.resize(45);
         encap::Put16(&b[2], 45);
       }},
      {"other protocol", [](Bytes& b, SegmentHint&) { b[9] = kUdp; }},
      {"other version",
       [](Bytes&, SegmentHint& h) { h.gso_type = GsoType::kTcp6; }},
      {"no segment size", [](Bytes&, SegmentHint& h) { h.gso_size = 0; }},
      {"checksum elsewhere",
       [](Bytes&, SegmentHint& h) {
         h.needs_checksum = true;
         h.checksum_start = 24;
         h.checksum_offset = 16;
       }},
      {"checksum field elsewhere",
       [](Bytes&, SegmentHint& h) {
         h.needs_checksum = true;
         h.checksum_start = 20;
         h.checksum_offset = 6;
       }},
  };
  for (const auto& [name, change] : changes) {
    Bytes bytes = Inner(false, kTcp, 3000);
    SegmentHint hint{.gso_type = GsoType::kTcp4, .gso_size = 1000};
    change(bytes, hint);
    const Bytes before = bytes;
    PacketBuffer packet = Buffer(bytes, hint);
    EXPECT_FALSE(RepairGso(packet)) << name;
    EXPECT_EQ(bytes, before) << name;
    EXPECT_EQ(packet.size(), before.size()) << name;
  }
}

TEST(RepairGsoTest, RefusesRoutedPacketsWithoutPartialChecksum) {
  Bytes bytes = Inner(true, kTcp, 3000);
  const Bytes routing = {kTcp, 0, 0, 0, 0, 0, 0, 0};
  bytes.insert(bytes.begin() + 40, routing.begin(), routing.end());
  bytes[6] = 43;
  encap::Put16(&bytes[4], static_cast<uint16_t>(bytes.size() - 40));
  PacketBuffer packet =
      Buffer(bytes, {.gso_type = GsoType::kTcp6, .gso_size = 1000});
  EXPECT_FALSE(RepairGso(packet));
}

// Every truncation and every byte of the headers changed: no read outside
// (under ASan), and an accepted packet has a hint that lies inside it.
TEST(RepairGsoTest, AcceptedHintsLieInsideThePacket) {
  for (const Case& c : kCases) {
    const Bytes whole = Inner(c.v6, c.protocol, 200, c.ethernet);
    for (size_t size = 0; size <= whole.size(); ++size) {
      for (size_t at = 0; at < std::min<size_t>(size, 60); ++at) {
        // An exact allocation, so that ASan sees a read behind the end.
        const std::unique_ptr<uint8_t[]> exact(new uint8_t[size]);
        std::copy_n(whole.begin(), size, exact.get());
        exact[at] ^= static_cast<uint8_t>(1 + (at * 37 + size) % 255);
        PacketBuffer packet({exact.get(), size}, 0, size);
        packet.hint() = {.gso_type = c.type, .gso_size = 100};
        if (!RepairGso(packet, c.ethernet)) continue;
        const SegmentHint& hint = packet.hint();
        EXPECT_LE(hint.header_len, packet.size());
        EXPECT_LE(hint.checksum_start + hint.checksum_offset + 2,
                  int(packet.size()));
      }
    }
  }
}

}  // namespace
}  // namespace tunnel
