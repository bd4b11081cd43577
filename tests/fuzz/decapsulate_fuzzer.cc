// ParseOuter() and Decapsulate() over any packet and any hint.
// Input: two bytes of configuration (fuzz_config.h), one of hint, the packet.
// Hint byte: 0 none; bit 0 needs_checksum, its start 4 * bits 1 to 5 and its
// offset 6; bit 7 a merged packet.

#include <algorithm>
#include <utility>
#include <vector>

#include "encap/decapsulator.h"
#include "tests/fuzz/fuzz_config.h"

namespace encap::fuzz {
namespace {

SegmentHint HintFromByte(uint8_t byte) {
  SegmentHint hint;
  hint.needs_checksum = byte & 1;
  hint.checksum_start = static_cast<uint16_t>(4 * ((byte >> 1) & 31));
  hint.checksum_offset = 6;
  if (byte & 128) {
    hint.gso_type = GsoType::kUdp;
    hint.gso_size = 100;
    hint.header_len = 48;
  }
  return hint;
}

void Run(const EncapConfig& config, const SegmentHint& hint,
         std::vector<uint8_t> bytes) {
  const std::vector<uint8_t> before = bytes;
  PacketBuffer packet(bytes, 0, bytes.size());
  packet.hint() = hint;
  OuterInfo info;
  constexpr ParseOptions kOptions{.verify_header_checksum = false,
                                  .any_udp_port = true};
  if (ParseOuter(std::as_const(packet).bytes(), kOptions, info) !=
      DropReason::kNone) {
    return;
  }
  InputState state;
  const DropReason reason =
      Decapsulator(config).Decapsulate(packet, info, state);
  if (reason != DropReason::kNone) {
    Require(bytes == before && packet.size() == before.size(),
            "a drop changes nothing");
    return;
  }
  Require(packet.headroom() == info.header_len, "the headers are off");
  Require(packet.size() + info.header_len <= info.total_len,
          "no byte of padding is left");
  if (config.mode != Mode::kGretap) {
    const uint8_t version = packet.data()[0] >> 4;
    Require(version == 4 || version == 6, "an IP packet");
    Require(packet.size() >= (version == 4 ? 20u : 40u), "a whole header");
  }
  if (packet.hint().needs_checksum) {
    Require(size_t{packet.hint().checksum_start} +
                    packet.hint().checksum_offset + 2 <=
                packet.size(),
            "the hint lies inside the packet");
  }
  if (config.sequence) Require(state.seen_sequence, "the number is noted");
}

}  // namespace
}  // namespace encap::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  encap::fuzz::Run(encap::fuzz::ConfigFromBytes(data[0], data[1]),
                   encap::fuzz::HintFromByte(data[2]),
                   std::vector<uint8_t>(data + 3, data + size));
  return 0;
}
