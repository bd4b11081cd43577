#include "tunnel/underlay/link_sender.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "encap/wire/ipv4.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/underlay/control_message.h"
#include "tunnel/underlay/raw_sender.h"
#include "tunnel/underlay/socket_options.h"

namespace tunnel {
namespace {

using encap::DropReason;

constexpr int kSendBuffer = 4 << 20;  // bytes

// False where the raw socket has an identification to fill in.
bool IsComplete(const encap::PacketBuffer& packet) noexcept {
  const encap::ConstIpv4Header ip(packet.data());
  return ip.dont_fragment() || ip.identification() != 0;
}

}  // namespace

struct LinkSender::Batch {
  struct Slot {
    iovec data;
    sockaddr_ll to;
    alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(sizeof(uint32_t))> control;
  };
  std::array<mmsghdr, kMaxBatch> messages{};
  std::array<Slot, kMaxBatch> slots;
  std::array<LinkDestination, kMaxBatch> hops;

  void Fill(size_t i, const OutgoingPacket& packet) noexcept;
};

void LinkSender::Batch::Fill(size_t i, const OutgoingPacket& packet) noexcept {
  Slot& slot = slots[i];
  const LinkDestination& hop = hops[i];
  slot.data = {packet.packet->data(), packet.packet->size()};
  slot.to = {};
  slot.to.sll_family = AF_PACKET;
  slot.to.sll_protocol =
      htons(packet.route->remote.is_v6() ? ETH_P_IPV6 : ETH_P_IP);
  slot.to.sll_ifindex = static_cast<int>(hop.ifindex);
  slot.to.sll_halen = static_cast<uint8_t>(hop.address.size());
  std::copy(hop.address.begin(), hop.address.end(), slot.to.sll_addr);
  msghdr& header = messages[i].msg_hdr;
  header = {};
  header.msg_name = &slot.to;
  header.msg_namelen = sizeof(slot.to);
  header.msg_iov = &slot.data;
  header.msg_iovlen = 1;
  if (packet.route->mark == 0) return;
  header.msg_control = slot.control.data();
  header.msg_controllen =
      PutControl(slot.control.data(), SOL_SOCKET, SO_MARK, packet.route->mark);
}

absl::StatusOr<std::unique_ptr<LinkSender>> LinkSender::Open() {
  // Protocol 0: it receives nothing. SOCK_DGRAM: the kernel writes the link
  // header.
  ASSIGN_OR_RETURN(UniqueFd fd,
                   OpenSocket(AF_PACKET, SOCK_DGRAM, 0, "packet send socket"));
  GrowBuffer(fd.get(), SO_SNDBUFFORCE, SO_SNDBUF, kSendBuffer);
  return std::unique_ptr<LinkSender>(new LinkSender(std::move(fd)));
}

LinkSender::LinkSender(UniqueFd fd)
    : fd_(std::move(fd)), batch_(std::make_unique<Batch>()) {}

LinkSender::~LinkSender() = default;

size_t LinkSender::Takes(std::span<const OutgoingPacket> packets) noexcept {
  const size_t limit = std::min(packets.size(), kMaxBatch);
  const SendRoute* known = nullptr;  // whose next hop `hop` is
  LinkDestination hop;
  size_t n = 0;
  for (; n < limit; ++n) {
    const OutgoingPacket& packet = packets[n];
    if (packet.route != known) {
      known = packet.route;
      hop = known->next_hop == nullptr ? LinkDestination{}
                                       : known->next_hop->Load();
    }
    if (hop.ifindex == 0 || packet.packet->size() > hop.mtu) break;
    if (!known->remote.is_v6() && !IsComplete(*packet.packet)) break;
    batch_->hops[n] = hop;
  }
  return n;
}

LinkSender::Result LinkSender::Send(std::span<OutgoingPacket> run) noexcept {
  for (size_t i = 0; i < run.size(); ++i) {
    batch_->Fill(i, run[i]);
    run[i].result = DropReason::kNone;
  }
  Result result;
  while (result.done < run.size()) {
    const int n =
        sendmmsg(fd_.get(), &batch_->messages[result.done],
                 static_cast<unsigned>(run.size() - result.done), MSG_DONTWAIT);
    ++result.calls;
    if (n > 0) {
      result.done += static_cast<size_t>(n);
      continue;
    }
    const int error = errno;
    if (error == EINTR) continue;
    if (SendErrorReason(error, false) != DropReason::kQueueFull) break;
    run[result.done++].result = DropReason::kQueueFull;
    if (error != EAGAIN) continue;
    // The socket buffer is full: so it is for the rest of the run.
    while (result.done < run.size())
      run[result.done++].result = DropReason::kQueueFull;
  }
  return result;
}

}  // namespace tunnel
