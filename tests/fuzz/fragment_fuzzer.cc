// Fragmenter over any packet: the fragments are no larger than asked, and put
// together again they are the packet. Input: one byte of flags (bit 0 DF is
// ignored, bits 1 to 4 bytes of prefix), an MTU of two bytes, the packet.

#include <algorithm>
#include <vector>

#include "encap/bytes.h"
#include "encap/checksum.h"
#include "encap/fragment.h"
#include "encap/reassembly.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"
#include "tests/fuzz/fuzz_config.h"

namespace encap::fuzz {
namespace {

using Bytes = std::vector<uint8_t>;
constexpr uint32_t kIdentification = 0x00c0ffee;

// What must come out: DF and identification are those of the fragments.
Bytes Expected(Bytes packet) {
  if (packet[0] >> 4 == 6) {
    packet.resize(40u + ConstIpv6Header(packet.data()).payload_length());
    return packet;
  }
  Ipv4Header ip(packet.data());
  packet.resize(ip.total_length());
  ip.set_identification(static_cast<uint16_t>(kIdentification));
  ip.set_fragment(false, false, 0);
  ip.set_checksum(Be16(0));
  ip.set_checksum(InternetChecksum({packet.data(), ip.header_len()}));
  return packet;
}

// By its own length field.
size_t LengthOf(const Bytes& packet) {
  return packet[0] >> 4 == 4
             ? size_t{ConstIpv4Header(packet.data()).total_length()}
             : 40u + ConstIpv6Header(packet.data()).payload_length();
}

bool IsFragment(const Bytes& packet) {
  return packet[0] >> 4 == 4 && ConstIpv4Header(packet.data()).is_fragment();
}

void Run(const FragmentOptions& options, const Bytes& packet) {
  Fragmenter cut;
  if (Fragmenter::Start(packet, options, cut) != DropReason::kNone) {
    Require(cut.done(), "nothing to cut after an error");
    return;
  }
  const Bytes ip(packet.begin() + options.prefix_len, packet.end());
  Reassembler reassembler(
      {.max_packets = 1, .max_bytes = 1, .max_fragments = 64});
  Bytes buffer(cut.max_size());
  size_t count = 0;
  while (const size_t size = cut.Next(buffer)) {
    ++count;
    Require(size <= options.prefix_len + size_t{options.mtu}, "at most so big");
    Require(std::equal(packet.begin(), packet.begin() + options.prefix_len,
                       buffer.begin()),
            "the prefix is in front");
    Bytes fragment(buffer.begin() + options.prefix_len,
                   buffer.begin() + static_cast<ptrdiff_t>(size));
    Require(LengthOf(fragment) == fragment.size(), "its length field is right");
    PacketBuffer view(fragment, 0, fragment.size());
    if (reassembler.Add(view, 0) == ReassemblyVerdict::kComplete) {
      Require(!IsFragment(ip), "a part of a packet is never complete");
      Require(cut.done(), "complete with the last fragment");
      Require(std::ranges::equal(view.bytes(), Expected(ip)),
              "what is put together is what was cut");
    }
  }
  Require(count != 0 && cut.done(), "all is cut");
}

}  // namespace
}  // namespace encap::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  const encap::FragmentOptions options = {
      .mtu = encap::Get16(data + 1),
      .identification = encap::fuzz::kIdentification,
      .ignore_dont_fragment = (data[0] & 1) != 0,
      .prefix_len = static_cast<uint16_t>(data[0] >> 1 & 15)};
  const std::vector<uint8_t> packet(data + 3, data + size);
  encap::fuzz::Run(options, packet);
  return 0;
}
