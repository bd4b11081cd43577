// Opening sockets and setting their options, with errors of the control path.

#ifndef TUNNEL_UNDERLAY_SOCKET_OPTIONS_H_
#define TUNNEL_UNDERLAY_SOCKET_OPTIONS_H_

#include <linux/filter.h>

#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tunnel/base/unique_fd.h"

namespace tunnel {

// Of what `subject` needs a socket for: MISSING_CAPABILITY (CAP_NET_RAW) for
// EPERM and EACCES, FD_LIMIT for EMFILE and ENFILE, else
// KERNEL_FEATURE_MISSING.
absl::Status SocketError(int error_number, absl::string_view subject);

// Non-blocking and close-on-exec. Errors: as SocketError().
absl::StatusOr<UniqueFd> OpenSocket(int family, int type, int protocol,
                                    absl::string_view subject);

// Sets an option of type int.
absl::Status SetOption(int fd, int level, int name, int value,
                       absl::string_view subject);

// Makes the kernel neither learn a path MTU from ICMP errors for this socket of
// `family` (AF_INET, AF_INET6) nor heed one that it knows when it sends: the
// MTU of the interface alone counts.
absl::Status IgnorePathMtu(int fd, int family);

// Attaches a classic BPF program; it takes effect at once.
absl::Status AttachFilter(int fd, std::span<const sock_filter> program,
                          absl::string_view subject);

// A buffer of `bytes`, beyond net.core.*mem_max where allowed. Best effort.
void GrowBuffer(int fd, int force_option, int plain_option, int bytes);

// False when the kernel has no IPv6 (ipv6.disable=1).
bool HasIpv6();

// The program that takes nothing.
std::span<const sock_filter> DropAllFilter();

}  // namespace tunnel

#endif  // TUNNEL_UNDERLAY_SOCKET_OPTIONS_H_
