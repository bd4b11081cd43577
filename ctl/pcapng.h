// Blocks of a pcapng file (draft-ietf-opsawg-pcapng), in the byte order of this
// machine. Pure.

#ifndef CTL_PCAPNG_H_
#define CTL_PCAPNG_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tunnel::ctl {

// Values of the link-layer header type registry.
enum class LinkType : uint16_t {
  kEthernet = 1,
  kRawIp = 101,  // IPv4 or IPv6, by the version
};

// Section Header Block: begins a file.
std::string PcapngSection(absl::string_view application);

// Interface Description Block: the n-th of a section describes interface n (0
// first). Times are in ns. `snap_length` in bytes.
std::string PcapngInterface(absl::string_view name, LinkType type,
                            uint32_t snap_length);

struct PcapngPacket {
  uint32_t interface = 0;  // described before
  uint64_t time_ns = 0;    // since 1970
  bool outbound = false;
  uint32_t length = 0;  // bytes of the packet on the wire
  absl::Span<const uint8_t> bytes;
  absl::string_view comment;  // "" for none; at most 65535 bytes
};
// Enhanced Packet Block.
std::string PcapngPacketBlock(const PcapngPacket& packet);

// Interface Statistics Block: how many packets of the interface were given out,
// and how many were lost before.
std::string PcapngStatistics(uint32_t interface, uint64_t time_ns,
                             uint64_t packets, uint64_t lost);

}  // namespace tunnel::ctl

#endif  // CTL_PCAPNG_H_
