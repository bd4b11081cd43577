#include "tunnel/tun/virtio_net_hdr.h"

#include <cstring>

namespace tunnel {
namespace {

using encap::GsoType;

constexpr uint8_t kNeedsChecksum = 1;  // VIRTIO_NET_HDR_F_NEEDS_CSUM
constexpr uint8_t kEcn = 0x80;         // VIRTIO_NET_HDR_GSO_ECN

struct Layout {
  uint8_t flags;
  uint8_t gso_type;
  uint16_t header_len;
  uint16_t gso_size;
  uint16_t checksum_start;
  uint16_t checksum_offset;
};
static_assert(sizeof(Layout) == kVirtioNetHdrLen);

constexpr bool IsKnown(uint8_t gso_type) {
  switch (static_cast<GsoType>(gso_type)) {
    case GsoType::kNone:
    case GsoType::kTcp4:
    case GsoType::kTcp6:
    case GsoType::kUdp:
      return true;
  }
  return false;
}

}  // namespace

bool ReadVirtioNetHdr(std::span<const uint8_t, kVirtioNetHdrLen> header,
                      encap::SegmentHint& hint) noexcept {
  Layout in;
  std::memcpy(&in, header.data(), sizeof(in));
  hint = {};
  const uint8_t type = in.gso_type & static_cast<uint8_t>(~kEcn);
  if (!IsKnown(type)) return false;
  if (type != 0) {
    hint.gso_type = static_cast<GsoType>(type);
    hint.tcp_ecn = (in.gso_type & kEcn) != 0;
    hint.gso_size = in.gso_size;
    hint.header_len = in.header_len;
  }
  if (in.flags & kNeedsChecksum) {
    hint.needs_checksum = true;
    hint.checksum_start = in.checksum_start;
    hint.checksum_offset = in.checksum_offset;
  }
  return true;
}

void WriteVirtioNetHdr(const encap::SegmentHint& hint,
                       std::span<uint8_t, kVirtioNetHdrLen> header) noexcept {
  Layout out{};
  if (hint.gso_type != GsoType::kNone) {
    out.gso_type = static_cast<uint8_t>(static_cast<uint8_t>(hint.gso_type) |
                                        (hint.tcp_ecn ? kEcn : 0));
    out.gso_size = hint.gso_size;
    out.header_len = hint.header_len;
  }
  if (hint.needs_checksum) {
    out.flags = kNeedsChecksum;
    out.checksum_start = hint.checksum_start;
    out.checksum_offset = hint.checksum_offset;
  }
  std::memcpy(header.data(), &out, sizeof(out));
}

}  // namespace tunnel
