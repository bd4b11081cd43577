// Reassembler over any packets, with small limits: what it gives back is a
// whole packet made of bytes that went in, and each fragment is in one place
// alone. Input: one byte of limits, then packets, each behind one byte of time
// that passes and two bytes of length. Byte: bits 0 and 1 packets, bits 2 to 5
// fragments, both less one, bit 6 mends the IPv4 header checksum of each
// packet.

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "encap/checksum.h"
#include "encap/reassembly.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"
#include "tests/fuzz/fuzz_config.h"

namespace encap::fuzz {
namespace {

void MendChecksum(std::vector<uint8_t>& bytes) {
  if (bytes.size() < 20 || bytes[0] >> 4 != 4) return;
  Ipv4Header ip(bytes.data());
  const size_t len = ip.header_len();
  if (len < 20 || len > bytes.size()) return;
  ip.set_checksum(Be16());
  ip.set_checksum(InternetChecksum({bytes.data(), len}));
}

void CheckWhole(const PacketBuffer& packet) {
  FragmentInfo info;
  Require(ParseFragment(packet.bytes(), info) != FragmentKind::kMalformed,
          "a whole packet");
  if (packet.data()[0] >> 4 == 4) {
    const ConstIpv4Header ip(packet.data());
    Require(!ip.is_fragment(), "no fragment any more");
    Require(ip.total_length() == packet.size(), "the length is right");
    Require(PartialSum({packet.data(), ip.header_len()}) == 0xffff,
            "the checksum is right");
  } else {
    const ConstIpv6Header ip(packet.data());
    Require(size_t{40} + ip.payload_length() == packet.size(),
            "the length is right");
  }
  Require(packet.headroom() == kMaxEncapHeadroom, "headroom");
}

void CheckStats(const Reassembler& reassembler, uint64_t taken) {
  const ReassemblyStats& s = reassembler.stats();
  Require(s.received == taken, "each fragment is counted");
  Require(s.received == s.joined + s.held +
                            std::accumulate(s.dropped.begin(), s.dropped.end(),
                                            uint64_t{0}),
          "each fragment is in one place");
}

}  // namespace
}  // namespace encap::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace encap;
  using namespace encap::fuzz;
  if (size < 1) return 0;
  const uint8_t flags = data[0];
  const size_t packets = 1 + (flags & 3);
  Reassembler reassembler({.max_packets = packets,
                           .max_bytes = 1,
                           .max_fragments = size_t{1} + (flags >> 2 & 15),
                           .timeout_ns = 1000});
  uint64_t now = 0;
  uint64_t taken = 0;
  for (size_t at = 1; at + 3 <= size;) {
    now += data[at];
    const size_t len =
        std::min<size_t>(data[at + 1] << 8 | data[at + 2], size - at - 3);
    std::vector<uint8_t> bytes(data + at + 3, data + at + 3 + len);
    if (flags & 0x40) MendChecksum(bytes);
    PacketBuffer packet(bytes, 0, bytes.size());
    const ReassemblyVerdict verdict = reassembler.Add(packet, now);
    if (verdict != ReassemblyVerdict::kWhole) ++taken;
    if (verdict == ReassemblyVerdict::kComplete) {
      CheckWhole(packet);
    } else {
      Require(packet.data() == bytes.data() && packet.size() == bytes.size(),
              "untouched");
    }
    Require(reassembler.packets_in_progress() <= packets, "packets bounded");
    CheckStats(reassembler, taken);
    at += 3 + len;
  }
  reassembler.Expire(now + 1000);
  Require(reassembler.packets_in_progress() == 0, "time frees everything");
  Require(reassembler.stats().held == 0, "nothing is held");
  CheckStats(reassembler, taken);
  return 0;
}
