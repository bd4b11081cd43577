#include "ctl/cli/connect.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"

namespace tunnel::ctl::cli {
namespace {

CallError Unreachable(const std::string& target, absl::string_view cause) {
  CallError error;
  error.code = kCodeUnavailable;
  error.reason = "DAEMON_UNREACHABLE";
  error.message = absl::StrCat("no daemon at ", target, ": ", cause);
  error.metadata["target"] = target;
  return error;
}

CallError NotPermitted(const std::string& target, absl::string_view cause) {
  CallError error;
  error.code = kCodePermissionDenied;
  error.reason = "SOCKET_PERMISSION";
  error.message = absl::StrCat("not permitted at ", target, ": ", cause);
  error.metadata["target"] = target;
  return error;
}

CallError BadTarget(const std::string& target, absl::string_view cause) {
  return UsageError(absl::StrCat("target '", target, "': ", cause),
                    "give --target unix:PATH or HOST:PORT");
}

// Milliseconds until `end`, not negative.
int MillisecondsTo(absl::Time end) {
  return static_cast<int>(std::clamp<int64_t>(
      absl::ToInt64Milliseconds(end - absl::Now()), 0, 1 << 30));
}

// poll() on one file descriptor until `end`. False when nothing has happened.
bool WaitFor(int fd, short events, absl::Time end) {
  pollfd wait = {fd, events, 0};
  int ready;
  do {
    ready = poll(&wait, 1, MillisecondsTo(end));
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

// 0, or the errno of the failure; the connection stands then.
int ConnectTo(int fd, const sockaddr* address, socklen_t size, absl::Time end) {
  while (connect(fd, address, size) != 0) {
    // A unix socket whose backlog is full says EAGAIN and can not be polled.
    if (errno == EAGAIN && absl::Now() < end) {
      absl::SleepFor(absl::Milliseconds(5));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EINPROGRESS) return errno;
    if (!WaitFor(fd, POLLOUT, end)) return ETIMEDOUT;
    int error = 0;
    socklen_t length = sizeof(error);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    return error;
  }
  return 0;
}

CallError ConnectUnix(const std::string& target, const std::string& path,
                      absl::Time end, int* fd) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return BadTarget(target,
                     absl::StrCat("the path must have 1 to ",
                                  sizeof(address.sun_path) - 1, " bytes"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (*fd < 0) return Unreachable(target, std::strerror(errno));
  const int error = ConnectTo(*fd, reinterpret_cast<sockaddr*>(&address),
                              sizeof(address), end);
  if (error == 0) return CallError();
  close(*fd);
  *fd = -1;
  if (error == EACCES || error == EPERM) {
    return NotPermitted(target, std::strerror(error));
  }
  if (error == ECONNREFUSED) {
    return Unreachable(target, "the socket is there but nobody listens on it");
  }
  return Unreachable(target, std::strerror(error));
}

CallError ConnectTcp(const std::string& target, absl::Time end, int* fd) {
  const size_t colon = target.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == target.size()) {
    return BadTarget(target, "not unix:PATH and not HOST:PORT");
  }
  std::string host = target.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failure = getaddrinfo(
      host.c_str(), target.substr(colon + 1).c_str(), &hints, &found);
  if (failure != 0) return Unreachable(target, gai_strerror(failure));
  int error = EADDRNOTAVAIL;
  for (const addrinfo* at = found; at != nullptr && error != 0;
       at = at->ai_next) {
    *fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0) {
      error = errno;
      continue;
    }
    error = ConnectTo(*fd, at->ai_addr, at->ai_addrlen, end);
    if (error != 0) close(*fd);
  }
  freeaddrinfo(found);
  if (error == 0) {
    const int on = 1;
    setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return CallError();
  }
  *fd = -1;
  return Unreachable(target, std::strerror(error));
}

// A gRPC server speaks first: its HTTP/2 settings, whose first byte is zero. A
// daemon that has no room says so in a line of text; one that refuses this user
// closes without a byte.
CallError AwaitGreeting(const std::string& target, absl::Time end, int fd) {
  char text[128];
  ssize_t peeked = -1;
  while (true) {
    if (!WaitFor(fd, POLLIN, end)) {
      return Unreachable(target, "it takes the connection but does not answer");
    }
    peeked = recv(fd, text, sizeof(text), MSG_PEEK | MSG_DONTWAIT);
    if (peeked >= 0 || (errno != EINTR && errno != EAGAIN)) break;
  }
  if (peeked > 0 && absl::ascii_isprint(static_cast<unsigned char>(*text))) {
    const absl::string_view said(text, static_cast<size_t>(peeked));
    return Unreachable(target,
                       absl::CHexEscape(said.substr(0, said.find('\n'))));
  }
  if (peeked > 0) return CallError();
  if (geteuid() != 0 && absl::StartsWith(target, "unix:")) {
    return NotPermitted(target, "the daemon refuses this user");
  }
  return Unreachable(target,
                     "the daemon closed the connection; it may be stopping");
}

}  // namespace

CallError Connect(const std::string& target, absl::Duration timeout, int* fd) {
  *fd = -1;
  const absl::Time end = absl::Now() + timeout;
  absl::string_view path = target;
  CallError error;
  if (absl::ConsumePrefix(&path, "unix:")) {
    if (absl::StartsWith(path, "///")) path.remove_prefix(2);
    error = ConnectUnix(target, std::string(path), end, fd);
  } else {
    error = ConnectTcp(target, end, fd);
  }
  if (!error.ok()) return error;
  error = AwaitGreeting(target, end, *fd);
  if (!error.ok()) {
    close(*fd);
    *fd = -1;
  }
  return error;
}

}  // namespace tunnel::ctl::cli
