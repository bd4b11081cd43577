#include "tunnel/underlay/udp_sockets.h"

#include <arpa/inet.h>
#include <linux/in6.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>

#include "tunnel/underlay/socket_options.h"

namespace tunnel {
namespace {

constexpr int kSendBuffer = 4 << 20;    // bytes
constexpr int kReceiveBuffer = 1;       // bytes; the kernel takes its minimum
constexpr int kIpv6FlowInfoSend = 33;   // IPV6_FLOWINFO_SEND of <linux/in6.h>
constexpr int kIpv6AutoFlowLabel = 70;  // IPV6_AUTOFLOWLABEL

bool Set(int fd, int level, int name, int value) noexcept {
  return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

// ENOBUFS of a full device queue is reported with RECVERR alone.
bool SetIpv4(int fd, bool dont_fragment) noexcept {
  Set(fd, IPPROTO_IP, IP_FREEBIND, 1);
  return Set(fd, IPPROTO_IP, IP_RECVERR, 1) &&
         Set(fd, IPPROTO_IP, IP_MTU_DISCOVER,
             dont_fragment ? IP_PMTUDISC_PROBE : IP_PMTUDISC_INTERFACE);
}

// The flow label is that of the packet, and none where it has none.
bool SetIpv6(int fd) noexcept {
  Set(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1);
  return Set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1) &&
         Set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_INTERFACE) &&
         Set(fd, IPPROTO_IPV6, kIpv6FlowInfoSend, 1) &&
         Set(fd, IPPROTO_IPV6, kIpv6AutoFlowLabel, 0);
}

bool BindLoopback(int fd, bool v6, uint16_t port) noexcept {
  if (v6) {
    sockaddr_in6 at{};
    at.sin6_family = AF_INET6;
    at.sin6_addr = in6addr_loopback;
    at.sin6_port = htons(port);
    return bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof(at)) == 0;
  }
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons(port);
  return bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof(at)) == 0;
}

// None when any step fails.
UniqueFd Open(const UdpSockets::Key& key) noexcept {
  UniqueFd fd(socket(key.v6 ? AF_INET6 : AF_INET,
                     SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP));
  if (!fd) return fd;
  const auto drop_all = DropAllFilter();
  const sock_fprog filter{static_cast<unsigned short>(drop_all.size()),
                          const_cast<sock_filter*>(drop_all.data())};
  const bool ready =
      setsockopt(fd.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter,
                 sizeof(filter)) == 0 &&
      // Other workers have sockets of the same port.
      Set(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1) &&
      (key.v6 ? SetIpv6(fd.get()) : SetIpv4(fd.get(), key.dont_fragment)) &&
      BindLoopback(fd.get(), key.v6, key.port);
  if (!ready) return UniqueFd();
  GrowBuffer(fd.get(), SO_SNDBUFFORCE, SO_SNDBUF, kSendBuffer);
  Set(fd.get(), SOL_SOCKET, SO_RCVBUF, kReceiveBuffer);
  return fd;
}

}  // namespace

UdpSockets::Slot* UdpSockets::Lookup(const Key& key) noexcept {
  for (Slot& slot : SetOf(key)) {
    if (slot.key == key) return &slot;
  }
  return nullptr;
}

int UdpSockets::Find(const Key& key, uint64_t now_ns) noexcept {
  Slot* slot = Lookup(key);
  if (slot == nullptr || now_ns < slot->refused_until_ns) return -1;
  slot->used_ns = now_ns;
  return slot->fd.get();
}

int UdpSockets::FindOrOpen(const Key& key, uint64_t now_ns) noexcept {
  Slot* slot = Lookup(key);
  if (slot == nullptr) {
    Set& set = SetOf(key);
    slot = std::min_element(
        set.begin(), set.end(),
        [](const Slot& a, const Slot& b) { return a.used_ns < b.used_ns; });
    if (slot->key.port != 0 && now_ns - slot->used_ns < kIdleNs) return -1;
    slot->fd.reset();
    slot->key = key;
    slot->refused_until_ns = 0;
  }
  slot->used_ns = now_ns;
  if (now_ns < slot->refused_until_ns) return -1;
  if (!slot->fd) {
    slot->fd = Open(key);
    if (!slot->fd) slot->refused_until_ns = now_ns + kRefusedNs;
  }
  return slot->fd.get();
}

void UdpSockets::Refuse(const Key& key, uint64_t now_ns) noexcept {
  if (Slot* slot = Lookup(key); slot != nullptr)
    slot->refused_until_ns = now_ns + kRefusedNs;
}

void UdpSockets::Sweep(uint64_t now_ns) noexcept {
  if (now_ns - swept_ns_ < kIdleNs) return;
  swept_ns_ = now_ns;
  for (Set& set : sets_) {
    for (Slot& slot : set) {
      if (slot.key.port != 0 && now_ns - slot.used_ns >= kUnusedNs) slot = {};
    }
  }
}

size_t UdpSockets::open() const noexcept {
  size_t count = 0;
  for (const Set& set : sets_) {
    for (const Slot& slot : set) count += slot.fd.valid();
  }
  return count;
}

}  // namespace tunnel
