#include "tunnel/tun/linux_tun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/tun/virtio_net_hdr.h"

namespace tunnel {
namespace {

static_assert(kTunHeadroom >= kVirtioNetHdrLen);

class LinuxTunQueue : public TunQueue {
 public:
  explicit LinuxTunQueue(UniqueFd fd) : fd_(std::move(fd)) {}

  int fd() const override { return fd_.get(); }

  ReadResult ReadBatch(
      std::span<encap::PacketBuffer> packets) noexcept override {
    ReadResult result;
    while (result.packets < packets.size()) {
      const ssize_t n = ReadOne(packets[result.packets]);
      if (n > 0) {
        ++result.packets;
        continue;
      }
      if (n == 0 || errno == EINTR) continue;
      result.gone = errno == EBADFD || errno == ENODEV;
      break;
    }
    return result;
  }

  WriteResult Write(encap::PacketBuffer& packet) noexcept override {
    uint8_t* header = packet.Push(kVirtioNetHdrLen);
    if (header == nullptr) return WriteResult::kRefused;
    WriteVirtioNetHdr(packet.hint(), std::span<uint8_t, kVirtioNetHdrLen>(
                                         header, kVirtioNetHdrLen));
    ssize_t n;
    do {
      n = write(fd_.get(), packet.data(), packet.size());
    } while (n < 0 && errno == EINTR);
    if (n >= 0) return WriteResult::kOk;
    return errno == EBADFD || errno == ENODEV ? WriteResult::kGone
                                              : WriteResult::kRefused;
  }

 private:
  // Bytes of the packet; 0 when one was read that is no packet; -1 with errno.
  // Anything but a packet leaves `packet` as it was.
  ssize_t ReadOne(encap::PacketBuffer& packet) noexcept {
    uint8_t* header = packet.Push(kVirtioNetHdrLen);
    if (header == nullptr) {
      errno = EINVAL;
      return -1;
    }
    const ssize_t n = read(fd_.get(), header, packet.size());
    packet.Pull(kVirtioNetHdrLen);
    if (n < 0) return -1;
    const size_t size = static_cast<size_t>(n);
    encap::SegmentHint hint;
    if (size <= kVirtioNetHdrLen ||
        !ReadVirtioNetHdr(std::span<const uint8_t, kVirtioNetHdrLen>(
                              header, kVirtioNetHdrLen),
                          hint)) {
      return 0;
    }
    packet.Trim(size - kVirtioNetHdrLen);
    packet.hint() = hint;
    return n;
  }

  const UniqueFd fd_;
};

class LinuxTunDevice : public TunDevice {
 public:
  LinuxTunDevice(std::string name, uint32_t ifindex,
                 std::vector<std::unique_ptr<LinuxTunQueue>> queues)
      : name_(std::move(name)), ifindex_(ifindex), queues_(std::move(queues)) {}

  const std::string& name() const override { return name_; }
  uint32_t ifindex() const override { return ifindex_; }
  size_t queue_count() const override { return queues_.size(); }
  TunQueue& queue(size_t i) override { return *queues_[i]; }

 private:
  const std::string name_;
  const uint32_t ifindex_;
  const std::vector<std::unique_ptr<LinuxTunQueue>> queues_;
};

absl::Status CheckRequest(const TunFactory::Request& request) {
  std::vector<FieldViolation> violations;
  if (request.name.empty() || request.name.size() >= IFNAMSIZ ||
      request.name.find('%') != std::string::npos) {
    violations.push_back(
        {"name", "must have 1 to 15 bytes and no '%', the name of a device"});
  }
  if (request.queues == 0) {
    violations.push_back({"queues", "must be at least 1"});
  }
  if (violations.empty()) return absl::OkStatus();
  return MakeError(
      Reason::kFieldInvalid,
      absl::StrCat("device \"", request.name, "\": invalid request"), {},
      std::move(violations));
}

// Makes the device (first queue) or joins it (later ones).
absl::StatusOr<UniqueFd> OpenQueue(const std::string& path,
                                   const TunFactory::Request& request,
                                   size_t queue) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return TunNodeError(errno, path);
  ifreq ifr{};
  std::memcpy(ifr.ifr_name, request.name.data(), request.name.size());
  int flags = (request.ethernet ? IFF_TAP : IFF_TUN) | IFF_NO_PI |
              IFF_VNET_HDR | IFF_MULTI_QUEUE;
  if (queue == 0) flags |= IFF_TUN_EXCL;
  ifr.ifr_flags = static_cast<short>(flags);
  if (ioctl(fd.get(), TUNSETIFF, &ifr) != 0) {
    return TunAttachError(errno, request.name, queue);
  }
  int header_len = static_cast<int>(kVirtioNetHdrLen);
  if (ioctl(fd.get(), TUNSETVNETHDRSZ, &header_len) != 0 ||
      ioctl(fd.get(), TUNSETOFFLOAD, 0) != 0) {
    return TunAttachError(errno, request.name, queue);
  }
  return fd;
}

}  // namespace

absl::Status TunNodeError(int error_number, absl::string_view path) {
  const std::map<std::string, std::string> metadata = {
      {"path", std::string(path)}};
  const std::string words = std::strerror(error_number);
  switch (error_number) {
    case EMFILE:
    case ENFILE:
      return MakeError(Reason::kFdLimit,
                       absl::StrCat(path, ": ", words,
                                    "; raise LimitNOFILE or use fewer workers"),
                       metadata);
    default:
      return MakeError(
          Reason::kTunUnavailable,
          absl::StrCat(path, ": ", words,
                       "; load the module (modprobe tun), or give the daemon "
                       "access to the device"),
          metadata);
  }
}

absl::Status TunAttachError(int error_number, absl::string_view name,
                            size_t queue) {
  std::map<std::string, std::string> metadata = {{"name", std::string(name)}};
  const std::string subject =
      absl::StrCat("device \"", name, "\" queue ", queue, ": ");
  const std::string words = std::strerror(error_number);
  switch (error_number) {
    case EPERM:
    case EACCES:
      metadata["capability"] = "CAP_NET_ADMIN";
      return MakeError(Reason::kMissingCapability,
                       absl::StrCat(subject, "needs CAP_NET_ADMIN"),
                       std::move(metadata));
    case EBUSY:
    case EEXIST:
      return MakeError(Reason::kNameInUse,
                       absl::StrCat("an interface named \"", name, "\" exists"),
                       std::move(metadata));
    case EMFILE:
    case ENFILE:
      return MakeError(Reason::kFdLimit, absl::StrCat(subject, words),
                       std::move(metadata));
    case E2BIG:
      return MakeError(Reason::kKernelFeatureMissing,
                       absl::StrCat(subject, "more queues than the kernel has"),
                       std::move(metadata));
    case EBADFD:
    case ENODEV:
      return MakeError(Reason::kTunUnavailable,
                       absl::StrCat(subject, "the device went away"),
                       std::move(metadata));
    default:
      return MakeError(
          Reason::kKernelFeatureMissing,
          absl::StrCat(subject, "wanted IFF_VNET_HDR and IFF_MULTI_QUEUE, got ",
                       words),
          std::move(metadata));
  }
}

LinuxTunFactory::LinuxTunFactory(std::string path) : path_(std::move(path)) {}

absl::StatusOr<std::unique_ptr<TunDevice>> LinuxTunFactory::Open(
    const Request& request) {
  RETURN_IF_ERROR(CheckRequest(request));
  std::vector<std::unique_ptr<LinuxTunQueue>> queues;
  for (size_t i = 0; i < request.queues; ++i) {
    ASSIGN_OR_RETURN(UniqueFd fd, OpenQueue(path_, request, i));
    queues.push_back(std::make_unique<LinuxTunQueue>(std::move(fd)));
  }
  const uint32_t ifindex = if_nametoindex(request.name.c_str());
  if (ifindex == 0) return TunAttachError(ENODEV, request.name, 0);
  return std::make_unique<LinuxTunDevice>(request.name, ifindex,
                                          std::move(queues));
}

}  // namespace tunnel
