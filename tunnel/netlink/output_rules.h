// OutputRules: whether anything on this host looks at the packets that its
// programs send, which frames from a packet socket would pass by.
//
// Looked for are chains of nftables at a hook of IP, or at OUTPUT or
// POSTROUTING of bridges; tables of the older ("legacy") iptables; and BPF
// programs on what the cgroup of the daemon sends (IPAddressDeny= of systemd).
// A chain for input counts too: with `ct state` in it, packets are known as
// answers by those that the host has sent past netfilter's OUTPUT. There are
// no events for the last two, so one asks.
// Not looked for: BPF programs on a netfilter hook (Linux 6.4), IPVS, security
// modules that label packets.

#ifndef TUNNEL_NETLINK_OUTPUT_RULES_H_
#define TUNNEL_NETLINK_OUTPUT_RULES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/netlink/netlink_socket.h"

namespace tunnel {

class OutputRules {
 public:
  // Of the network namespace of the calling thread, and the cgroup of the
  // process as it is now. Errors: FD_LIMIT, NETLINK_ERROR.
  static absl::StatusOr<OutputRules> Open();

  // The first that is found, in words: "chain filter/output of nftables";
  // empty: nothing. What can not be asked counts as found, with the cause. In
  // the namespace of Open(). One or two system calls each, and one exchange
  // with nftables, which answers whole only after a change of its rules.
  std::string Find();

 private:
  OutputRules(std::optional<NetlinkSocket> netfilter, UniqueFd cgroup);

  std::string FindNftables();
  // Reads the chains; false when they could not be read, with words in chain_.
  bool ReadChains();

  std::optional<NetlinkSocket> netfilter_;  // nullopt: a kernel without
  UniqueFd cgroup_;                         // invalid: none is visible
  // As of generation_ of the rules; nullopt: not read yet.
  std::optional<uint32_t> generation_;
  std::string chain_;
  // The kernel has no nftables in it, and none loaded.
  bool without_nftables_ = false;
};

}  // namespace tunnel

#endif  // TUNNEL_NETLINK_OUTPUT_RULES_H_
