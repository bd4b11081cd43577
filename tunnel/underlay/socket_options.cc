#include "tunnel/underlay/socket_options.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"

namespace tunnel {

absl::Status SocketError(int error_number, absl::string_view subject) {
  const char* words = std::strerror(error_number);
  switch (error_number) {
    case EPERM:
    case EACCES:
      return MakeError(Reason::kMissingCapability,
                       absl::StrCat(subject, ": needs CAP_NET_RAW"),
                       {{"capability", "CAP_NET_RAW"}});
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return MakeError(Reason::kFdLimit, absl::StrCat(subject, ": ", words));
    default:
      return MakeError(Reason::kKernelFeatureMissing,
                       absl::StrCat(subject, ": ", words));
  }
}

absl::StatusOr<UniqueFd> OpenSocket(int family, int type, int protocol,
                                    absl::string_view subject) {
  UniqueFd fd(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
  if (!fd) return SocketError(errno, subject);
  return fd;
}

absl::Status SetOption(int fd, int level, int name, int value,
                       absl::string_view subject) {
  if (setsockopt(fd, level, name, &value, sizeof(value)) == 0) {
    return absl::OkStatus();
  }
  return SocketError(errno, subject);
}

absl::Status IgnorePathMtu(int fd, int family) {
  if (family == AF_INET) {
    return SetOption(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_INTERFACE,
                     "IP_MTU_DISCOVER");
  }
  return SetOption(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_INTERFACE,
                   "IPV6_MTU_DISCOVER");
}

absl::Status AttachFilter(int fd, std::span<const sock_filter> program,
                          absl::string_view subject) {
  sock_fprog prog;
  prog.len = static_cast<unsigned short>(program.size());
  prog.filter = const_cast<sock_filter*>(program.data());  // read by the kernel
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) == 0) {
    return absl::OkStatus();
  }
  return SocketError(errno, subject);
}

void GrowBuffer(int fd, int force_option, int plain_option, int bytes) {
  if (setsockopt(fd, SOL_SOCKET, force_option, &bytes, sizeof(bytes)) == 0) {
    return;
  }
  setsockopt(fd, SOL_SOCKET, plain_option, &bytes, sizeof(bytes));
}

bool HasIpv6() {
  const UniqueFd fd(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return fd.valid() || errno != EAFNOSUPPORT;
}

std::span<const sock_filter> DropAllFilter() {
  static constexpr sock_filter kProgram[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
  return kProgram;
}

}  // namespace tunnel
