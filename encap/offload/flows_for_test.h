// TCP and UDP packets for tests of offload, built without the code that they
// test, and a sink that keeps what leaves a Coalescer.

#ifndef ENCAP_OFFLOAD_FLOWS_FOR_TEST_H_
#define ENCAP_OFFLOAD_FLOWS_FOR_TEST_H_

#include <algorithm>
#include <utility>
#include <vector>

#include "encap/bytes.h"
#include "encap/offload/coalesce.h"
#include "encap/packets_for_test.h"

namespace encap::testing {

struct FlowPacket {
  IpFamily family = IpFamily::kV4;
  bool tcp = true;
  uint8_t tos = 0;
  uint8_t ttl = 63;
  bool dont_fragment = true;
  uint16_t id = 100;         // IPv4
  uint32_t flow_label = 77;  // IPv6
  uint16_t port = 4000;      // source port
  uint32_t sequence = 1000;
  uint32_t acknowledgment = 5;
  uint8_t flags = 0x10;  // ACK
  uint16_t window = 500;
  Bytes options;  // of TCP, a multiple of 4 bytes
  Bytes payload = Bytes(100, 0xab);
};

// Offset of the TCP or UDP header.
inline size_t TransportOf(const FlowPacket& p) {
  return p.family == IpFamily::kV4 ? 20 : 40;
}

inline Bytes TransportHeader(const FlowPacket& p) {
  Bytes h(p.tcp ? 20 : 8);
  Put16(&h[0], p.port);
  Put16(&h[2], 80);
  if (!p.tcp) {
    Put16(&h[4], static_cast<uint16_t>(8 + p.payload.size()));
    return h;
  }
  Put32(&h[4], p.sequence);
  Put32(&h[8], p.acknowledgment);
  h[12] = static_cast<uint8_t>((20 + p.options.size()) << 2);
  h[13] = p.flags;
  Put16(&h[14], p.window);
  h.insert(h.end(), p.options.begin(), p.options.end());
  return h;
}

// What stands with `p`, behind `link_len` bytes of a link header, where it is a
// super-packet whose segments have `gso_size` bytes of payload.
inline SegmentHint SuperHint(const FlowPacket& p, uint16_t gso_size,
                             size_t link_len = 0) {
  const auto transport = static_cast<uint16_t>(link_len + TransportOf(p));
  const size_t upper = p.tcp ? 20 + p.options.size() : 8;
  SegmentHint hint;
  hint.gso_type = !p.tcp                      ? GsoType::kUdp
                  : p.family == IpFamily::kV4 ? GsoType::kTcp4
                                              : GsoType::kTcp6;
  hint.gso_size = gso_size;
  hint.header_len = static_cast<uint16_t>(transport + upper);
  hint.needs_checksum = true;
  hint.checksum_start = transport;
  hint.checksum_offset = p.tcp ? 16 : 6;
  return hint;
}

// The finished packet, all checksums right.
inline Bytes Build(const FlowPacket& p) {
  Bytes upper = TransportHeader(p);
  upper.insert(upper.end(), p.payload.begin(), p.payload.end());
  const uint8_t protocol = p.tcp ? 6 : 17;
  Bytes packet = Inner(p.family, {.tos = p.tos,
                                  .ttl = p.ttl,
                                  .dont_fragment = p.dont_fragment,
                                  .protocol = protocol,
                                  .payload = upper.size()});
  const size_t at = TransportOf(p);
  if (p.family == IpFamily::kV4) {
    Put16(&packet[4], p.id);
    Put16(&packet[10], 0);
    Put16(&packet[10], ReferenceChecksum({packet.data(), 20}));
  } else {
    Put32(&packet[0], Get32(&packet[0]) | p.flow_label);
  }
  const size_t addresses = p.family == IpFamily::kV4 ? 12 : 8;
  Bytes summed(packet.begin() + static_cast<ptrdiff_t>(addresses),
               packet.begin() + static_cast<ptrdiff_t>(at));
  summed.insert(summed.end(), {0, protocol});
  summed.push_back(static_cast<uint8_t>(upper.size() >> 8));
  summed.push_back(static_cast<uint8_t>(upper.size()));
  summed.insert(summed.end(), upper.begin(), upper.end());
  uint16_t checksum = ReferenceChecksum(summed);
  if (!p.tcp && checksum == 0) checksum = 0xffff;
  Put16(&upper[p.tcp ? 16 : 6], checksum);
  std::copy(upper.begin(), upper.end(),
            packet.begin() + static_cast<ptrdiff_t>(at));
  return packet;
}

// The packet that follows `p` in its flow, with the same payload size.
inline FlowPacket After(FlowPacket p) {
  p.sequence += static_cast<uint32_t>(p.payload.size());
  ++p.id;
  for (uint8_t& b : p.payload) ++b;
  return p;
}

struct Taken {
  Bytes bytes;
  SegmentHint hint;
  size_t headroom = 0;
};

class KeepingSink : public CoalesceSink {
 public:
  void Take(PacketBuffer& packet) noexcept override {
    const auto bytes = std::as_const(packet).bytes();
    taken.push_back(
        {{bytes.begin(), bytes.end()}, packet.hint(), packet.headroom()});
  }
  std::vector<Taken> taken;
};

// All that leaves a Coalescer for `packets`, flushed at the end.
inline std::vector<Taken> CoalesceAll(const std::vector<Bytes>& packets,
                                      const CoalesceOptions& options = {}) {
  Coalescer coalescer(options);
  KeepingSink sink;
  for (const Bytes& bytes : packets) {
    OwnedPacket packet(bytes, 0);
    coalescer.Offer(*packet, sink);
  }
  coalescer.Flush(sink);
  return sink.taken;
}

}  // namespace encap::testing

#endif  // ENCAP_OFFLOAD_FLOWS_FOR_TEST_H_
