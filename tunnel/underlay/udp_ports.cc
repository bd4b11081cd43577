#include "tunnel/underlay/udp_ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/underlay/socket_options.h"

namespace tunnel {
namespace {

constexpr absl::string_view kSubject = "socket of the UDP port";
constexpr int kUdpGro = 104;  // UDP_GRO of <linux/udp.h>
constexpr int kOn = 1;
constexpr int kOff = 0;

absl::string_view FamilyName(encap::IpFamily family) {
  return family == encap::IpFamily::kV6 ? "IPv6" : "IPv4";
}

int BindAny(int fd, const UdpReceivePort& port) {
  if (port.family == encap::IpFamily::kV6) {
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_port = htons(port.port);
    return bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof(any));
  }
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = htons(port.port);
  return bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof(any));
}

// The senders of this program may hold the port as a source port: they, and
// programs of the same user that ask for it likewise, give way.
int Bind(int fd, const UdpReceivePort& port) {
  if (BindAny(fd, port) == 0) return 0;
  if (errno != EADDRINUSE) return -1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &kOn, sizeof(kOn));
  const int result = BindAny(fd, port);
  const int error = errno;
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &kOff, sizeof(kOff));
  errno = error;
  return result;
}

absl::Status BindError(int error_number, const UdpReceivePort& port) {
  if (error_number != EADDRINUSE) return SocketError(error_number, kSubject);
  return MakeError(
      Reason::kUdpPortInUse,
      absl::StrCat("udp port ", port.port, " over ", FamilyName(port.family),
                   " belongs to another program; choose another port for the "
                   "tunnel and its far end, or end that program (ss -ulnp "
                   "names it)"),
      {{"port", absl::StrCat(port.port)},
       {"family", std::string(FamilyName(port.family))}});
}

absl::StatusOr<UniqueFd> OpenGuard(const UdpReceivePort& port) {
  const bool v6 = port.family == encap::IpFamily::kV6;
  ASSIGN_OR_RETURN(UniqueFd fd, OpenSocket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM,
                                           IPPROTO_UDP, kSubject));
  RETURN_IF_ERROR(AttachFilter(fd.get(), DropAllFilter(), kSubject));
  if (v6) {
    RETURN_IF_ERROR(
        SetOption(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1, kSubject));
  }
  // As for the other guards: a forged error teaches the kernel nothing.
  RETURN_IF_ERROR(IgnorePathMtu(fd.get(), v6 ? AF_INET6 : AF_INET));
  if (Bind(fd.get(), port) != 0) return BindError(errno, port);
  // The kernel merges the packets of one flow for a port that asks for it.
  setsockopt(fd.get(), IPPROTO_UDP, kUdpGro, &kOn, sizeof(kOn));
  return fd;
}

}  // namespace

absl::StatusOr<bool> UdpPorts::Take(const UdpReceivePort& port) {
  if (const auto it = uses_.find(port); it != uses_.end()) {
    ++it->second.count;
    return false;
  }
  if (Of(port.family).size() >= kMaxPorts) {
    return MakeError(
        Reason::kUdpPortLimit,
        absl::StrCat("tunnels receive on ", kMaxPorts, " UDP ports over ",
                     FamilyName(port.family),
                     " already; use one of these for more tunnels"),
        {{"limit", absl::StrCat(kMaxPorts)}});
  }
  ASSIGN_OR_RETURN(UniqueFd guard, OpenGuard(port));
  uses_[port] = {std::move(guard), 1};
  return true;
}

bool UdpPorts::Drop(const UdpReceivePort& port) noexcept {
  const auto it = uses_.find(port);
  if (it == uses_.end() || --it->second.count != 0) return false;
  uses_.erase(it);
  return true;
}

std::vector<uint16_t> UdpPorts::Of(encap::IpFamily family) const {
  std::vector<uint16_t> ports;
  for (const auto& [port, use] : uses_) {
    if (port.family == family) ports.push_back(port.port);
  }
  return ports;
}

}  // namespace tunnel
