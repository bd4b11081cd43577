#include "tunnel/bpf/fast_sender.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"
#include "tunnel/tun/virtio_net_hdr.h"

namespace tunnel {
namespace {

// Bytes: what waits in the queue of an underlay device counts.
constexpr int kSendBuffer = 4 << 20;

absl::Status Refused(const char* what) {
  return MakeError(Reason::kKernelFeatureMissing,
                   absl::StrCat(what, ": ", std::strerror(errno)));
}

bool Set(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

}  // namespace

absl::StatusOr<FastSender> FastSender::Open(fp_sender& shared) {
  UniqueFd fd(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
                     0 /* sends */));
  if (!fd.valid()) return Refused("packet socket");
  if (!Set(fd.get(), SOL_PACKET, PACKET_VNET_HDR, 1))
    return Refused("PACKET_VNET_HDR");
  if (!Set(fd.get(), SOL_SOCKET, SO_MARK, kFpSenderMark))
    return Refused("SO_MARK");
  if (!Set(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, kSendBuffer))
    Set(fd.get(), SOL_SOCKET, SO_SNDBUF, kSendBuffer);
  uint64_t cookie = 0;
  socklen_t size = sizeof(cookie);
  if (getsockopt(fd.get(), SOL_SOCKET, SO_COOKIE, &cookie, &size) != 0)
    return Refused("SO_COOKIE");
  return FastSender(std::move(fd), cookie, shared);
}

// The program writes it inside our send call, on our CPU.
uint64_t FastSender::Seen() const noexcept {
  return std::atomic_ref<__u64>(shared_->seen).load(std::memory_order_relaxed);
}

FastSend FastSender::Send(uint32_t ifindex,
                          const encap::PacketBuffer& packet) noexcept {
  std::array<uint8_t, kVirtioNetHdrLen> header;
  WriteVirtioNetHdr(packet.hint(), header);
  const bool v4 = packet.data()[0] >> 4 == 4;
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_protocol = htons(v4 ? ETH_P_IP : ETH_P_IPV6);
  to.sll_ifindex = static_cast<int>(ifindex);
  std::array<iovec, 2> parts{
      {{header.data(), header.size()},
       {const_cast<uint8_t*>(packet.data()), packet.size()}}};
  msghdr message{};
  message.msg_name = &to;
  message.msg_namelen = sizeof(to);
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  const uint64_t before = Seen();
  if (sendmsg(fd_.get(), &message, 0) < 0) return FastSend::kRefused;
  return Seen() == before ? FastSend::kLost : FastSend::kSent;
}

}  // namespace tunnel
