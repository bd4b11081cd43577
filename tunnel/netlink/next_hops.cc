#include "tunnel/netlink/next_hops.h"

#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/netlink/ipsec.h"
#include "tunnel/netlink/link.h"

namespace tunnel {
namespace {

using std::chrono::milliseconds;

constexpr std::array<int, 6> kGroups = {RTNLGRP_LINK,       RTNLGRP_NEIGH,
                                        RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
                                        RTNLGRP_IPV4_RULE,  RTNLGRP_IPV6_RULE};
constexpr int kReceiveBuffer = 4 << 20;  // bytes
// Between two looks at IPsec, which has no events here.
constexpr milliseconds kLook{200};
// Until a way without a route or a usable neighbour is looked up again, and
// stale neighbours are probed.
constexpr milliseconds kRetry{5000};

}  // namespace

absl::StatusOr<std::unique_ptr<NextHops>> NextHops::Start() {
  ASSIGN_OR_RETURN(NetlinkSocket events,
                   NetlinkSocket::Subscribe(kGroups, kReceiveBuffer));
  ASSIGN_OR_RETURN(NetlinkSocket requests, NetlinkSocket::Open());
  UniqueFd wake(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake) {
    return MakeError(Reason::kFdLimit, absl::StrCat("next hops: eventfd: ",
                                                    std::strerror(errno)));
  }
  std::unique_ptr<NextHops> hops(
      new NextHops(std::move(events), std::move(requests), std::move(wake)));
  hops->thread_ = std::thread(&NextHops::Run, hops.get());
  return hops;
}

NextHops::NextHops(NetlinkSocket events, NetlinkSocket requests, UniqueFd wake)
    : events_(std::move(events)),
      requests_(std::move(requests)),
      wake_(std::move(wake)) {}

NextHops::~NextHops() {
  {
    MutexLock lock(mu_);
    stop_ = true;
  }
  Wake();
  if (thread_.joinable()) thread_.join();
}

void NextHops::Wake() {
  const uint64_t one = 1;
  while (write(wake_.get(), &one, sizeof(one)) < 0 && errno == EINTR) {
  }
}

std::shared_ptr<const NextHop> NextHops::Of(const Way& way) {
  std::shared_ptr<NextHop> hop;
  {
    MutexLock lock(mu_);
    std::weak_ptr<NextHop>& known = known_[way];
    hop = known.lock();
    if (hop != nullptr) return hop;
    hop = std::make_shared<NextHop>();
    known = hop;
    fresh_.emplace_back(way, hop);
  }
  Wake();
  return hop;
}

void NextHops::Run() {
  pthread_setname_np(pthread_self(), "next-hops");
  while (TakeNew()) {
    if (!events_.Drain([this](const nlmsghdr* message) { Take(message); }))
      Forget([](const Way&, const Followed&) { return true; });
    if (!followed_.empty() && SteadyNow() >= look_) Look();
    for (auto& [way, followed] : followed_) {
      if (followed.dirty && !ipsec_) Resolve(way, followed);
    }
    std::array<pollfd, 2> fds = {pollfd{events_.fd(), POLLIN, 0},
                                 pollfd{wake_.get(), POLLIN, 0}};
    const int timeout =
        followed_.empty() ? -1 : static_cast<int>(kLook.count());
    if (poll(fds.data(), fds.size(), timeout) < 0 && errno != EINTR) break;
  }
  // From now on they are the kernel's to find.
  Forget([](const Way&, const Followed&) { return true; });
}

bool NextHops::TakeNew() {
  uint64_t count;
  while (read(wake_.get(), &count, sizeof(count)) < 0 && errno == EINTR) {
  }
  MutexLock lock(mu_);
  for (auto& [way, hop] : fresh_) {
    Followed& followed = followed_[way];
    followed = {};
    followed.hop = std::move(hop);
  }
  fresh_.clear();
  return !stop_;
}

void NextHops::Take(const nlmsghdr* message) {
  switch (message->nlmsg_type) {
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      if (const auto neighbour = ReadNeighbour(message))
        TakeNeighbour(*neighbour);
      return;
    case RTM_NEWLINK:
    case RTM_DELLINK: {
      const auto* header = static_cast<const ifinfomsg*>(nlmsg_data(message));
      const auto ifindex = static_cast<uint32_t>(header->ifi_index);
      return Forget([ifindex](const Way&, const Followed& followed) {
        return followed.neighbour.ifindex == ifindex;
      });
    }
    case RTM_NEWROUTE:
    case RTM_DELROUTE: {
      const std::optional<encap::IpPrefix> to = RouteDestination(message);
      return Forget([&to](const Way& way, const Followed&) {
        return !to.has_value() || to->Contains(way.remote);
      });
    }
    case RTM_NEWRULE:
    case RTM_DELRULE:
      return Forget([](const Way&, const Followed&) { return true; });
    default:
      return;
  }
}

void NextHops::TakeNeighbour(const Neighbour& neighbour) {
  if (ipsec_) return;
  for (auto& [way, followed] : followed_) {
    if (!followed.dirty && followed.neighbour == neighbour.key)
      Publish(followed, neighbour);
  }
}

void NextHops::Forget(
    const std::function<bool(const Way&, const Followed&)>& concerns) {
  for (auto& [way, followed] : followed_) {
    if (followed.dirty || !concerns(way, followed)) continue;
    followed.dirty = true;
    Publish(followed, {});
  }
}

void NextHops::Look() {
  look_ = Deadline(SteadyNow(), kLook);
  if (const bool ipsec = HasIpsecPolicies().value_or(true); ipsec != ipsec_) {
    ipsec_ = ipsec;
    Forget([](const Way&, const Followed&) { return true; });
  }
  DropUnused();
  if (SteadyNow() < retry_) return;
  retry_ = Deadline(SteadyNow(), kRetry);
  std::set<NeighbourKey> stale;
  for (auto& [way, followed] : followed_) {
    if (followed.stale) stale.insert(followed.neighbour);
    if (followed.now.ifindex == 0) followed.dirty = true;
  }
  for (const NeighbourKey& neighbour : stale)
    ProbeNeighbour(requests_, neighbour);
}

void NextHops::DropUnused() {
  // Of() is the only way to a next hop that nobody has, so it can not come back
  // into use unfollowed.
  MutexLock lock(mu_);
  for (auto it = followed_.begin(); it != followed_.end();) {
    if (it->second.hop.use_count() != 1) {
      ++it;
      continue;
    }
    known_.erase(it->first);
    it = followed_.erase(it);
  }
}

void NextHops::Resolve(const Way& way, Followed& followed) {
  followed.dirty = false;
  followed.neighbour = {};
  const absl::StatusOr<RouteInfo> route =
      LookUpRoute(requests_, way.remote, way.local, way.ifindex, way.mark);
  // An interface that was asked for is an order, which a route may only wish.
  if (!route.ok() || !route->ethernet || route->special ||
      (way.ifindex != 0 && route->ifindex != way.ifindex)) {
    return Publish(followed, {});
  }
  const bool gateway = route->gateway.family() != encap::IpFamily::kNone;
  followed.neighbour = {route->ifindex, gateway ? route->gateway : way.remote};
  followed.mtu = route->mtu;
  Publish(followed, LookUpNeighbour(requests_, followed.neighbour));
}

void NextHops::Publish(Followed& followed, const Neighbour& neighbour) {
  followed.stale = neighbour.stale;
  LinkDestination next;
  if (neighbour.mac.has_value())
    next = {neighbour.key.ifindex, followed.mtu, *neighbour.mac};
  if (next == followed.now) return;
  followed.now = next;
  followed.hop->Set(next);
}

}  // namespace tunnel
