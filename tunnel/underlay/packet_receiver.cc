#include "tunnel/underlay/packet_receiver.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/underlay/flow_fanout.h"
#include "tunnel/underlay/socket_options.h"
#include "tunnel/underlay/vnet_translate.h"

namespace tunnel {
namespace {

constexpr size_t kBatch = 32;
// Fourteen bytes of Ethernet behind it put the outer IP header on a multiple of
// four.
constexpr size_t kFrameOffset = encap::kMaxEncapHeadroom + 2;
constexpr size_t kMaxFrame = (size_t{64} << 10) + 256;  // bytes
constexpr size_t kSlotLen = kFrameOffset + kMaxFrame;
constexpr int kReceiveBuffer = 8 << 20;  // bytes

absl::StatusOr<UniqueFd> OpenMember(uint16_t ether_type) {
  // Protocol 0: nothing is queued before the filter stands.
  ASSIGN_OR_RETURN(UniqueFd fd, OpenSocket(AF_PACKET, SOCK_RAW, 0,
                                           "packet socket to receive"));
  RETURN_IF_ERROR(AttachFilter(fd.get(), DropAllFilter(), "packet filter"));
  RETURN_IF_ERROR(
      SetOption(fd.get(), SOL_PACKET, PACKET_VNET_HDR, 1, "PACKET_VNET_HDR"));
  RETURN_IF_ERROR(
      SetOption(fd.get(), SOL_PACKET, PACKET_AUXDATA, 1, "PACKET_AUXDATA"));
  GrowBuffer(fd.get(), SO_RCVBUFFORCE, SO_RCVBUF, kReceiveBuffer);
  sockaddr_ll all{};
  all.sll_family = AF_PACKET;
  all.sll_protocol = htons(ether_type);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&all), sizeof(all)) !=
      0) {
    return SocketError(errno, "bind of the packet socket");
  }
  return fd;
}

// A flow fanout for a single member: it costs the kernel next to nothing.
constexpr int kLoneMember = PACKET_FANOUT_CPU;

// Joins the group `id`; the first member makes it with id 0 and gets the id
// that the kernel has chosen. An empty `flows`: there are no other members.
absl::Status JoinFanout(int fd, bool first, std::span<const sock_filter> flows,
                        int& id) {
  int mode = PACKET_FANOUT_FLAG_DEFRAG |
             (flows.empty() ? kLoneMember : PACKET_FANOUT_CBPF);
  if (first) mode |= PACKET_FANOUT_FLAG_UNIQUEID;
  RETURN_IF_ERROR(SetOption(fd, SOL_PACKET, PACKET_FANOUT, id | mode << 16,
                            "PACKET_FANOUT"));
  int value = 0;
  socklen_t len = sizeof(value);
  if (getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &value, &len) != 0) {
    return SocketError(errno, "PACKET_FANOUT");
  }
  id = value & 0xffff;
  if (!first || flows.empty()) return absl::OkStatus();
  const sock_fprog program{static_cast<uint16_t>(flows.size()),
                           const_cast<sock_filter*>(flows.data())};
  if (setsockopt(fd, SOL_PACKET, PACKET_FANOUT_DATA, &program,
                 sizeof(program)) != 0) {
    return SocketError(errno, "PACKET_FANOUT_DATA");
  }
  return absl::OkStatus();
}

}  // namespace

struct PacketReceiver::Buffers {
  struct Control {
    alignas(
        cmsghdr) std::array<uint8_t, CMSG_SPACE(sizeof(tpacket_auxdata))> bytes;
  };

  Buffers();
  // What recvmmsg(2) has changed in the first `n`.
  void Rearm(size_t n) noexcept;
  uint8_t* slot(size_t i) noexcept { return storage.get() + i * kSlotLen; }

  // Not initialised: pages that no packet reaches are never touched.
  std::unique_ptr<uint8_t[]> storage{new uint8_t[kBatch * kSlotLen]};
  std::array<std::array<uint8_t, kVirtioNetHdrLen>, kBatch> vnet{};
  std::array<Control, kBatch> control{};
  std::array<sockaddr_ll, kBatch> from{};
  std::array<std::array<iovec, 2>, kBatch> parts{};
  std::array<mmsghdr, kBatch> messages{};
  std::array<IncomingPacket, kBatch> packets{};
};

PacketReceiver::Buffers::Buffers() {
  for (size_t i = 0; i < kBatch; ++i) {
    parts[i] = {iovec{vnet[i].data(), vnet[i].size()},
                iovec{slot(i) + kFrameOffset, kMaxFrame}};
    msghdr& header = messages[i].msg_hdr;
    header.msg_name = &from[i];
    header.msg_iov = parts[i].data();
    header.msg_iovlen = parts[i].size();
    header.msg_control = control[i].bytes.data();
  }
  Rearm(kBatch);
}

void PacketReceiver::Buffers::Rearm(size_t n) noexcept {
  for (size_t i = 0; i < n; ++i) {
    msghdr& header = messages[i].msg_hdr;
    header.msg_namelen = sizeof(sockaddr_ll);
    header.msg_controllen = control[i].bytes.size();
    header.msg_flags = 0;
  }
}

absl::StatusOr<std::vector<std::shared_ptr<PacketReceiver>>>
PacketReceiver::OpenGroup(encap::IpFamily family, size_t workers,
                          std::span<const sock_filter> filter) {
  const bool v4 = family == encap::IpFamily::kV4;
  std::vector<std::shared_ptr<PacketReceiver>> group;
  int id = 0;
  std::vector<sock_filter> flows;
  if (workers > 1) flows = v4 ? FlowFanoutV4() : FlowFanoutV6();
  for (size_t i = 0; i < workers; ++i) {
    ASSIGN_OR_RETURN(UniqueFd fd, OpenMember(v4 ? ETH_P_IP : ETH_P_IPV6));
    RETURN_IF_ERROR(JoinFanout(fd.get(), i == 0, flows, id));
    group.push_back(
        std::shared_ptr<PacketReceiver>(new PacketReceiver(std::move(fd))));
  }
  // A socket that is bound and not yet in the group would see every packet, so
  // the filters open only when all are in.
  for (const auto& receiver : group) {
    RETURN_IF_ERROR(receiver->SetFilter(filter));
  }
  return group;
}

absl::Status PacketReceiver::SetFilter(std::span<const sock_filter> filter) {
  return AttachFilter(fd_.get(), filter, "packet filter");
}

PacketReceiver::PacketReceiver(UniqueFd fd)
    : fd_(std::move(fd)), buffers_(std::make_unique<Buffers>()) {}

PacketReceiver::~PacketReceiver() = default;

std::span<IncomingPacket> PacketReceiver::ReceiveBatch() noexcept {
  int n = -1;
  for (size_t tries = 0; n < 0 && tries < kBatch; ++tries) {
    n = recvmmsg(fd_.get(), buffers_->messages.data(), kBatch, MSG_DONTWAIT,
                 nullptr);
    if (n >= 0 || errno == EINTR) continue;
    if (errno != EINVAL) break;
    ++losses_.inexpressible;  // the kernel has dropped one; there may be more
  }
  if (n <= 0) return {};
  size_t accepted = 0;
  for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
    if (Accept(i, buffers_->packets[accepted])) ++accepted;
  }
  buffers_->Rearm(static_cast<size_t>(n));
  return std::span(buffers_->packets).first(accepted);
}

bool PacketReceiver::Accept(size_t i, IncomingPacket& packet) noexcept {
  mmsghdr& message = buffers_->messages[i];
  if (message.msg_hdr.msg_flags & MSG_TRUNC) {
    ++losses_.truncated;
    return false;
  }
  const cmsghdr* control = CMSG_FIRSTHDR(&message.msg_hdr);
  if (message.msg_len <= kVirtioNetHdrLen || control == nullptr ||
      control->cmsg_level != SOL_PACKET ||
      control->cmsg_type != PACKET_AUXDATA) {
    ++losses_.bad_vnet_header;
    return false;
  }
  tpacket_auxdata aux;
  std::memcpy(&aux, CMSG_DATA(control), sizeof(aux));
  const size_t frame_len = message.msg_len - kVirtioNetHdrLen;
  const size_t network = aux.tp_net;
  encap::SegmentHint hint;
  if (network >= frame_len || !TranslateVnetHdr(buffers_->vnet[i], network,
                                                frame_len - network, hint)) {
    ++losses_.bad_vnet_header;
    return false;
  }
  packet.packet =
      encap::PacketBuffer({buffers_->slot(i), kSlotLen}, kFrameOffset + network,
                          frame_len - network);
  packet.packet.hint() = hint;
  packet.ifindex = static_cast<uint32_t>(buffers_->from[i].sll_ifindex);
  return true;
}

PacketReceiver::Losses PacketReceiver::losses() noexcept {
  tpacket_stats stats{};
  socklen_t len = sizeof(stats);
  // Reading sets the kernel's counters back to zero.
  if (getsockopt(fd_.get(), SOL_PACKET, PACKET_STATISTICS, &stats, &len) == 0) {
    losses_.buffer_full += stats.tp_drops;
  }
  return losses_;
}

}  // namespace tunnel
