#include "tunnel/underlay/raw_sender.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/underlay/control_message.h"
#include "tunnel/underlay/socket_options.h"

namespace tunnel {
namespace {

using encap::DropReason;

constexpr size_t kMaxBatch = 64;
constexpr int kSendBuffer = 4 << 20;  // bytes
constexpr int kErrorQueue = 1;        // bytes; the kernel takes its minimum

bool IsV6(const OutgoingPacket& packet) noexcept {
  return packet.route->remote.is_v6();
}

absl::StatusOr<UniqueFd> OpenV4() {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenSocket(AF_INET, SOCK_RAW, IPPROTO_RAW,
                                           "raw IPv4 send socket"));
  RETURN_IF_ERROR(SetOption(fd.get(), IPPROTO_IP, IP_HDRINCL, 1, "IP_HDRINCL"));
  // Makes the kernel report a full device queue as ENOBUFS instead of hiding
  // it.
  RETURN_IF_ERROR(SetOption(fd.get(), IPPROTO_IP, IP_RECVERR, 1, "IP_RECVERR"));
  RETURN_IF_ERROR(IgnorePathMtu(fd.get(), AF_INET));
  return fd;
}

absl::StatusOr<UniqueFd> OpenV6() {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenSocket(AF_INET6, SOCK_RAW, IPPROTO_RAW,
                                           "raw IPv6 send socket"));
  RETURN_IF_ERROR(
      SetOption(fd.get(), IPPROTO_IPV6, IPV6_HDRINCL, 1, "IPV6_HDRINCL"));
  RETURN_IF_ERROR(
      SetOption(fd.get(), IPPROTO_IPV6, IPV6_RECVERR, 1, "IPV6_RECVERR"));
  RETURN_IF_ERROR(IgnorePathMtu(fd.get(), AF_INET6));
  return fd;
}

// The reports of the error queue repeat what sendmmsg(2) returns. Nobody reads
// them, so they get as little room as can be.
void SizeBuffers(int fd) {
  GrowBuffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, kSendBuffer);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kErrorQueue, sizeof(kErrorQueue));
}

bool IsPendingError(int error_number) noexcept {
  return error_number == ECONNREFUSED || error_number == EPROTO ||
         error_number == ENOPROTOOPT || error_number == EOPNOTSUPP;
}

}  // namespace

struct RawSender::Batch {
  static constexpr size_t kControlLen =
      CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(uint32_t));
  struct Slot {
    iovec data;
    union {
      sockaddr_in v4;
      sockaddr_in6 v6;
    } to;
    alignas(cmsghdr) std::array<uint8_t, kControlLen> control;
  };
  std::array<mmsghdr, kMaxBatch> messages{};
  std::array<Slot, kMaxBatch> slots;

  void Fill(size_t i, const OutgoingPacket& packet) noexcept;

 private:
  static size_t AddressV4(Slot& slot, msghdr& header,
                          const OutgoingPacket& packet) noexcept;
  static size_t AddressV6(Slot& slot, msghdr& header,
                          const OutgoingPacket& packet) noexcept;
};

size_t RawSender::Batch::AddressV4(Slot& slot, msghdr& header,
                                   const OutgoingPacket& packet) noexcept {
  slot.to.v4 = {};
  slot.to.v4.sin_family = AF_INET;
  std::memcpy(&slot.to.v4.sin_addr, packet.route->remote.bytes().data(), 4);
  header.msg_namelen = sizeof(slot.to.v4);
  in_pktinfo info{};
  info.ipi_ifindex = static_cast<int>(packet.route->ifindex);
  std::memcpy(&info.ipi_spec_dst,
              packet.packet->data() + encap::ConstIpv4Header::kSource, 4);
  return PutControl(slot.control.data(), IPPROTO_IP, IP_PKTINFO, info);
}

size_t RawSender::Batch::AddressV6(Slot& slot, msghdr& header,
                                   const OutgoingPacket& packet) noexcept {
  slot.to.v6 = {};
  slot.to.v6.sin6_family = AF_INET6;
  std::memcpy(&slot.to.v6.sin6_addr, packet.route->remote.bytes().data(), 16);
  if (packet.route->remote.IsLinkLocal()) {
    slot.to.v6.sin6_scope_id = packet.route->ifindex;
  }
  header.msg_namelen = sizeof(slot.to.v6);
  in6_pktinfo info{};
  info.ipi6_ifindex = packet.route->ifindex;
  // With a source address the kernel takes the interface as a wish only.
  if (packet.route->ifindex == 0) {
    std::memcpy(&info.ipi6_addr,
                packet.packet->data() + encap::ConstIpv6Header::kSource, 16);
  }
  return PutControl(slot.control.data(), IPPROTO_IPV6, IPV6_PKTINFO, info);
}

void RawSender::Batch::Fill(size_t i, const OutgoingPacket& packet) noexcept {
  Slot& slot = slots[i];
  msghdr& header = messages[i].msg_hdr;
  slot.data = {packet.packet->data(), packet.packet->size()};
  header = {};
  header.msg_name = &slot.to;
  header.msg_iov = &slot.data;
  header.msg_iovlen = 1;
  header.msg_control = slot.control.data();
  size_t used = IsV6(packet) ? AddressV6(slot, header, packet)
                             : AddressV4(slot, header, packet);
  if (packet.route->mark != 0) {
    used += PutControl(slot.control.data() + used, SOL_SOCKET, SO_MARK,
                       packet.route->mark);
  }
  header.msg_controllen = used;
}

absl::StatusOr<std::unique_ptr<RawSender>> RawSender::Open() {
  ASSIGN_OR_RETURN(UniqueFd v4, OpenV4());
  SizeBuffers(v4.get());
  UniqueFd v6;
  if (HasIpv6()) {
    ASSIGN_OR_RETURN(v6, OpenV6());
    SizeBuffers(v6.get());
  }
  return std::unique_ptr<RawSender>(
      new RawSender(std::move(v4), std::move(v6)));
}

RawSender::RawSender(UniqueFd v4, UniqueFd v6)
    : v4_(std::move(v4)),
      v6_(std::move(v6)),
      batch_(std::make_unique<Batch>()) {}

RawSender::~RawSender() = default;

size_t RawSender::SendBatch(std::span<OutgoingPacket> packets) noexcept {
  size_t calls = 0;
  while (!packets.empty()) {
    const bool v6 = IsV6(packets.front());
    const size_t limit = std::min(packets.size(), kMaxBatch);
    size_t n = 1;
    while (n < limit && IsV6(packets[n]) == v6) ++n;
    calls += SendRun(packets.first(n));
    packets = packets.subspan(n);
  }
  return calls;
}

size_t RawSender::SendRun(std::span<OutgoingPacket> run) noexcept {
  const bool v6 = IsV6(run.front());
  const UniqueFd& fd = v6 ? v6_ : v4_;
  if (!fd) {
    for (OutgoingPacket& p : run) p.result = DropReason::kNoRoute;
    return 0;
  }
  for (size_t i = 0; i < run.size(); ++i) {
    batch_->Fill(i, run[i]);
    run[i].result = DropReason::kNone;
  }
  size_t calls = 0;
  bool retried = false;
  for (size_t done = 0; done < run.size();) {
    const int n =
        sendmmsg(fd.get(), &batch_->messages[done],
                 static_cast<unsigned>(run.size() - done), MSG_DONTWAIT);
    ++calls;
    if (n > 0) {
      done += static_cast<size_t>(n);
      retried = false;
      continue;
    }
    const int error = errno;
    if (error == EINTR) continue;
    // An error of the past that the socket reports now: ask once more.
    if (IsPendingError(error) && !std::exchange(retried, true)) continue;
    retried = false;
    const DropReason reason = SendErrorReason(error, v6);
    run[done++].result = reason;
    if (error != EAGAIN) continue;
    // The socket buffer is full: so it is for the rest of the run.
    while (done < run.size()) run[done++].result = reason;
  }
  return calls;
}

DropReason SendErrorReason(int error_number, bool v6) noexcept {
  switch (error_number) {
    case 0:
      return DropReason::kNone;
    case ENOBUFS:
    case ENOMEM:
    case EAGAIN:
      return DropReason::kQueueFull;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case EADDRNOTAVAIL:
    case ENETDOWN:
    case ENXIO:
    case ENODEV:
      return DropReason::kNoRoute;
    case EINVAL:
      // IPv6: the source address is none of this host.
      return v6 ? DropReason::kNoRoute : DropReason::kSendError;
    case EMSGSIZE:
      return DropReason::kTooBig;
    default:
      return DropReason::kSendError;
  }
}

}  // namespace tunnel
