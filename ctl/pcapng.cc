#include "ctl/pcapng.h"

#include <cstddef>
#include <utility>

namespace tunnel::ctl {
namespace {

constexpr uint32_t kSectionBlock = 0x0a0d0d0a;
constexpr uint32_t kInterfaceBlock = 1;
constexpr uint32_t kStatisticsBlock = 5;
constexpr uint32_t kPacketBlock = 6;

constexpr uint16_t kComment = 1;  // of every block
constexpr uint16_t kSectionApplication = 4;
constexpr uint16_t kInterfaceName = 2, kInterfaceTimeResolution = 9;
constexpr uint16_t kPacketFlags = 2;
constexpr uint16_t kStatisticsReceived = 4, kStatisticsDropped = 5;

constexpr uint8_t kNanoseconds = 9;  // 10^-9
constexpr uint32_t kInbound = 1, kOutbound = 2;

// One block; every part of it is padded to 32 bits.
class Block {
 public:
  explicit Block(uint32_t type) {
    Add(type);
    Add(uint32_t{0});  // its length
  }

  template <typename Number>
  void Add(Number value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  // High half first.
  void AddTime(uint64_t ns) {
    Add(static_cast<uint32_t>(ns >> 32));
    Add(static_cast<uint32_t>(ns));
  }
  void AddPadded(const void* data, size_t size) {
    bytes_.append(static_cast<const char*>(data), size);
    bytes_.append((4 - bytes_.size() % 4) % 4, '\0');
  }
  void AddOption(uint16_t code, const void* data, size_t size) {
    has_options_ = true;
    Add(code);
    Add(static_cast<uint16_t>(size));
    AddPadded(data, size);
  }
  void AddOption(uint16_t code, absl::string_view text) {
    AddOption(code, text.data(), text.size());
  }

  std::string Finish() {
    if (has_options_) Add(uint32_t{0});  // opt_endofopt
    const auto length = static_cast<uint32_t>(bytes_.size() + sizeof(uint32_t));
    Add(length);
    bytes_.replace(sizeof(uint32_t), sizeof length,
                   reinterpret_cast<const char*>(&length), sizeof length);
    return std::move(bytes_);
  }

 private:
  std::string bytes_;
  bool has_options_ = false;
};

}  // namespace

std::string PcapngSection(absl::string_view application) {
  Block block(kSectionBlock);
  block.Add(uint32_t{0x1a2b3c4d});  // tells the byte order
  block.Add(uint16_t{1});           // version 1.0
  block.Add(uint16_t{0});
  block.Add(~uint64_t{0});  // length of the section: not said
  block.AddOption(kSectionApplication, application);
  return block.Finish();
}

std::string PcapngInterface(absl::string_view name, LinkType type,
                            uint32_t snap_length) {
  Block block(kInterfaceBlock);
  block.Add(static_cast<uint16_t>(type));
  block.Add(uint16_t{0});  // reserved
  block.Add(snap_length);
  block.AddOption(kInterfaceName, name);
  block.AddOption(kInterfaceTimeResolution, &kNanoseconds, 1);
  return block.Finish();
}

std::string PcapngPacketBlock(const PcapngPacket& packet) {
  Block block(kPacketBlock);
  block.Add(packet.interface);
  block.AddTime(packet.time_ns);
  block.Add(static_cast<uint32_t>(packet.bytes.size()));
  block.Add(packet.length);
  block.AddPadded(packet.bytes.data(), packet.bytes.size());
  const uint32_t flags = packet.outbound ? kOutbound : kInbound;
  block.AddOption(kPacketFlags, &flags, sizeof flags);
  if (!packet.comment.empty()) block.AddOption(kComment, packet.comment);
  return block.Finish();
}

std::string PcapngStatistics(uint32_t interface, uint64_t time_ns,
                             uint64_t packets, uint64_t lost) {
  Block block(kStatisticsBlock);
  block.Add(interface);
  block.AddTime(time_ns);
  block.AddOption(kStatisticsReceived, &packets, sizeof packets);
  block.AddOption(kStatisticsDropped, &lost, sizeof lost);
  return block.Finish();
}

}  // namespace tunnel::ctl
