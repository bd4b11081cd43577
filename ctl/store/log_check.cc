// The format: https://www.sqlite.org/fileformat2.html, section 4.

#include "ctl/store/log_check.h"

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string_view>

namespace tunnel::ctl {
namespace {

constexpr size_t kHeader = 32;       // bytes
constexpr size_t kFrameHeader = 24;  // bytes
constexpr uint32_t kMagic = 0x377f0682;

uint32_t BigEndian(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) {
    value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  }
  return value;
}

// The running sum over all that came before.
class Sum {
 public:
  explicit Sum(bool big_endian) : big_endian_(big_endian) {}

  void Add(std::string_view bytes) {
    for (size_t at = 0; at + 8 <= bytes.size(); at += 8) {
      one_ += Word(bytes, at) + two_;
      two_ += Word(bytes, at + 4) + one_;
    }
  }
  bool Is(std::string_view bytes, size_t at) const {
    return BigEndian(bytes, at) == one_ && BigEndian(bytes, at + 4) == two_;
  }

 private:
  uint32_t Word(std::string_view bytes, size_t at) const {
    const uint32_t word = BigEndian(bytes, at);
    return big_endian_ ? word : __builtin_bswap32(word);
  }
  const bool big_endian_;
  uint32_t one_ = 0, two_ = 0;
};

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace

LogCheck CheckLog(const std::string& path) {
  LogCheck result;
  const std::string log = ReadFile(path + "-wal");
  const std::string_view bytes = log;
  if (bytes.size() <= kHeader) return result;
  const uint32_t magic = BigEndian(bytes, 0);
  const size_t page = BigEndian(bytes, 8);
  Sum sum((magic & 1) != 0);
  sum.Add(bytes.substr(0, 24));
  if ((magic & ~1U) != kMagic || !sum.Is(bytes, 24) || page == 0 ||
      page > 65536) {
    result.unreadable = true;
    return result;
  }
  const std::string_view salt = bytes.substr(16, 8);
  const size_t stride = kFrameHeader + page;
  bool sound = true;
  for (size_t at = kHeader; at + kFrameHeader <= bytes.size(); at += stride) {
    const std::string_view frame = bytes.substr(at, stride);
    // Frames of another salt are left over from the log's last round.
    const bool current = frame.substr(8, 8) == salt;
    if (sound) {
      sum.Add(frame.substr(0, 8));
      sum.Add(frame.substr(kFrameHeader));
      sound = current && frame.size() == stride && sum.Is(frame, 16);
      result.unfinished = !sound && current;
    } else if (current && BigEndian(frame, 4) != 0) {
      ++result.lost_commits;
    }
  }
  return result;
}

}  // namespace tunnel::ctl
