#include "tests/concurrency/faulty_platform.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"
#include "tunnel/base/status_macros.h"

namespace tunnel {
namespace {

struct Script {
  size_t fail_at = 0, calls = 0;
  bool fired = false;
};
thread_local Script script;

}  // namespace

void FaultScript::Arm(size_t n) { script = {n, 0, false}; }

bool FaultScript::Disarm() {
  const bool fired = script.fired;
  script = {};
  return fired;
}

void FaultScript::Spare() { script.fail_at = 0; }

size_t FaultScript::calls() { return script.calls; }

absl::Status FaultScript::Step() {
  ++script.calls;
  if (script.calls != script.fail_at) return absl::OkStatus();
  script.fired = true;
  return Error(script.calls);
}

absl::Status FaultScript::Error(size_t n) {
  return MakeError(Reason::kNetlinkError, absl::StrCat("injected at call ", n));
}

absl::StatusOr<std::unique_ptr<TunDevice>> FaultyTun::Open(
    const Request& request) {
  RETURN_IF_ERROR(FaultScript::Step());
  return base_.Open(request);
}

absl::StatusOr<std::unique_ptr<TunDevice>> FaultyTun::Adopt(
    const Request& request, uint32_t ifindex) {
  RETURN_IF_ERROR(FaultScript::Step());
  return base_.Adopt(request, ifindex);
}

absl::Status FaultyLinks::SetUp(uint32_t ifindex, bool up) {
  RETURN_IF_ERROR(FaultScript::Step());
  return base_.SetUp(ifindex, up);
}

absl::Status FaultyLinks::SetMtu(uint32_t ifindex, uint32_t mtu_bytes) {
  RETURN_IF_ERROR(FaultScript::Step());
  return base_.SetMtu(ifindex, mtu_bytes);
}

absl::Status FaultyLinks::SetTxQueueLen(uint32_t ifindex, uint32_t packets) {
  RETURN_IF_ERROR(FaultScript::Step());
  return base_.SetTxQueueLen(ifindex, packets);
}

absl::Status FaultyLinks::AddAddress(uint32_t ifindex,
                                     const encap::IpPrefix& address) {
  RETURN_IF_ERROR(FaultScript::Step());
  return base_.AddAddress(ifindex, address);
}

absl::Status FaultyLinks::DeleteAddress(uint32_t ifindex,
                                        const encap::IpPrefix& address) {
  RETURN_IF_ERROR(FaultScript::Step());
  return base_.DeleteAddress(ifindex, address);
}

absl::StatusOr<LinkSettings> FaultyLinks::Inspect(uint32_t ifindex) {
  RETURN_IF_ERROR(FaultScript::Step());
  return base_.Inspect(ifindex);
}

absl::StatusOr<bool> FaultyLinks::Exists(uint32_t ifindex) {
  return base_.Exists(ifindex);
}

uint64_t FaultyLinks::TransmitDrops(uint32_t ifindex) {
  return base_.TransmitDrops(ifindex);
}

uint32_t FaultyLinks::IndexOf(absl::string_view device) {
  return base_.IndexOf(device);
}

bool FaultyLinks::IsLocalAddress(const encap::IpAddress& address) {
  return base_.IsLocalAddress(address);
}

encap::IpAddress FaultyLinks::AddressOf(absl::string_view device,
                                        encap::IpFamily family) {
  return base_.AddressOf(device, family);
}

absl::StatusOr<RouteInfo> FaultyLinks::RouteTo(const encap::IpAddress& remote,
                                               const encap::IpAddress& local,
                                               uint32_t ifindex,
                                               uint32_t mark) {
  return base_.RouteTo(remote, local, ifindex, mark);
}

bool FaultyLinks::HasIpsecPolicies() { return base_.HasIpsecPolicies(); }

absl::Status FaultyLinks::StartMonitor(
    std::function<void(const LinkEvent&)> callback) {
  return base_.StartMonitor(std::move(callback));
}

void FaultyLinks::StopMonitor() { base_.StopMonitor(); }

}  // namespace tunnel
