#include "tunnel/netlink/memory_link_control.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"
#include "tunnel/base/status_macros.h"

namespace tunnel {
namespace {

absl::Status NoSuchDevice(uint32_t ifindex) {
  return MakeError(Reason::kDeviceNotFound,
                   absl::StrCat("interface ", ifindex, ": no such device"));
}

}  // namespace

MemoryLinkControl::MemoryLinkControl() {
  MutexLock lock(mu_);
  interfaces_[1] = {.name = "eth0", .up = true};
  default_route_ =
      RouteInfo{.ifindex = 1, .device = "eth0", .mtu = 1500, .ethernet = true};
}

MemoryLinkControl::~MemoryLinkControl() { StopMonitor(); }

absl::Status MemoryLinkControl::Record(uint32_t ifindex, std::string call) {
  calls_.push_back(std::move(call));
  if (auto failure = failures_.extract(calls_.size())) return failure.mapped();
  return removed_.contains(ifindex) ? NoSuchDevice(ifindex) : absl::OkStatus();
}

absl::Status MemoryLinkControl::SetUp(uint32_t ifindex, bool up) {
  MutexLock lock(mu_);
  RETURN_IF_ERROR(Record(ifindex, absl::StrCat(up ? "up " : "down ", ifindex)));
  interfaces_[ifindex].up = up;
  Queue({.kind = LinkEvent::Kind::kLink, .ifindex = ifindex});
  return absl::OkStatus();
}

absl::Status MemoryLinkControl::SetMtu(uint32_t ifindex, uint32_t mtu_bytes) {
  MutexLock lock(mu_);
  RETURN_IF_ERROR(
      Record(ifindex, absl::StrCat("mtu ", ifindex, " ", mtu_bytes)));
  interfaces_[ifindex].mtu = mtu_bytes;
  Queue({.kind = LinkEvent::Kind::kLink, .ifindex = ifindex});
  return absl::OkStatus();
}

absl::Status MemoryLinkControl::SetTxQueueLen(uint32_t ifindex,
                                              uint32_t packets) {
  MutexLock lock(mu_);
  RETURN_IF_ERROR(
      Record(ifindex, absl::StrCat("txqueuelen ", ifindex, " ", packets)));
  interfaces_[ifindex].tx_queue_len = packets;
  interfaces_[ifindex].transmit_drops += resize_drops_;
  Queue({.kind = LinkEvent::Kind::kLink, .ifindex = ifindex});
  return absl::OkStatus();
}

absl::Status MemoryLinkControl::AddAddress(uint32_t ifindex,
                                           const encap::IpPrefix& address) {
  MutexLock lock(mu_);
  RETURN_IF_ERROR(
      Record(ifindex, absl::StrCat("add ", ifindex, " ", address.ToString())));
  if (interfaces_[ifindex].addresses.insert(address).second) {
    came_[{ifindex, address}] = ++last_came_;
    Queue({.kind = LinkEvent::Kind::kAddress,
           .ifindex = ifindex,
           .address = address.address});
  }
  return absl::OkStatus();
}

absl::Status MemoryLinkControl::DeleteAddress(uint32_t ifindex,
                                              const encap::IpPrefix& address) {
  MutexLock lock(mu_);
  RETURN_IF_ERROR(Record(
      ifindex, absl::StrCat("delete ", ifindex, " ", address.ToString())));
  interfaces_[ifindex].foreign.erase(address);
  if (interfaces_[ifindex].addresses.erase(address) != 0) {
    Queue({.kind = LinkEvent::Kind::kAddress,
           .ifindex = ifindex,
           .removed = true,
           .address = address.address});
  }
  return absl::OkStatus();
}

absl::StatusOr<LinkSettings> MemoryLinkControl::Inspect(uint32_t ifindex) {
  MutexLock lock(mu_);
  if (removed_.contains(ifindex)) return NoSuchDevice(ifindex);
  const auto it = interfaces_.find(ifindex);
  const Interface interface =
      it == interfaces_.end() ? Interface{} : it->second;
  LinkSettings settings;
  settings.up = interface.up;
  settings.mtu = interface.mtu;
  settings.txqueuelen = interface.tx_queue_len;
  for (const encap::IpPrefix& prefix : interface.addresses) {
    settings.addresses.push_back(
        {.prefix = prefix, .ours = !interface.foreign.contains(prefix)});
  }
  return settings;
}

uint64_t MemoryLinkControl::TransmitDrops(uint32_t ifindex) {
  MutexLock lock(mu_);
  const auto it = interfaces_.find(ifindex);
  return it == interfaces_.end() ? 0 : it->second.transmit_drops;
}

void MemoryLinkControl::SetResizeDrops(uint64_t packets) {
  MutexLock lock(mu_);
  resize_drops_ = packets;
}

absl::StatusOr<bool> MemoryLinkControl::Exists(uint32_t ifindex) {
  MutexLock lock(mu_);
  return !removed_.contains(ifindex);
}

uint32_t MemoryLinkControl::IndexOf(absl::string_view device) {
  MutexLock lock(mu_);
  for (const auto& [ifindex, interface] : interfaces_) {
    if (!interface.name.empty() && interface.name == device) return ifindex;
  }
  return 0;
}

bool MemoryLinkControl::IsLocalAddress(const encap::IpAddress& address) {
  MutexLock lock(mu_);
  for (const auto& [ifindex, interface] : interfaces_) {
    for (const encap::IpPrefix& prefix : interface.addresses) {
      if (prefix.address == address) return true;
    }
  }
  return false;
}

encap::IpAddress MemoryLinkControl::AddressOf(absl::string_view device,
                                              encap::IpFamily family) {
  const uint32_t ifindex = IndexOf(device);
  encap::IpAddress first;
  if (ifindex == 0) return first;
  uint64_t first_came = 0;
  MutexLock lock(mu_);
  for (const encap::IpPrefix& prefix : interfaces_[ifindex].addresses) {
    const encap::IpAddress& address = prefix.address;
    if (address.family() != family || address.IsLinkLocal()) continue;
    const uint64_t came = came_[{ifindex, prefix}];
    if (first_came != 0 && came > first_came) continue;
    first = address;
    first_came = came;
  }
  return first;
}

absl::StatusOr<RouteInfo> MemoryLinkControl::RouteTo(
    const encap::IpAddress& remote, const encap::IpAddress& /*local*/,
    uint32_t ifindex, uint32_t /*mark*/) {
  MutexLock lock(mu_);
  const auto it = routes_.find(remote);
  const std::optional<RouteInfo>& route =
      it != routes_.end() ? it->second : default_route_;
  if (!route || (ifindex != 0 && ifindex != route->ifindex)) {
    return absl::NotFoundError(
        absl::StrCat("route to ", remote.ToString(), ": none"));
  }
  return *route;
}

std::shared_ptr<const NextHop> MemoryLinkControl::FollowNextHop(
    const encap::IpAddress&, const encap::IpAddress&, uint32_t, uint32_t) {
  MutexLock lock(mu_);
  if (!held_.has_value()) return nullptr;
  return std::make_shared<NextHop>();
}

std::string MemoryLinkControl::NextHopsHeld() {
  MutexLock lock(mu_);
  return held_.value_or("");
}

bool MemoryLinkControl::GoesStraight() {
  MutexLock lock(mu_);
  return held_.has_value() && held_->empty();
}

void MemoryLinkControl::SetNextHopsHeld(const std::string& held) {
  MutexLock lock(mu_);
  held_ = held;
}

bool MemoryLinkControl::HasIpsecPolicies() {
  MutexLock lock(mu_);
  return ipsec_;
}

void MemoryLinkControl::SetIpsecPolicies(bool present) {
  MutexLock lock(mu_);
  ipsec_ = present;
}

absl::Status MemoryLinkControl::StartMonitor(
    std::function<void(const LinkEvent&)> callback) {
  if (monitor_.joinable()) {
    return MakeError(Reason::kInvalidState, "a link monitor runs already");
  }
  {
    MutexLock lock(mu_);
    callback_ = std::move(callback);
    stopping_ = false;
  }
  monitor_ = std::thread(&MemoryLinkControl::Run, this);
  return absl::OkStatus();
}

void MemoryLinkControl::StopMonitor() {
  if (!monitor_.joinable()) return;
  {
    MutexLock lock(mu_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  monitor_.join();
  MutexLock lock(mu_);
  callback_ = nullptr;
  events_.clear();
}

void MemoryLinkControl::Run() {
  for (;;) {
    LinkEvent event;
    std::function<void(const LinkEvent&)> callback;
    {
      MutexLock lock(mu_);
      while (events_.empty() && !stopping_) changed_.Wait(mu_);
      if (stopping_) return;
      event = std::move(events_.front());
      events_.pop_front();
      callback = callback_;
    }
    callback(event);
  }
}

void MemoryLinkControl::Queue(LinkEvent event) {
  if (!callback_) return;  // nobody watches
  events_.push_back(std::move(event));
  changed_.NotifyAll();
}

void MemoryLinkControl::AddInterface(uint32_t ifindex, absl::string_view name,
                                     uint32_t mtu_bytes) {
  MutexLock lock(mu_);
  removed_.erase(ifindex);
  Interface& interface = interfaces_[ifindex];
  interface.name = std::string(name);
  interface.mtu = mtu_bytes;
  Queue({.kind = LinkEvent::Kind::kLink, .ifindex = ifindex});
}

void MemoryLinkControl::RemoveInterface(uint32_t ifindex) {
  MutexLock lock(mu_);
  interfaces_.erase(ifindex);
  removed_.insert(ifindex);
  Queue({.kind = LinkEvent::Kind::kLink, .ifindex = ifindex, .removed = true});
}

void MemoryLinkControl::AddForeignAddress(uint32_t ifindex,
                                          const encap::IpPrefix& address) {
  MutexLock lock(mu_);
  if (interfaces_[ifindex].addresses.insert(address).second) {
    came_[{ifindex, address}] = ++last_came_;
    interfaces_[ifindex].foreign.insert(address);
  }
  Queue({.kind = LinkEvent::Kind::kAddress,
         .ifindex = ifindex,
         .address = address.address});
}

void MemoryLinkControl::AddLocalAddress(const encap::IpAddress& address,
                                        uint32_t ifindex) {
  const auto length = static_cast<uint8_t>(8 * address.bytes().size());
  AddForeignAddress(ifindex, {address, length});
}

void MemoryLinkControl::RemoveLocalAddress(const encap::IpAddress& address,
                                           uint32_t ifindex) {
  const auto is_it = [&address](const encap::IpPrefix& prefix) {
    return prefix.address == address;
  };
  MutexLock lock(mu_);
  std::erase_if(interfaces_[ifindex].addresses, is_it);
  std::erase_if(interfaces_[ifindex].foreign, is_it);
  Queue({.kind = LinkEvent::Kind::kAddress,
         .ifindex = ifindex,
         .removed = true,
         .address = address});
}

void MemoryLinkControl::SetRoute(const encap::IpAddress& remote,
                                 std::optional<RouteInfo> route) {
  MutexLock lock(mu_);
  routes_[remote] = std::move(route);
  const auto length = static_cast<uint8_t>(8 * remote.bytes().size());
  Queue({.kind = LinkEvent::Kind::kRoute,
         .destination = encap::IpPrefix{remote, length}});
}

void MemoryLinkControl::SetDefaultRoute(std::optional<RouteInfo> route) {
  MutexLock lock(mu_);
  default_route_ = std::move(route);
  Queue({.kind = LinkEvent::Kind::kRoute});
}

void MemoryLinkControl::Emit(const LinkEvent& event) {
  MutexLock lock(mu_);
  Queue(event);
}

void MemoryLinkControl::FailChange(size_t n, absl::Status status) {
  MutexLock lock(mu_);
  failures_[calls_.size() + n] = std::move(status);
}

std::vector<std::string> MemoryLinkControl::calls() const {
  MutexLock lock(mu_);
  return calls_;
}

std::optional<MemoryLinkControl::Interface> MemoryLinkControl::GetInterface(
    uint32_t ifindex) const {
  MutexLock lock(mu_);
  const auto it = interfaces_.find(ifindex);
  if (it == interfaces_.end()) return std::nullopt;
  return it->second;
}

}  // namespace tunnel
