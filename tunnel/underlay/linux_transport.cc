#include "tunnel/underlay/linux_transport.h"

#include <sys/socket.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "encap/outer_parse.h"
#include "tunnel/base/log.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/underlay/error_receiver.h"
#include "tunnel/underlay/packet_receiver.h"
#include "tunnel/underlay/packet_sender.h"
#include "tunnel/underlay/socket_options.h"
#include "tunnel/underlay/tunnel_filter.h"

namespace tunnel {
namespace {

// Raw sockets that take nothing: a packet that matches one counts as delivered.
using Guards = std::vector<UniqueFd>;

absl::Status AddGuards(int family, Guards& guards) {
  for (const uint8_t protocol :
       {encap::kProtoGre, encap::kProtoIpip, encap::kProtoIpv6}) {
    ASSIGN_OR_RETURN(
        UniqueFd fd,
        OpenSocket(family, SOCK_RAW, protocol,
                   absl::StrCat("guard socket of protocol ", protocol)));
    RETURN_IF_ERROR(AttachFilter(fd.get(), DropAllFilter(), "guard filter"));
    // Else the kernel would learn a path MTU from any error that quotes one of
    // these protocols, whoever has made it up.
    RETURN_IF_ERROR(IgnorePathMtu(fd.get(), family));
    guards.push_back(std::move(fd));
  }
  return absl::OkStatus();
}

class LinuxTransport : public Transport {
 public:
  LinuxTransport(std::shared_ptr<const Guards> guards,
                 std::unique_ptr<PacketSender> sender,
                 std::vector<std::shared_ptr<PacketReceiver>> receivers,
                 std::vector<std::unique_ptr<ErrorReceiver>> errors)
      : guards_(std::move(guards)),
        sender_(std::move(sender)),
        receivers_(std::move(receivers)),
        errors_(std::move(errors)) {}

  std::vector<int> receive_fds() const override {
    std::vector<int> fds;
    for (const auto& receiver : receivers_) fds.push_back(receiver->fd());
    return fds;
  }

  std::span<IncomingPacket> ReceiveBatch(size_t index) noexcept override {
    return receivers_[index]->ReceiveBatch();
  }

  size_t SendBatch(std::span<OutgoingPacket> packets) noexcept override {
    return sender_->SendBatch(packets);
  }

  std::vector<int> error_fds() const override {
    std::vector<int> fds;
    for (const auto& receiver : errors_) fds.push_back(receiver->fd());
    return fds;
  }

  std::span<const IncomingError> ReceiveErrors(size_t index) noexcept override {
    return errors_[index]->ReceiveBatch();
  }

  uint64_t receive_drops() noexcept override {
    uint64_t drops = 0;
    for (const auto& receiver : receivers_) drops += receiver->losses().total();
    return drops;
  }

 private:
  const std::shared_ptr<const Guards> guards_;
  const std::unique_ptr<PacketSender> sender_;
  const std::vector<std::shared_ptr<PacketReceiver>> receivers_;
  const std::vector<std::unique_ptr<ErrorReceiver>> errors_;
};

absl::StatusOr<std::vector<std::unique_ptr<ErrorReceiver>>> OpenErrors(
    bool has_v6) {
  std::vector<std::unique_ptr<ErrorReceiver>> errors;
  for (const encap::IpFamily family :
       {encap::IpFamily::kV4, encap::IpFamily::kV6}) {
    if (family == encap::IpFamily::kV6 && !has_v6) continue;
    ASSIGN_OR_RETURN(std::unique_ptr<ErrorReceiver> receiver,
                     ErrorReceiver::Open(family));
    errors.push_back(std::move(receiver));
  }
  return errors;
}

}  // namespace

absl::StatusOr<std::vector<std::unique_ptr<Transport>>>
LinuxTransportFactory::Open(size_t workers) {
  const bool has_v6 = HasIpv6();
  auto guards = std::make_shared<Guards>();
  RETURN_IF_ERROR(AddGuards(AF_INET, *guards));
  if (has_v6) RETURN_IF_ERROR(AddGuards(AF_INET6, *guards));

  using Group = std::vector<std::shared_ptr<PacketReceiver>>;
  ASSIGN_OR_RETURN(Group v4,
                   PacketReceiver::OpenGroup(encap::IpFamily::kV4, workers,
                                             Filter(encap::IpFamily::kV4)));
  Group v6;
  if (has_v6) {
    ASSIGN_OR_RETURN(v6,
                     PacketReceiver::OpenGroup(encap::IpFamily::kV6, workers,
                                               Filter(encap::IpFamily::kV6)));
  }
  v4_.assign(v4.begin(), v4.end());
  v6_.assign(v6.begin(), v6.end());

  // All go to the first worker.
  ASSIGN_OR_RETURN(std::vector<std::unique_ptr<ErrorReceiver>> errors,
                   OpenErrors(has_v6));

  std::vector<std::unique_ptr<Transport>> transports;
  for (size_t i = 0; i < workers; ++i) {
    ASSIGN_OR_RETURN(std::unique_ptr<PacketSender> sender,
                     PacketSender::Open(options_.send_on_link));
    Group receivers;
    receivers.push_back(std::move(v4[i]));
    if (has_v6) receivers.push_back(std::move(v6[i]));
    transports.push_back(std::make_unique<LinuxTransport>(
        guards, std::move(sender), std::move(receivers),
        std::exchange(errors, {})));
  }
  return transports;
}

std::vector<sock_filter> LinuxTransportFactory::Filter(
    encap::IpFamily family) const {
  const std::vector<uint16_t> ports = udp_ports_.Of(family);
  return family == encap::IpFamily::kV4 ? TunnelFilterV4(ports)
                                        : TunnelFilterV6(ports);
}

absl::Status LinuxTransportFactory::SetFilters(encap::IpFamily family) {
  const std::vector<sock_filter> filter = Filter(family);
  for (const auto& weak : family == encap::IpFamily::kV4 ? v4_ : v6_) {
    // A worker that has ended needs no filter.
    if (const auto receiver = weak.lock())
      RETURN_IF_ERROR(receiver->SetFilter(filter));
  }
  return absl::OkStatus();
}

absl::Status LinuxTransportFactory::TakeUdpPort(const UdpReceivePort& port) {
  ASSIGN_OR_RETURN(const bool fresh, udp_ports_.Take(port));
  if (!fresh) return absl::OkStatus();
  const absl::Status status = SetFilters(port.family);
  if (!status.ok()) DropUdpPort(port);
  return status;
}

void LinuxTransportFactory::DropUdpPort(const UdpReceivePort& port) noexcept {
  if (!udp_ports_.Drop(port)) return;
  if (const absl::Status status = SetFilters(port.family); !status.ok()) {
    LogWarning("packets for a UDP port that is no longer used are taken still",
               {{"port", absl::StrCat(port.port)},
                {"cause", std::string(status.message())}});
  }
}

}  // namespace tunnel
