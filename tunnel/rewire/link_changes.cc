#include "tunnel/rewire/link_changes.h"

#include <algorithm>
#include <string>
#include <utility>

#include "tunnel/base/fault.h"
#include "tunnel/base/log.h"
#include "tunnel/base/status_macros.h"

namespace tunnel {
namespace {

// What txqueuelen 0, "the default of the kernel", stands for on a TUN device.
constexpr uint32_t kDefaultTxQueueLen = 500;  // packets

bool Contains(const std::vector<encap::IpPrefix>& list,
              const encap::IpPrefix& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

// Of IPv4 and one subnet, so that one may be a secondary address of the other.
bool SameSubnet(const encap::IpPrefix& a, const encap::IpPrefix& b) {
  if (!a.address.is_v4() || !b.address.is_v4() || a.length != b.length)
    return false;
  for (int bit = 0; bit < a.length; ++bit) {
    const int mask = 0x80 >> (bit % 8);
    if (((a.address.bytes()[bit / 8] ^ b.address.bytes()[bit / 8]) & mask) != 0)
      return false;
  }
  return true;
}

}  // namespace

LinkChanges::~LinkChanges() {
  if (FaultActive(Fault::kNoRollback)) return;
  for (auto it = undo_.rbegin(); it != undo_.rend(); ++it) {
    const absl::Status status = (*it)();
    if (status.ok()) continue;
    LogError("a step back failed; the interface differs from its configuration",
             {{"ifindex", std::to_string(ifindex_)},
              {"cause", std::string(status.message())}});
  }
}

absl::Status LinkChanges::Do(const std::function<absl::Status()>& request,
                             std::function<absl::Status()> opposite) {
  const absl::Status status = request();
  if (!status.ok()) {
    if (FaultActive(Fault::kRollbackOverwritesCause) && !undo_.empty())
      return undo_.back()();
    return status;
  }
  undo_.push_back(std::move(opposite));
  return absl::OkStatus();
}

absl::Status LinkChanges::SetMtu(uint32_t from, uint32_t to) {
  if (from == to) return absl::OkStatus();
  return Do([=, this] { return links_.SetMtu(ifindex_, to); },
            [=, this] { return links_.SetMtu(ifindex_, from); });
}

absl::Status LinkChanges::SetTxQueueLen(uint32_t from, uint32_t to) {
  const uint32_t old_len = from == 0 ? kDefaultTxQueueLen : from;
  const uint32_t new_len = to == 0 ? kDefaultTxQueueLen : to;
  if (old_len == new_len) return absl::OkStatus();
  return Do([=, this] { return links_.SetTxQueueLen(ifindex_, new_len); },
            [=, this] { return links_.SetTxQueueLen(ifindex_, old_len); });
}

absl::Status LinkChanges::SetUp(bool from, bool to) {
  if (from == to) return absl::OkStatus();
  return Do([=, this] { return links_.SetUp(ifindex_, to); },
            [=, this] { return links_.SetUp(ifindex_, from); });
}

absl::Status LinkChanges::SetAddresses(const std::vector<encap::IpPrefix>& from,
                                       const std::vector<encap::IpPrefix>& to) {
  for (const encap::IpPrefix& address : to) {
    if (Contains(from, address)) continue;
    RETURN_IF_ERROR(
        Do([=, this] { return links_.AddAddress(ifindex_, address); },
           [=, this] { return links_.DeleteAddress(ifindex_, address); }));
  }
  for (const encap::IpPrefix& address : from) {
    if (!Contains(to, address)) to_delete_.push_back(address);
  }
  wanted_ = to;
  return absl::OkStatus();
}

void LinkChanges::Insist(const std::function<absl::Status()>& request) {
  absl::Status status = request();
  if (!status.ok()) status = request();
  if (status.ok()) return;
  LogError("an address of an interface differs from its configuration",
           {{"ifindex", std::to_string(ifindex_)},
            {"cause", std::string(status.message())}});
}

void LinkChanges::Keep() {
  undo_.clear();
  for (const encap::IpPrefix& address : to_delete_)
    Insist([&] { return links_.DeleteAddress(ifindex_, address); });
  // Unless promote_secondaries is set, the kernel has deleted along with a
  // primary address the others of its subnet.
  for (const encap::IpPrefix& address : wanted_) {
    const bool lost = std::any_of(
        to_delete_.begin(), to_delete_.end(),
        [&](const encap::IpPrefix& gone) { return SameSubnet(gone, address); });
    if (lost) Insist([&] { return links_.AddAddress(ifindex_, address); });
  }
  to_delete_.clear();
}

}  // namespace tunnel
