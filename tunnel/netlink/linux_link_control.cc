#include "tunnel/netlink/linux_link_control.h"

#include <utility>
#include <vector>

#include "tunnel/base/error.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/netlink/address.h"
#include "tunnel/netlink/ipsec.h"
#include "tunnel/netlink/link.h"

namespace tunnel {

absl::StatusOr<std::unique_ptr<LinuxLinkControl>> LinuxLinkControl::Create(
    LinkSending sending) {
  ASSIGN_OR_RETURN(NetlinkSocket socket, NetlinkSocket::Open());
  std::unique_ptr<NextHops> next_hops;
  if (sending != LinkSending::kNever) {
    ASSIGN_OR_RETURN(next_hops, NextHops::Start(/*mind_rules=*/sending ==
                                                LinkSending::kWithoutRules));
  }
  return std::unique_ptr<LinuxLinkControl>(
      new LinuxLinkControl(std::move(socket), std::move(next_hops)));
}

LinuxLinkControl::LinuxLinkControl(NetlinkSocket socket,
                                   std::unique_ptr<NextHops> next_hops)
    : next_hops_(std::move(next_hops)), socket_(std::move(socket)) {}

LinuxLinkControl::~LinuxLinkControl() { StopMonitor(); }

absl::Status LinuxLinkControl::SetUp(uint32_t ifindex, bool up) {
  MutexLock lock(request_mu_);
  return SetLinkUp(socket_, ifindex, up);
}

absl::Status LinuxLinkControl::SetMtu(uint32_t ifindex, uint32_t mtu_bytes) {
  MutexLock lock(request_mu_);
  return SetLinkMtu(socket_, ifindex, mtu_bytes);
}

absl::Status LinuxLinkControl::SetTxQueueLen(uint32_t ifindex,
                                             uint32_t packets) {
  MutexLock lock(request_mu_);
  return SetLinkTxQueueLen(socket_, ifindex, packets);
}

absl::Status LinuxLinkControl::AddAddress(uint32_t ifindex,
                                          const encap::IpPrefix& address) {
  MutexLock lock(request_mu_);
  return AddLinkAddress(socket_, ifindex, address);
}

absl::Status LinuxLinkControl::DeleteAddress(uint32_t ifindex,
                                             const encap::IpPrefix& address) {
  MutexLock lock(request_mu_);
  return DeleteLinkAddress(socket_, ifindex, address);
}

absl::StatusOr<LinkSettings> LinuxLinkControl::Inspect(uint32_t ifindex) {
  MutexLock lock(request_mu_);
  return InspectLink(socket_, ifindex);
}

absl::StatusOr<bool> LinuxLinkControl::Exists(uint32_t ifindex) {
  MutexLock lock(request_mu_);
  const absl::Status status = GetLink(socket_, ifindex).status();
  if (status.ok()) return true;
  if (GetReason(status) == Reason::kDeviceNotFound) return false;
  return status;
}

uint64_t LinuxLinkControl::TransmitDrops(uint32_t ifindex) {
  MutexLock lock(request_mu_);
  return GetLinkTransmitDrops(socket_, ifindex).value_or(0);
}

uint32_t LinuxLinkControl::IndexOf(absl::string_view device) {
  MutexLock lock(request_mu_);
  const absl::StatusOr<LinkInfo> link = GetLink(socket_, device);
  return link.ok() ? link->ifindex : 0;
}

std::shared_ptr<const LinkMonitor> LinuxLinkControl::monitor() {
  MutexLock lock(monitor_mu_);
  return monitor_;
}

AddressView LinuxLinkControl::ReadAddresses() {
  AddressView view;
  MutexLock lock(request_mu_);
  const absl::StatusOr<std::vector<LocalAddress>> addresses =
      DumpAddresses(socket_);
  if (addresses.ok()) view.Reset(*addresses);
  return view;
}

bool LinuxLinkControl::IsLocalAddress(const encap::IpAddress& address) {
  const auto watching = monitor();
  return watching != nullptr ? watching->Has(address)
                             : ReadAddresses().Has(address);
}

encap::IpAddress LinuxLinkControl::AddressOf(absl::string_view device,
                                             encap::IpFamily family) {
  const uint32_t ifindex = IndexOf(device);
  if (ifindex == 0) return {};
  const auto watching = monitor();
  return watching != nullptr ? watching->First(ifindex, family)
                             : ReadAddresses().First(ifindex, family);
}

absl::StatusOr<RouteInfo> LinuxLinkControl::RouteTo(
    const encap::IpAddress& remote, const encap::IpAddress& local,
    uint32_t ifindex, uint32_t mark) {
  MutexLock lock(request_mu_);
  return LookUpRoute(socket_, remote, local, ifindex, mark);
}

std::shared_ptr<const NextHop> LinuxLinkControl::FollowNextHop(
    const encap::IpAddress& remote, const encap::IpAddress& local,
    uint32_t ifindex, uint32_t mark) {
  if (next_hops_ == nullptr) return nullptr;
  return next_hops_->Of({remote, local, ifindex, mark});
}

std::string LinuxLinkControl::NextHopsHeld() {
  return next_hops_ == nullptr ? "" : next_hops_->Held();
}

bool LinuxLinkControl::GoesStraight() {
  return next_hops_ != nullptr && next_hops_->Free();
}

bool LinuxLinkControl::HasIpsecPolicies() {
  return tunnel::HasIpsecPolicies().value_or(true);
}

absl::Status LinuxLinkControl::StartMonitor(
    std::function<void(const LinkEvent&)> callback) {
  MutexLock lock(monitor_mu_);
  if (monitor_ != nullptr) {
    return MakeError(Reason::kInvalidState, "a link monitor runs already");
  }
  ASSIGN_OR_RETURN(monitor_, LinkMonitor::Start(std::move(callback)));
  return absl::OkStatus();
}

void LinuxLinkControl::StopMonitor() {
  std::shared_ptr<LinkMonitor> monitor;
  {
    MutexLock lock(monitor_mu_);
    monitor = std::move(monitor_);
  }
  if (monitor != nullptr) monitor->Stop();
}

}  // namespace tunnel
