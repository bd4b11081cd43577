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
// Between two looks at IPsec and rules, which have no events here.
constexpr milliseconds kLook{200};
// Until a way without a route or a usable neighbour is looked up again, and
// stale neighbours are probed.
constexpr milliseconds kRetry{5000};
// At least that for each of those, so that many take little of a CPU.
constexpr milliseconds kRetryEach{50};

}  // namespace

absl::StatusOr<std::unique_ptr<NextHops>> NextHops::Start(bool mind_rules) {
  ASSIGN_OR_RETURN(NetlinkSocket events,
                   NetlinkSocket::Subscribe(kGroups, kReceiveBuffer));
  ASSIGN_OR_RETURN(NetlinkSocket requests, NetlinkSocket::Open());
  std::optional<OutputRules> rules;
  if (mind_rules) {
    ASSIGN_OR_RETURN(rules, OutputRules::Open());
  }
  UniqueFd wake(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake) {
    return MakeError(Reason::kFdLimit, absl::StrCat("next hops: eventfd: ",
                                                    std::strerror(errno)));
  }
  std::unique_ptr<NextHops> hops(
      new NextHops(std::move(events), std::move(requests), std::move(rules),
                   std::move(wake)));
  hops->thread_ = std::thread(&NextHops::Run, hops.get());
  return hops;
}

NextHops::NextHops(NetlinkSocket events, NetlinkSocket requests,
                   std::optional<OutputRules> rules, UniqueFd wake)
    : events_(std::move(events)),
      requests_(std::move(requests)),
      rules_(std::move(rules)),
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

std::string NextHops::Held() const {
  MutexLock lock(mu_);
  return hold_.value_or("");
}

bool NextHops::Free() const {
  MutexLock lock(mu_);
  return hold_.has_value() && hold_->empty();
}

void NextHops::Run() {
  pthread_setname_np(pthread_self(), "next-hops");
  while (TakeNew()) {
    if (!events_.Drain([this](const nlmsghdr* message) { Take(message); }))
      ForgetAll();
    if (!followed_.empty() && SteadyNow() >= look_) Look();
    if (!held_) ResolveDirty();
    std::array<pollfd, 2> fds = {pollfd{events_.fd(), POLLIN, 0},
                                 pollfd{wake_.get(), POLLIN, 0}};
    const int timeout =
        followed_.empty() ? -1 : static_cast<int>(kLook.count());
    if (poll(fds.data(), fds.size(), timeout) < 0 && errno != EINTR) break;
  }
  // From now on they are the kernel's to find.
  ForgetAll();
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
    dirty_.insert(way);
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
      return ForgetInterface(static_cast<uint32_t>(header->ifi_index));
    }
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return ForgetRoute(RouteDestination(message));
    case RTM_NEWRULE:
    case RTM_DELRULE:
      return ForgetAll();
    default:
      return;
  }
}

void NextHops::TakeNeighbour(const Neighbour& neighbour) {
  if (held_) return;
  for (auto it = by_neighbour_.lower_bound({neighbour.key, Way{}});
       it != by_neighbour_.end() && it->first == neighbour.key; ++it) {
    Followed& followed = followed_.at(it->second);
    if (!followed.dirty) Publish(followed, neighbour);
  }
}

void NextHops::Forget(const Way& way, Followed& followed) {
  if (followed.dirty) return;
  followed.dirty = true;
  dirty_.insert(way);
  Publish(followed, {});
}

void NextHops::ForgetInterface(uint32_t ifindex) {
  for (auto it = by_neighbour_.lower_bound({{ifindex, {}}, Way{}});
       it != by_neighbour_.end() && it->first.ifindex == ifindex; ++it) {
    Forget(it->second, followed_.at(it->second));
  }
}

void NextHops::ForgetRoute(const std::optional<encap::IpPrefix>& to) {
  if (!to.has_value()) return ForgetAll();
  // Ways are in the order of their remote addresses.
  for (auto it = followed_.lower_bound(Way{.remote = to->address});
       it != followed_.end() && to->Contains(it->first.remote); ++it) {
    Forget(it->first, it->second);
  }
}

void NextHops::ForgetAll() {
  for (auto& [way, followed] : followed_) Forget(way, followed);
}

void NextHops::Look() {
  look_ = Deadline(SteadyNow(), kLook);
  const std::string hold = FindHold();
  if (held_ == hold.empty()) {
    held_ = !hold.empty();
    ForgetAll();
  }
  {
    MutexLock lock(mu_);
    hold_ = hold;
  }
  DropUnused();
  if (SteadyNow() >= retry_) LookAgainAtUnknown();
}

void NextHops::LookAgainAtUnknown() {
  std::set<NeighbourKey> stale;
  for (auto& [way, followed] : followed_) {
    if (followed.stale) stale.insert(followed.neighbour);
    if (followed.now.ifindex == 0) Forget(way, followed);
  }
  for (const NeighbourKey& neighbour : stale)
    ProbeNeighbour(requests_, neighbour);
  retry_ = Deadline(SteadyNow(),
                    std::max<milliseconds>(
                        kRetry, kRetryEach * static_cast<int>(dirty_.size())));
}

std::string NextHops::FindHold() {
  if (HasIpsecPolicies().value_or(true)) return "IPsec policies are in force";
  return rules_.has_value() ? rules_->Find() : "";
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
    SetNeighbour(it->first, it->second, {});
    dirty_.erase(it->first);
    it = followed_.erase(it);
  }
}

void NextHops::ResolveDirty() {
  for (const Way& way : std::exchange(dirty_, {}))
    Resolve(way, followed_.at(way));
}

void NextHops::SetNeighbour(const Way& way, Followed& followed,
                            const NeighbourKey& neighbour) {
  if (followed.neighbour.ifindex != 0)
    by_neighbour_.erase({followed.neighbour, way});
  followed.neighbour = neighbour;
  if (neighbour.ifindex != 0) by_neighbour_.emplace(neighbour, way);
}

void NextHops::Resolve(const Way& way, Followed& followed) {
  followed.dirty = false;
  const absl::StatusOr<RouteInfo> route =
      LookUpRoute(requests_, way.remote, way.local, way.ifindex, way.mark);
  // An interface that was asked for is an order, which a route may only wish.
  if (!route.ok() || !route->ethernet || route->special ||
      (way.ifindex != 0 && route->ifindex != way.ifindex)) {
    SetNeighbour(way, followed, {});
    return Publish(followed, {});
  }
  const bool gateway = route->gateway.family() != encap::IpFamily::kNone;
  SetNeighbour(way, followed,
               {route->ifindex, gateway ? route->gateway : way.remote});
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
