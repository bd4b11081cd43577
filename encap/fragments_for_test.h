// Fragments for tests, built without the code that they test, and a fixture
// that adds them.

#ifndef ENCAP_FRAGMENTS_FOR_TEST_H_
#define ENCAP_FRAGMENTS_FOR_TEST_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <string>

#include "encap/bytes.h"
#include "encap/packets_for_test.h"
#include "encap/reassembly.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"

namespace encap::testing {

struct Piece {
  uint32_t id = 7;
  size_t offset = 0;
  Bytes data;
  bool more = false;
  uint8_t tos = 0;
  uint8_t host = 1;       // last byte of the source
  uint8_t protocol = 47;  // IPv4
  size_t options = 0;     // bytes of IPv4 options or IPv6 extension headers
};

inline Bytes Counting(size_t size, size_t from = 0) {
  Bytes bytes(size);
  for (size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<uint8_t>((from + i) * 7 + (from + i) / 256);
  }
  return bytes;
}

inline Bytes WholeV4(const Piece& piece) {
  const size_t header_len = 20 + piece.options;
  Bytes bytes(header_len, 1);  // options: no operation
  Ipv4Header ip(bytes.data());
  ip.set_version_and_header_len(header_len);
  ip.set_tos(piece.tos);
  ip.set_total_length(static_cast<uint16_t>(header_len + piece.data.size()));
  ip.set_identification(static_cast<uint16_t>(piece.id));
  ip.set_fragment(false, piece.more, static_cast<uint32_t>(piece.offset));
  ip.set_ttl(61);
  ip.set_protocol(piece.protocol);
  ip.set_source(Addr("192.0.2." + std::to_string(piece.host)));
  ip.set_destination(Addr("198.51.100.1"));
  ip.set_checksum(Be16());
  ip.set_checksum(Be16(ReferenceChecksum({bytes.data(), header_len})));
  bytes.insert(bytes.end(), piece.data.begin(), piece.data.end());
  return bytes;
}

// With a fragment header, or without for what is expected in the end.
inline Bytes V6(const Piece& piece, bool fragment_header) {
  Bytes bytes(40);
  Ipv6Header ip(bytes.data());
  ip.set_version_class_label(piece.tos, 0x12345);
  ip.set_next_header(piece.protocol);
  ip.set_hop_limit(61);
  ip.set_source(Addr("2001:db8::" + std::to_string(piece.host)));
  ip.set_destination(Addr("2001:db8:1::1"));
  size_t announce = Ipv6Header::kNextHeader;
  if (piece.options != 0) {  // destination options, padded with PadN
    announce = bytes.size();
    ip.set_next_header(kIpv6DestinationOptions);
    bytes.resize(40 + piece.options);
    bytes[41] = static_cast<uint8_t>(piece.options / 8 - 1);
    bytes[42] = 1;
    bytes[43] = static_cast<uint8_t>(piece.options - 4);
  }
  bytes[announce] = piece.protocol;
  if (fragment_header) {
    bytes[announce] = kIpv6Fragment;
    Bytes header(8);
    header[0] = piece.protocol;
    Put16(header.data() + 2,
          static_cast<uint16_t>(piece.offset | (piece.more ? 1 : 0)));
    Put32(header.data() + 4, piece.id);
    bytes.insert(bytes.end(), header.begin(), header.end());
  }
  bytes.insert(bytes.end(), piece.data.begin(), piece.data.end());
  Ipv6Header(bytes.data())
      .set_payload_length(static_cast<uint16_t>(bytes.size() - 40));
  return bytes;
}

inline Bytes Fragment(IpFamily family, const Piece& piece) {
  return family == IpFamily::kV4 ? WholeV4(piece) : V6(piece, true);
}

// The whole packet as it is to come out.
inline Bytes Expected(IpFamily family, Piece piece) {
  return family == IpFamily::kV4 ? WholeV4(piece) : V6(piece, false);
}

// Adds pieces, and sees to it that no fragment is counted twice or lost.
class ReassemblyFixture : public ::testing::TestWithParam<IpFamily> {
 protected:
  ReassemblyVerdict Add(Reassembler& reassembler, const Bytes& bytes,
                        uint64_t now = 0) {
    OwnedPacket packet(bytes);
    const ReassemblyVerdict verdict = reassembler.Add(*packet, now);
    if (verdict == ReassemblyVerdict::kComplete) {
      whole_ = packet.bytes();
      headroom_ = packet->headroom();
    } else {
      EXPECT_EQ(packet.bytes(), bytes) << "untouched unless complete";
    }
    CheckSum(reassembler);
    return verdict;
  }
  ReassemblyVerdict Add(Reassembler& reassembler, const Piece& piece,
                        uint64_t now = 0) {
    return Add(reassembler, Fragment(GetParam(), piece), now);
  }
  // Each fragment is in one place alone.
  static void CheckSum(const Reassembler& reassembler) {
    const ReassemblyStats& s = reassembler.stats();
    EXPECT_EQ(s.received, s.joined + s.held +
                              std::accumulate(s.dropped.begin(),
                                              s.dropped.end(), uint64_t{0}));
  }
  static uint64_t Dropped(const Reassembler& r, ReassemblyDrop why) {
    return r.stats().dropped_for(why);
  }

  Bytes whole_;
  size_t headroom_ = 0;
};

inline std::string FamilyName(const ::testing::TestParamInfo<IpFamily>& info) {
  return info.param == IpFamily::kV4 ? "V4" : "V6";
}

}  // namespace encap::testing

#endif  // ENCAP_FRAGMENTS_FOR_TEST_H_
