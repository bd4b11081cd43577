// MemoryLinkControl: interfaces, addresses and routes in memory, for tests.
//
// Thread-safe. Events are delivered by a thread of its own, as the interface
// says, and in the order of the changes.

#ifndef TUNNEL_NETLINK_MEMORY_LINK_CONTROL_H_
#define TUNNEL_NETLINK_MEMORY_LINK_CONTROL_H_

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tunnel/netlink/link_control.h"
#include "tunnel/sync/mutex.h"

namespace tunnel {

class MemoryLinkControl : public LinkControl {
 public:
  struct Interface {
    std::string name;
    bool up = false;
    uint32_t mtu = 1500;           // bytes
    uint32_t tx_queue_len = 1000;  // packets
    std::set<encap::IpPrefix> addresses{};
    // Those of `addresses` that AddAddress() has not made.
    std::set<encap::IpPrefix> foreign{};
    uint64_t transmit_drops = 0;
  };

  MemoryLinkControl();
  ~MemoryLinkControl() override;

  // ---- LinkControl ----
  // An ifindex that AddInterface() has not made is taken for a device that a
  // test factory has made: it exists, with the settings of a new Interface,
  // until RemoveInterface().
  absl::Status SetUp(uint32_t ifindex, bool up) override;
  absl::Status SetMtu(uint32_t ifindex, uint32_t mtu_bytes) override;
  absl::Status SetTxQueueLen(uint32_t ifindex, uint32_t packets) override;
  absl::Status AddAddress(uint32_t ifindex,
                          const encap::IpPrefix& address) override;
  absl::Status DeleteAddress(uint32_t ifindex,
                             const encap::IpPrefix& address) override;
  absl::StatusOr<LinkSettings> Inspect(uint32_t ifindex) override;
  absl::StatusOr<bool> Exists(uint32_t ifindex) override;
  uint64_t TransmitDrops(uint32_t ifindex) override;
  uint32_t IndexOf(absl::string_view device) override;
  bool IsLocalAddress(const encap::IpAddress& address) override;
  // Every address but a link-local one is global here.
  encap::IpAddress AddressOf(absl::string_view device,
                             encap::IpFamily family) override;
  absl::StatusOr<RouteInfo> RouteTo(const encap::IpAddress& remote,
                                    const encap::IpAddress& local,
                                    uint32_t ifindex, uint32_t mark) override;
  std::shared_ptr<const NextHop> FollowNextHop(const encap::IpAddress& remote,
                                               const encap::IpAddress& local,
                                               uint32_t ifindex,
                                               uint32_t mark) override;
  std::string NextHopsHeld() override;
  bool GoesStraight() override;
  bool HasIpsecPolicies() override;
  absl::Status StartMonitor(
      std::function<void(const LinkEvent&)> callback) override;
  void StopMonitor() override;

  // ---- the test ----
  // Emit kLink. A removed interface takes its addresses along; what is asked of
  // it afterwards is DEVICE_NOT_FOUND.
  void AddInterface(uint32_t ifindex, absl::string_view name,
                    uint32_t mtu_bytes = 1500);
  void RemoveInterface(uint32_t ifindex);
  // Packets that each SetTxQueueLen() from now on costs, as in the kernel.
  void SetResizeDrops(uint64_t packets);
  // An address that another program puts on an interface. Emits kAddress.
  void AddForeignAddress(uint32_t ifindex, const encap::IpPrefix& address);
  // An address of the host, on the underlay. Emit kAddress.
  void AddLocalAddress(const encap::IpAddress& address, uint32_t ifindex = 1);
  void RemoveLocalAddress(const encap::IpAddress& address,
                          uint32_t ifindex = 1);
  // The answer to RouteTo(remote, ...) whose ifindex argument is 0 or that of
  // the route; nullopt: none. Emits kRoute.
  void SetRoute(const encap::IpAddress& remote, std::optional<RouteInfo> route);
  // The answer for every remote without one of its own; at first by interface 1
  // "eth0", MTU 1500, Ethernet.
  void SetDefaultRoute(std::optional<RouteInfo> route);
  void Emit(const LinkEvent& event);
  void SetIpsecPolicies(bool present);
  // Next hops are followed from now on, though none is ever known; `held` is
  // what NextHopsHeld() says.
  void SetNextHopsHeld(const std::string& held);

  // The n-th change from now (1: the next) fails with `status` and does
  // nothing.
  void FailChange(size_t n, absl::Status status);

  // A line for each change asked for, failed ones too: "up 100",
  // "down 100", "mtu 100 1476", "txqueuelen 100 500", "add 100 10.0.0.1/30",
  // "delete 100 10.0.0.1/30".
  std::vector<std::string> calls() const;
  std::optional<Interface> GetInterface(uint32_t ifindex) const;

 private:
  // Records the call; the injected error, if it is the turn of one, or
  // DEVICE_NOT_FOUND.
  absl::Status Record(uint32_t ifindex, std::string call)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Queue(LinkEvent event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Run();

  mutable Mutex mu_;
  CondVar changed_;
  std::map<uint32_t, Interface> interfaces_ ABSL_GUARDED_BY(mu_);
  std::set<uint32_t> removed_ ABSL_GUARDED_BY(mu_);
  // When an address came to an interface: a count.
  std::map<std::pair<uint32_t, encap::IpPrefix>, uint64_t> came_
      ABSL_GUARDED_BY(mu_);
  uint64_t last_came_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t resize_drops_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<encap::IpAddress, std::optional<RouteInfo>> routes_
      ABSL_GUARDED_BY(mu_);
  std::optional<RouteInfo> default_route_ ABSL_GUARDED_BY(mu_);
  std::optional<std::string> held_ ABSL_GUARDED_BY(mu_);  // NextHopsHeld()
  bool ipsec_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::string> calls_ ABSL_GUARDED_BY(mu_);
  std::map<size_t, absl::Status> failures_ ABSL_GUARDED_BY(mu_);  // by call
  std::function<void(const LinkEvent&)> callback_ ABSL_GUARDED_BY(mu_);
  std::deque<LinkEvent> events_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread monitor_;  // by the thread that starts and stops
};

}  // namespace tunnel

#endif  // TUNNEL_NETLINK_MEMORY_LINK_CONTROL_H_
