#include "tunnel/bpf/receive_steering.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace tunnel {
namespace {

constexpr int kBitsAWord = 32;
constexpr absl::string_view kNone = "0";

UniqueFd MountSysfs() {
  const UniqueFd context(::fsopen("sysfs", FSOPEN_CLOEXEC));
  if (!context || ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr,
                             nullptr, 0) != 0) {
    return {};
  }
  return UniqueFd(::fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
}

// A short file, without the newline.
std::optional<std::string> ReadAt(int dir, const std::string& path) {
  const UniqueFd fd(::openat(dir, path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  std::array<char, 4096> text;
  const ssize_t n = ::read(fd.get(), text.data(), text.size());
  if (n < 0) return std::nullopt;
  return std::string(absl::StripSuffix(
      absl::string_view(text.data(), static_cast<size_t>(n)), "\n"));
}

// 0, or the error number.
int WriteAt(int dir, const std::string& path, absl::string_view text) {
  const UniqueFd fd(::openat(dir, path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd || ::write(fd.get(), text.data(), text.size()) < 0) return errno;
  return 0;
}

// Without the leading zeroes that the kernel writes.
std::string Significant(absl::string_view mask) {
  const size_t first = mask.find_first_not_of("0,");
  return std::string(first == absl::string_view::npos ? "0"
                                                      : mask.substr(first));
}

}  // namespace

std::string CpuMask(std::span<const int> cpus) {
  std::vector<uint32_t> words(1);
  for (const int cpu : cpus) {
    const auto word = static_cast<size_t>(cpu / kBitsAWord);
    if (word >= words.size()) words.resize(word + 1);
    words[word] |= uint32_t{1} << cpu % kBitsAWord;
  }
  std::string mask = absl::StrFormat("%x", words.back());
  for (size_t i = words.size() - 1; i-- > 0;)
    absl::StrAppendFormat(&mask, ",%08x", words[i]);
  return mask;
}

std::string CpuRanges(std::vector<int> cpus) {
  std::sort(cpus.begin(), cpus.end());
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
  std::string text;
  for (size_t i = 0; i < cpus.size();) {
    size_t last = i;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    absl::StrAppend(&text, text.empty() ? "" : ",", cpus[i]);
    if (last != i) absl::StrAppend(&text, "-", cpus[last]);
    i = last + 1;
  }
  return text;
}

ReceiveSteering::ReceiveSteering() : sysfs_(MountSysfs()) {
  if (!sysfs_) sysfs_.reset(::open("/sys", O_PATH | O_CLOEXEC | O_DIRECTORY));
}

std::string ReceiveSteering::Set(uint32_t ifindex, FastSteering mode,
                                 std::span<const int> cpus) {
  std::array<char, IF_NAMESIZE> name{};
  if (::if_indextoname(ifindex, name.data()) == nullptr)
    return "off: the device is gone";
  const std::string device = absl::StrCat("class/net/", name.data());
  const auto shown = ReadAt(sysfs_.get(), device + "/ifindex");
  if (shown != absl::StrCat(ifindex))
    return "off: /sys does not show this network namespace";
  const std::string ours = CpuMask(cpus);
  std::string current;
  for (size_t queue = 0;; ++queue) {
    const std::string file =
        absl::StrCat(device, "/queues/rx-", queue, "/rps_cpus");
    const auto found = ReadAt(sysfs_.get(), file);
    if (!found.has_value()) break;  // behind the last one
    current = Significant(*found);
    if (current != kNone && current != ours) {
      if (mode == FastSteering::kOff) return "off";
      if (mode == FastSteering::kAuto)
        return absl::StrCat("off: rps_cpus was set to ", current, " by hand");
    }
    const absl::string_view wanted =
        mode == FastSteering::kOff ? kNone : absl::string_view(ours);
    if (current == wanted) continue;
    if (const int error = WriteAt(sysfs_.get(), file, wanted); error != 0) {
      return absl::StrCat(mode == FastSteering::kOff ? "on: " : "off: ",
                          "rps_cpus of the device can not be written, ",
                          strerrordesc_np(error));
    }
  }
  if (current.empty()) return "off: the kernel was built without CONFIG_RPS";
  return mode == FastSteering::kOff
             ? "off"
             : absl::StrCat("cpus ", CpuRanges({cpus.begin(), cpus.end()}));
}

}  // namespace tunnel
