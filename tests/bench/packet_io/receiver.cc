#include "tests/bench/packet_io/receiver.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "tests/bench/packet_io/probe.h"
#include "tests/bench/packet_io/xdp_socket.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/underlay/packet_receiver.h"
#include "tunnel/underlay/socket_options.h"
#include "tunnel/underlay/tunnel_filter.h"

namespace bench {
namespace {

void Count(size_t size, const PacketTrain& train, Tally& tally) {
  const size_t packets = train.PacketsIn(size);
  tally.packets += packets;
  ++(packets > 0 ? tally.frames : tally.strange);
}

// The receiver of the daemon, whole, with the raw socket that keeps the kernel
// from answering with ICMP errors.
class PacketSocket : public Receiver {
 public:
  explicit PacketSocket(const PacketTrain& train)
      : train_(train),
        guard_(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_GRE)) {
    auto group = tunnel::PacketReceiver::OpenGroup(encap::IpFamily::kV4, 1,
                                                   tunnel::TunnelFilterV4({}));
    if (!group.ok() || !guard_ ||
        !tunnel::AttachFilter(guard_.get(), tunnel::DropAllFilter(), "guard")
             .ok()) {
      Die("packet socket to receive");
    }
    receiver_ = std::move(group->front());
  }

  int fd() const override { return receiver_->fd(); }

  bool Receive(Tally& tally) override {
    const auto batch = receiver_->ReceiveBatch();
    for (const tunnel::IncomingPacket& packet : batch) {
      Count(packet.packet.size(), train_, tally);
    }
    return !batch.empty();
  }

 private:
  const PacketTrain& train_;
  const tunnel::UniqueFd guard_;
  std::shared_ptr<tunnel::PacketReceiver> receiver_;
};

class XdpReceiver : public Receiver {
 public:
  XdpReceiver(const std::string& device, XdpRedirect::Hook hook,
              const PacketTrain& train)
      : train_(train),
        socket_(device, XdpSocket::Use::kReceive),
        redirect_(device, hook, socket_) {}

  int fd() const override { return socket_.fd(); }

  bool Receive(Tally& tally) override {
    constexpr uint32_t kBatch = 64;
    const uint32_t n = std::min(socket_.receive.Ready(), kBatch);
    for (uint32_t i = 0; i < n; ++i) {
      const xdp_desc& packet = socket_.receive.ToRead(i);
      Count(packet.len - PacketTrain::kEthernetLen, train_, tally);
      // There is room: the ring has a slot for each frame.
      socket_.fill.ToFill(i) =
          packet.addr & ~uint64_t{XdpSocket::kFrameLen - 1};
    }
    socket_.receive.Consumed(n);
    socket_.fill.Produced(n);
    return n > 0;
  }

 private:
  const PacketTrain& train_;
  XdpSocket socket_;
  const XdpRedirect redirect_;
};

}  // namespace

std::unique_ptr<Receiver> MakeReceiver(const std::string& kind,
                                       const std::string& device,
                                       const PacketTrain& train) {
  using Hook = XdpRedirect::Hook;
  if (kind == "packet") return std::make_unique<PacketSocket>(train);
  if (kind == "xdp") {
    return std::make_unique<XdpReceiver>(device, Hook::kNative, train);
  }
  if (kind == "xdp-generic") {
    return std::make_unique<XdpReceiver>(device, Hook::kGeneric, train);
  }
  return nullptr;
}

}  // namespace bench
