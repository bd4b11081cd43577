#include "tunnel/tun/linux_tun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tunnel/base/error.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/tun/virtio_net_hdr.h"

namespace tunnel {
namespace {

static_assert(kTunHeadroom >= kVirtioNetHdrLen);

class LinuxTunQueue : public TunQueue {
 public:
  LinuxTunQueue(UniqueFd fd, TunOffloads offloads)
      : fd_(std::move(fd)), offloads_(offloads) {}

  TunOffloads offloads() const noexcept override { return offloads_; }
  int fd() const override { return fd_.get(); }

  ReadResult ReadBatch(
      std::span<encap::PacketBuffer> packets) noexcept override {
    ReadResult result;
    size_t bytes = 0;
    while (result.packets < packets.size() && bytes < kReadBytes) {
      const ssize_t n = ReadOne(packets[result.packets]);
      ++result.calls;
      if (n > 0) {
        ++result.packets;
        bytes += static_cast<size_t>(n);
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
  const TunOffloads offloads_;
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
  absl::Status SetPersistent(bool persistent) override {
    if (ioctl(queues_[0]->fd(), TUNSETPERSIST, persistent ? 1 : 0) == 0) {
      return absl::OkStatus();
    }
    return MakeError(
        Reason::kNetlinkError,
        absl::StrCat("device \"", name_, "\": ", persistent ? "make" : "unmake",
                     " persistent: ", std::strerror(errno)),
        {{"name", name_}, {"errno", absl::StrCat(errno)}});
  }

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

// UDP segmentation, of Linux 6.2 and later; not in the headers of 6.1.
constexpr unsigned kTunUso = 0x20 | 0x40;  // TUN_F_USO4 | TUN_F_USO6

// Asks for all offloads that the kernel has; the setting is the device's, not
// the queue's, and a device keeps that of whoever had it before. nullopt: not
// even "none" was taken, errno says why.
std::optional<TunOffloads> SetOffloads(int fd, bool offload) {
  constexpr unsigned kTcp =
      TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  if (offload) {
    if (ioctl(fd, TUNSETOFFLOAD, kTcp | kTunUso) == 0)
      return TunOffloads{.tcp = true, .udp = true};
    if (ioctl(fd, TUNSETOFFLOAD, kTcp) == 0) return TunOffloads{.tcp = true};
  }
  if (ioctl(fd, TUNSETOFFLOAD, 0) == 0) return TunOffloads{};
  return std::nullopt;
}

// Makes the device (`exclusive`) or joins it.
absl::StatusOr<std::unique_ptr<LinuxTunQueue>> OpenQueue(
    const LinuxTunFactory::Options& options, const TunFactory::Request& request,
    size_t queue, bool exclusive) {
  UniqueFd fd(open(options.path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return TunNodeError(errno, options.path);
  ifreq ifr{};
  std::memcpy(ifr.ifr_name, request.name.data(), request.name.size());
  int flags = (request.ethernet ? IFF_TAP : IFF_TUN) | IFF_NO_PI |
              IFF_VNET_HDR | IFF_MULTI_QUEUE;
  if (exclusive) flags |= IFF_TUN_EXCL;
  ifr.ifr_flags = static_cast<short>(flags);
  if (ioctl(fd.get(), TUNSETIFF, &ifr) != 0) {
    return TunAttachError(errno, request.name, queue);
  }
  int header_len = static_cast<int>(kVirtioNetHdrLen);
  if (ioctl(fd.get(), TUNSETVNETHDRSZ, &header_len) != 0) {
    return TunAttachError(errno, request.name, queue);
  }
  const std::optional<TunOffloads> offloads =
      SetOffloads(fd.get(), options.offload);
  if (!offloads) return TunAttachError(errno, request.name, queue);
  return std::make_unique<LinuxTunQueue>(std::move(fd), *offloads);
}

using Queues = std::vector<std::unique_ptr<LinuxTunQueue>>;

absl::StatusOr<Queues> OpenQueues(const LinuxTunFactory::Options& options,
                                  const TunFactory::Request& request,
                                  bool make) {
  Queues queues;
  for (size_t i = 0; i < request.queues; ++i) {
    ASSIGN_OR_RETURN(std::unique_ptr<LinuxTunQueue> queue,
                     OpenQueue(options, request, i, make && i == 0));
    queues.push_back(std::move(queue));
  }
  return queues;
}

std::string Flags(bool no_pi, bool vnet_hdr, bool multi_queue) {
  std::vector<std::string> flags;
  if (no_pi) flags.push_back("IFF_NO_PI");
  if (vnet_hdr) flags.push_back("IFF_VNET_HDR");
  if (multi_queue) flags.push_back("IFF_MULTI_QUEUE");
  return flags.empty() ? "none" : absl::StrJoin(flags, " ");
}

absl::Status Differs(absl::string_view name, absl::string_view what,
                     const std::string& wanted, const std::string& got) {
  return MakeError(
      Reason::kNameInUse,
      absl::StrCat("device \"", name, "\": ", what, ": wanted ", wanted,
                   ", got ", got, "; it was not touched: remove or rename it"),
      {{"name", std::string(name)},
       {"differs", std::string(what)},
       {"wanted", wanted},
       {"got", got}});
}

}  // namespace

absl::Status CheckAdoptable(const TunLink& link,
                            const TunFactory::Request& request,
                            uint32_t ifindex) {
  const auto differs = [&request](absl::string_view what,
                                  const std::string& wanted,
                                  const std::string& got) {
    return Differs(request.name, what, wanted, got);
  };
  if (link.ifindex != ifindex) {
    return differs("ifindex", absl::StrCat(ifindex),
                   absl::StrCat(link.ifindex));
  }
  const std::string kind = request.ethernet ? "TAP" : "TUN";
  if (link.kind != "tun") {
    return differs("kind", kind,
                   link.kind.empty() ? "no virtual device" : link.kind);
  }
  if (link.ethernet != request.ethernet) {
    return differs("kind", kind, link.ethernet ? "TAP" : "TUN");
  }
  const std::string flags =
      Flags(!link.packet_information, link.vnet_header, link.multi_queue);
  if (const std::string wanted = Flags(true, true, true); flags != wanted) {
    return differs("flags", wanted, flags);
  }
  if (!link.persistent) {
    return differs("owner", "a persistent device",
                   "one that belongs to a running process");
  }
  if (link.queues != 0) {
    return differs("use", "no process attached",
                   absl::StrCat(link.queues, " queues in use"));
  }
  return absl::OkStatus();
}

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

LinuxTunFactory::LinuxTunFactory(Options options)
    : options_(std::move(options)) {}

absl::StatusOr<std::unique_ptr<TunDevice>> LinuxTunFactory::Open(
    const Request& request) {
  RETURN_IF_ERROR(CheckRequest(request));
  ASSIGN_OR_RETURN(Queues queues, OpenQueues(options_, request, true));
  const uint32_t ifindex = if_nametoindex(request.name.c_str());
  if (ifindex == 0) return TunAttachError(ENODEV, request.name, 0);
  return std::make_unique<LinuxTunDevice>(request.name, ifindex,
                                          std::move(queues));
}

bool LinuxTunFactory::WaitABit() {
  constexpr std::chrono::milliseconds kStep(5);
  {
    MutexLock lock(mu_);
    if (waited_ >= kPatience) return false;
    waited_ += kStep;
  }
  std::this_thread::sleep_for(kStep);
  return true;
}

absl::Status LinuxTunFactory::AwaitIdle(NetlinkSocket& socket,
                                        const Request& request,
                                        uint32_t ifindex) {
  for (;;) {
    ASSIGN_OR_RETURN(TunLink link, GetTunLink(socket, request.name));
    const absl::Status status = CheckAdoptable(link, request, ifindex);
    link.queues = 0;
    const bool busy_alone =
        !status.ok() && CheckAdoptable(link, request, ifindex).ok();
    if (!busy_alone || !WaitABit()) return status;
  }
}

absl::StatusOr<std::unique_ptr<TunDevice>> LinuxTunFactory::Adopt(
    const Request& request, uint32_t ifindex) {
  RETURN_IF_ERROR(CheckRequest(request));
  ASSIGN_OR_RETURN(NetlinkSocket socket, NetlinkSocket::Open());
  RETURN_IF_ERROR(AwaitIdle(socket, request, ifindex));
  ASSIGN_OR_RETURN(Queues queues, OpenQueues(options_, request, false));
  // Whoever took the name or joined the device meanwhile shows here. A device
  // that our attaching made goes with `queues`.
  ASSIGN_OR_RETURN(TunLink after, GetTunLink(socket, request.name));
  if (after.queues == queues.size()) after.queues = 0;
  RETURN_IF_ERROR(CheckAdoptable(after, request, ifindex));
  return std::make_unique<LinuxTunDevice>(request.name, ifindex,
                                          std::move(queues));
}

}  // namespace tunnel
