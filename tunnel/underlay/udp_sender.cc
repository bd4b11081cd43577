#include "tunnel/underlay/udp_sender.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"
#include "tunnel/base/clock.h"
#include "tunnel/underlay/control_message.h"

namespace tunnel {
namespace {

constexpr size_t kMaxRun = 64;
constexpr int kUdpSegment = 103;  // UDP_SEGMENT of <linux/udp.h>

// With a source address the kernel takes the interface as a wish only, but for
// link-local remotes.
bool CanName(const SendRoute& route) noexcept {
  return route.remote.is_v4() || route.ifindex == 0 ||
         route.remote.IsLinkLocal();
}

UdpSockets::Key KeyOf(const UdpHeaders& headers) noexcept {
  return {headers.v6, headers.dont_fragment, headers.source_port};
}

}  // namespace

struct UdpSender::Message {
  static constexpr size_t kControlLen =
      CMSG_SPACE(sizeof(in6_pktinfo)) + 2 * CMSG_SPACE(sizeof(int)) +
      CMSG_SPACE(sizeof(uint32_t)) + CMSG_SPACE(sizeof(uint16_t));

  msghdr header;
  union {
    sockaddr_in v4;
    sockaddr_in6 v6;
  } to;
  std::array<iovec, kMaxRun> parts;
  alignas(cmsghdr) std::array<uint8_t, kControlLen> control;

  void Fill(std::span<const OutgoingPacket> run,
            const UdpHeaders& headers) noexcept;

 private:
  // They return the bytes of control messages.
  size_t AddressV4(const OutgoingPacket& packet,
                   const UdpHeaders& headers) noexcept;
  size_t AddressV6(const OutgoingPacket& packet,
                   const UdpHeaders& headers) noexcept;
};

size_t UdpSender::Message::AddressV4(const OutgoingPacket& packet,
                                     const UdpHeaders& headers) noexcept {
  const uint8_t* ip = packet.packet->data();
  to.v4 = {};
  to.v4.sin_family = AF_INET;
  to.v4.sin_port = htons(headers.destination_port);
  std::memcpy(&to.v4.sin_addr, ip + encap::ConstIpv4Header::kDestination, 4);
  header.msg_namelen = sizeof(to.v4);
  in_pktinfo info{};
  info.ipi_ifindex = static_cast<int>(packet.route->ifindex);
  std::memcpy(&info.ipi_spec_dst, ip + encap::ConstIpv4Header::kSource, 4);
  uint8_t* at = control.data();
  size_t used = PutControl(at, IPPROTO_IP, IP_PKTINFO, info);
  used += PutControl(at + used, IPPROTO_IP, IP_TOS, int{headers.tos});
  used += PutControl(at + used, IPPROTO_IP, IP_TTL, int{headers.ttl});
  return used;
}

size_t UdpSender::Message::AddressV6(const OutgoingPacket& packet,
                                     const UdpHeaders& headers) noexcept {
  const uint8_t* ip = packet.packet->data();
  to.v6 = {};
  to.v6.sin6_family = AF_INET6;
  to.v6.sin6_port = htons(headers.destination_port);
  to.v6.sin6_flowinfo = htonl(headers.flow_label);
  std::memcpy(&to.v6.sin6_addr, ip + encap::ConstIpv6Header::kDestination, 16);
  if (packet.route->remote.IsLinkLocal())
    to.v6.sin6_scope_id = packet.route->ifindex;
  header.msg_namelen = sizeof(to.v6);
  in6_pktinfo info{};
  info.ipi6_ifindex = packet.route->ifindex;
  std::memcpy(&info.ipi6_addr, ip + encap::ConstIpv6Header::kSource, 16);
  uint8_t* at = control.data();
  size_t used = PutControl(at, IPPROTO_IPV6, IPV6_PKTINFO, info);
  used += PutControl(at + used, IPPROTO_IPV6, IPV6_TCLASS, int{headers.tos});
  used += PutControl(at + used, IPPROTO_IPV6, IPV6_HOPLIMIT, int{headers.ttl});
  return used;
}

void UdpSender::Message::Fill(std::span<const OutgoingPacket> run,
                              const UdpHeaders& headers) noexcept {
  header = {};
  header.msg_name = &to;
  header.msg_iov = parts.data();
  header.msg_iovlen = run.size();
  header.msg_control = control.data();
  for (size_t i = 0; i < run.size(); ++i) {
    parts[i] = {run[i].packet->data() + headers.header_len,
                run[i].packet->size() - headers.header_len};
  }
  size_t used =
      headers.v6 ? AddressV6(run[0], headers) : AddressV4(run[0], headers);
  uint8_t* at = control.data();
  if (run[0].route->mark != 0)
    used += PutControl(at + used, SOL_SOCKET, SO_MARK, run[0].route->mark);
  if (run.size() > 1) {
    used +=
        PutControl(at + used, IPPROTO_UDP, kUdpSegment, headers.payload_len);
  }
  header.msg_controllen = used;
}

UdpSender::UdpSender() : message_(std::make_unique<Message>()) {}

UdpSender::~UdpSender() = default;

bool UdpSender::Takes(std::span<const OutgoingPacket> run,
                      const UdpHeaders& headers) noexcept {
  if (!CanName(*run[0].route)) return false;
  now_ns_ = SteadyCoarseNs();
  sockets_.Sweep(now_ns_);
  const UdpSockets::Key key = KeyOf(headers);
  fd_ = run.size() > 1 ? sockets_.FindOrOpen(key, now_ns_)
                       : sockets_.Find(key, now_ns_);
  return fd_ >= 0;
}

UdpSender::Result UdpSender::Send(std::span<const OutgoingPacket> run,
                                  const UdpHeaders& headers) noexcept {
  message_->Fill(run, headers);
  ssize_t n;
  do {
    n = sendmsg(fd_, &message_->header, MSG_DONTWAIT);
    ++calls_;
  } while (n < 0 && errno == EINTR);
  if (n >= 0) return Result::kSent;
  if (errno == ENOBUFS || errno == EAGAIN || errno == ENOMEM)
    return Result::kQueueFull;
  // No UDP_SEGMENT (EINVAL), no checksum offload (EIO), no route for a socket
  // that the raw one has: it will tell the reason, or send.
  sockets_.Refuse(KeyOf(headers), now_ns_);
  return Result::kRefused;
}

}  // namespace tunnel
