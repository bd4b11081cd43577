#include "tests/bench/packet_io/sender.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "encap/packet.h"
#include "tests/bench/packet_io/xdp_socket.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/underlay/raw_sender.h"
#include "tunnel/underlay/transport.h"

namespace bench {
namespace {

constexpr size_t kPackets = PacketTrain::kPackets;

// The sender of the daemon, whole.
class RawSocket : public Sender {
 public:
  RawSocket(const Link& link, const PacketTrain& train) {
    auto opened = tunnel::RawSender::Open();
    if (!opened.ok()) Die("raw sockets");
    sender_ = *std::move(opened);
    route_.remote = link.remote;
    for (size_t i = 0; i < kPackets; ++i) {
      const std::span<const uint8_t> packet = train.packet(i);
      storage_[i].assign(packet.begin(), packet.end());
      buffers_[i] = encap::PacketBuffer(storage_[i], 0, packet.size());
      outgoing_[i] = {&buffers_[i], &route_};
    }
  }

  size_t Send() override {
    sender_->SendBatch(outgoing_);
    return static_cast<size_t>(std::count_if(
        outgoing_.begin(), outgoing_.end(),
        [](const auto& p) { return p.result == encap::DropReason::kNone; }));
  }

 private:
  std::unique_ptr<tunnel::RawSender> sender_;
  tunnel::SendRoute route_;
  std::array<std::vector<uint8_t>, kPackets> storage_;
  std::array<encap::PacketBuffer, kPackets> buffers_;
  std::array<tunnel::OutgoingPacket, kPackets> outgoing_;
};

class PacketSocket : public Sender {
 public:
  PacketSocket(const Link& link, const PacketTrain& train, bool bypass)
      : fd_(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) {
    const int value = bypass;
    if (!fd_ || setsockopt(fd_.get(), SOL_PACKET, PACKET_QDISC_BYPASS, &value,
                           sizeof(value)) != 0) {
      Die("packet socket to send");
    }
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_protocol = htons(ETH_P_IP);
    to.sll_ifindex = static_cast<int>(if_nametoindex(link.device.c_str()));
    if (bind(fd_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) !=
        0) {
      Die("bind of the packet socket");
    }
    for (size_t i = 0; i < kPackets; ++i) {
      const std::span<const uint8_t> frame = train.frame(i);
      data_[i] = {const_cast<uint8_t*>(frame.data()), frame.size()};
      messages_[i].msg_hdr.msg_iov = &data_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  size_t Send() override {
    const int n = sendmmsg(fd_.get(), messages_.data(), kPackets, MSG_DONTWAIT);
    return n > 0 ? static_cast<size_t>(n) : 0;
  }

 private:
  const tunnel::UniqueFd fd_;
  std::array<iovec, kPackets> data_{};
  std::array<mmsghdr, kPackets> messages_{};
};

// The frames hold the train over and over, and are sent in turn: so nothing is
// copied on this side of the kernel.
class XdpSender : public Sender {
 public:
  XdpSender(const Link& link, const PacketTrain& train)
      : socket_(link.device, XdpSocket::Use::kSend) {
    static_assert(XdpSocket::kFrames % kPackets == 0);
    for (uint32_t i = 0; i < XdpSocket::kFrames; ++i) {
      const std::span<const uint8_t> frame = train.frame(i % kPackets);
      std::copy(frame.begin(), frame.end(),
                socket_.frame(uint64_t{i} * XdpSocket::kFrameLen));
    }
    frame_len_ = static_cast<uint32_t>(train.frame(0).size());
  }

  size_t Send() override {
    const uint32_t done = socket_.completion.Ready();
    socket_.completion.Consumed(done);
    under_way_ -= done;
    if (XdpSocket::kFrames - under_way_ < kPackets) {
      Kick();
      return 0;
    }
    for (uint32_t i = 0; i < kPackets; ++i) {
      socket_.transmit.ToFill(i) = {uint64_t{next_} * XdpSocket::kFrameLen,
                                    frame_len_, 0};
      next_ = (next_ + 1) % XdpSocket::kFrames;
    }
    socket_.transmit.Produced(kPackets);
    under_way_ += kPackets;
    Kick();
    return kPackets;
  }

 private:
  // One call sends some 32 packets.
  void Kick() {
    while (socket_.transmit.Free() != XdpSocket::kFrames) {
      if (sendto(socket_.fd(), nullptr, 0, MSG_DONTWAIT, nullptr, 0) >= 0) {
        continue;
      }
      if (errno == EAGAIN) continue;  // there are more
      if (errno == ENOBUFS || errno == EBUSY) return;
      Die("sendto of the AF_XDP socket");
    }
  }

  XdpSocket socket_;
  uint32_t frame_len_ = 0;
  uint32_t next_ = 0;       // frame
  uint32_t under_way_ = 0;  // frames that the kernel has
};

}  // namespace

std::unique_ptr<Sender> MakeSender(const std::string& kind, const Link& link,
                                   const PacketTrain& train) {
  if (kind == "raw") return std::make_unique<RawSocket>(link, train);
  if (kind == "packet" || kind == "bypass") {
    return std::make_unique<PacketSocket>(link, train, kind == "bypass");
  }
  if (kind == "xdp") return std::make_unique<XdpSender>(link, train);
  return nullptr;
}

}  // namespace bench
