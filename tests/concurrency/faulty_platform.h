// FaultyPlatform: the platform of a manager, with calls that fail on request.
//
// A change runs in the thread of its caller up to its end, so a script belongs
// to a thread: the n-th call that the thread's change makes to devices, links
// or the store fails, once.

#ifndef TESTS_CONCURRENCY_FAULTY_PLATFORM_H_
#define TESTS_CONCURRENCY_FAULTY_PLATFORM_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tunnel/netlink/link_control.h"
#include "tunnel/tun/tun_device.h"

namespace tunnel {

// All by the calling thread, for the calling thread.
class FaultScript {
 public:
  // The n-th call from now fails; 0: none does.
  static void Arm(size_t n);
  // No call fails any more; true when one has failed since Arm().
  static bool Disarm();
  // From now on no call fails: past the commit line a change can not.
  static void Spare();
  // The calls since Arm().
  static size_t calls();
  // For the platform: counts a call; the error, if it is the turn of one.
  static absl::Status Step();
  // What a call fails with that is the n-th.
  static absl::Status Error(size_t n);
};

class FaultyTun : public TunFactory {
 public:
  explicit FaultyTun(TunFactory& base) : base_(base) {}
  absl::StatusOr<std::unique_ptr<TunDevice>> Open(
      const Request& request) override;
  absl::StatusOr<std::unique_ptr<TunDevice>> Adopt(const Request& request,
                                                   uint32_t ifindex) override;

 private:
  TunFactory& base_;
};

class FaultyLinks : public LinkControl {
 public:
  explicit FaultyLinks(LinkControl& base) : base_(base) {}
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
  encap::IpAddress AddressOf(absl::string_view device,
                             encap::IpFamily family) override;
  absl::StatusOr<RouteInfo> RouteTo(const encap::IpAddress& remote,
                                    const encap::IpAddress& local,
                                    uint32_t ifindex, uint32_t mark) override;
  bool HasIpsecPolicies() override;
  absl::Status StartMonitor(
      std::function<void(const LinkEvent&)> callback) override;
  void StopMonitor() override;

 private:
  LinkControl& base_;
};

}  // namespace tunnel

#endif  // TESTS_CONCURRENCY_FAULTY_PLATFORM_H_
