#include "tunnel/netlink/monitor.h"

#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"
#include "tunnel/base/log.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/netlink/address.h"
#include "tunnel/netlink/link.h"

namespace tunnel {
namespace {

constexpr std::array<int, 7> kGroups = {
    RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
    RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,  RTNLGRP_IPV4_RULE,
    RTNLGRP_IPV6_RULE};
constexpr std::chrono::milliseconds kReloadRetry(200);
// Route changes told apart in one go; more are reported as one that says no
// destination.
constexpr size_t kMostRoutes = 64;

}  // namespace

absl::StatusOr<std::unique_ptr<LinkMonitor>> LinkMonitor::Start(
    Callback callback, int receive_buffer) {
  // Subscribing before the first dump loses no change in between.
  ASSIGN_OR_RETURN(NetlinkSocket events,
                   NetlinkSocket::Subscribe(kGroups, receive_buffer));
  ASSIGN_OR_RETURN(NetlinkSocket requests, NetlinkSocket::Open());
  UniqueFd stop(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!stop) {
    return MakeError(Reason::kFdLimit, absl::StrCat("link monitor: eventfd: ",
                                                    std::strerror(errno)));
  }
  std::unique_ptr<LinkMonitor> monitor(
      new LinkMonitor(std::move(events), std::move(requests), std::move(stop),
                      std::move(callback)));
  RETURN_IF_ERROR(monitor->Reload());
  monitor->thread_ = std::thread(&LinkMonitor::Run, monitor.get());
  return monitor;
}

LinkMonitor::LinkMonitor(NetlinkSocket events, NetlinkSocket requests,
                         UniqueFd stop, Callback callback)
    : events_(std::move(events)),
      requests_(std::move(requests)),
      stop_(std::move(stop)),
      callback_(std::move(callback)) {}

LinkMonitor::~LinkMonitor() { Stop(); }

void LinkMonitor::Stop() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  while (write(stop_.get(), &one, sizeof(one)) < 0 && errno == EINTR) {
  }
  thread_.join();
}

bool LinkMonitor::Has(const encap::IpAddress& address) const {
  MutexLock lock(mu_);
  return view_.Has(address);
}

encap::IpAddress LinkMonitor::First(uint32_t ifindex,
                                    encap::IpFamily family) const {
  MutexLock lock(mu_);
  return view_.First(ifindex, family);
}

void LinkMonitor::Run() {
  pthread_setname_np(pthread_self(), "link-monitor");
  bool stale = false;  // the view lacks changes
  for (;;) {
    std::array<pollfd, 2> fds = {pollfd{events_.fd(), POLLIN, 0},
                                 pollfd{stop_.get(), POLLIN, 0}};
    const int timeout = stale ? static_cast<int>(kReloadRetry.count()) : -1;
    if (poll(fds.data(), fds.size(), timeout) < 0 && errno != EINTR) return;
    if (fds[1].revents != 0) return;
    std::vector<LinkEvent> events;
    const bool complete =
        events_.Drain([&](const nlmsghdr* message) { Take(message, events); });
    if (!complete) stale = true;
    if (stale) {
      if (const absl::Status status = Reload(); !status.ok()) {
        LogWarning("link monitor can not read the addresses",
                   {{"error", std::string(status.message())}});
        continue;
      }
      stale = false;
      events = {LinkEvent{}};  // kResync
    }
    for (const LinkEvent& event : events) callback_(event);
  }
}

void LinkMonitor::Take(const nlmsghdr* message,
                       std::vector<LinkEvent>& events) {
  switch (message->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return TakeLink(message, events);
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return TakeAddress(message, events);
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return AddRoute(RouteDestination(message), events);
    case RTM_NEWRULE:
    case RTM_DELRULE:
      return AddRoute(std::nullopt, events);
    default:
      return;
  }
}

void LinkMonitor::TakeLink(const nlmsghdr* message,
                           std::vector<LinkEvent>& events) {
  const auto* header = static_cast<const ifinfomsg*>(nlmsg_data(message));
  // A bridge announces its ports with messages of its own family.
  if (header->ifi_family != AF_UNSPEC) return;
  LinkEvent event{.kind = LinkEvent::Kind::kLink,
                  .ifindex = static_cast<uint32_t>(header->ifi_index),
                  .removed = message->nlmsg_type == RTM_DELLINK};
  if (event.removed) {
    MutexLock lock(mu_);
    view_.RemoveInterface(event.ifindex);
  }
  events.push_back(std::move(event));
}

void LinkMonitor::TakeAddress(const nlmsghdr* message,
                              std::vector<LinkEvent>& events) {
  const std::optional<AddressMessage> read = ReadAddressMessage(message);
  if (!read) return;
  const LocalAddress& address = read->address;
  {
    MutexLock lock(mu_);
    if (message->nlmsg_type == RTM_NEWADDR) {
      view_.Set(address);
    } else {
      view_.Remove(address);
    }
  }
  events.push_back({.kind = LinkEvent::Kind::kAddress,
                    .ifindex = address.ifindex,
                    .removed = !address.usable,
                    .address = address.prefix.address});
}

void LinkMonitor::AddRoute(const std::optional<encap::IpPrefix>& destination,
                           std::vector<LinkEvent>& events) {
  size_t routes = 0;
  for (const LinkEvent& known : events) {
    if (known.kind != LinkEvent::Kind::kRoute) continue;
    if (!known.destination || known.destination == destination) return;
    ++routes;
  }
  if (destination && routes < kMostRoutes) {
    events.push_back(
        {.kind = LinkEvent::Kind::kRoute, .destination = destination});
    return;
  }
  std::erase_if(events, [](const LinkEvent& known) {
    return known.kind == LinkEvent::Kind::kRoute;
  });
  events.push_back({.kind = LinkEvent::Kind::kRoute});
}

absl::Status LinkMonitor::Reload() {
  ASSIGN_OR_RETURN(const std::vector<LocalAddress> addresses,
                   DumpAddresses(requests_));
  MutexLock lock(mu_);
  view_.Reset(addresses);
  return absl::OkStatus();
}

}  // namespace tunnel
