// ParseOuter() and Decapsulate() over any packet and any hint.
// Input: two bytes of configuration (fuzz_config.h), one of hint, the packet.
// Hint byte: 0 none; bit 0 needs_checksum, its start 4 * bits 1 to 5 and its
// offset 6; bit 7 merged packets, of 100 bytes each where they are outer ones.

#include <algorithm>
#include <utility>
#include <vector>

#include "encap/decapsulator.h"
#include "encap/merged_udp.h"
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

constexpr ParseOptions kOptions{.verify_header_checksum = false,
                                .any_udp_port = true};

// Merged outer packets: each lies inside `bytes`, and together they are all of
// the UDP payload.
void RunMerged(const EncapConfig& config, const SegmentHint& hint,
               std::vector<uint8_t> bytes) {
  PacketBuffer packet(bytes, 0, bytes.size());
  packet.hint() = hint;
  MergedUdp merged;
  if (!MergedUdp::Start(packet, kOptions, merged)) return;
  InputState state;
  const Decapsulator decapsulator(config);
  size_t payload = 0;
  size_t headers = 0;
  while (!merged.done()) {
    PacketBuffer part;
    OuterInfo info;
    const DropReason reason = merged.Next(part, info);
    headers = info.ip_header_len + 8u;
    Require(part.data() >= bytes.data(), "not in front of the packet");
    Require(part.data() + part.size() <= bytes.data() + bytes.size(),
            "not behind its end");
    Require(part.size() > headers && part.size() <= headers + hint.gso_size,
            "a payload of the size of a segment at most");
    payload += part.size() - headers;
    if (reason != DropReason::kNone) continue;
    Require(info.total_len == part.size(), "a whole packet");
    if (decapsulator.Decapsulate(part, info, state) == DropReason::kNone)
      Require(part.hint().is_plain(), "an ordinary packet");
  }
  Require(payload > 0 && payload + headers <= bytes.size(), "every byte once");
}

void Run(const EncapConfig& config, const SegmentHint& hint,
         std::vector<uint8_t> bytes) {
  const std::vector<uint8_t> before = bytes;
  PacketBuffer packet(bytes, 0, bytes.size());
  packet.hint() = hint;
  OuterInfo info;
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
  const encap::EncapConfig config =
      encap::fuzz::ConfigFromBytes(data[0], data[1]);
  const encap::SegmentHint hint = encap::fuzz::HintFromByte(data[2]);
  const std::vector<uint8_t> packet(data + 3, data + size);
  encap::fuzz::Run(config, hint, packet);
  encap::fuzz::RunMerged(config, hint, packet);
  return 0;
}
