// LinkSender: sends finished outer IP packets through a packet socket, straight
// to the next hop on the link. One thread.
//
// What the raw socket does for each packet and this does not: the lookups of
// route and neighbour, netfilter (OUTPUT and POSTROUTING), IPsec. The queueing
// discipline, tc and whoever captures on the device see the packets.

#ifndef TUNNEL_UNDERLAY_LINK_SENDER_H_
#define TUNNEL_UNDERLAY_LINK_SENDER_H_

#include <cstddef>
#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/netlink/next_hop.h"
#include "tunnel/underlay/transport.h"

namespace tunnel {

class LinkSender {
 public:
  static constexpr size_t kMaxBatch = 64;

  // Errors: MISSING_CAPABILITY, FD_LIMIT, KERNEL_FEATURE_MISSING.
  static absl::StatusOr<std::unique_ptr<LinkSender>> Open();
  ~LinkSender();

  // How many packets at the front, at most kMaxBatch, Send() takes as one run:
  // those whose next hop is known and carries them, and that lack nothing that
  // the kernel would fill in. An IPv4 packet that may be fragmented on its way
  // (DF not set) wants an identification for that (RFC 6864 4).
  size_t Takes(std::span<const OutgoingPacket> packets) noexcept;

  struct Result {
    size_t done = 0;   // packets at the front whose `result` is set
    size_t calls = 0;  // system calls
  };
  // Right after Takes() has returned run.size(). A packet is sent, or
  // kQueueFull. Where `done` is less, the kernel refuses the packet behind them
  // for another cause, which the raw socket finds out.
  Result Send(std::span<OutgoingPacket> run) noexcept;

 private:
  struct Batch;

  explicit LinkSender(UniqueFd fd);

  const UniqueFd fd_;
  const std::unique_ptr<Batch> batch_;
};

}  // namespace tunnel

#endif  // TUNNEL_UNDERLAY_LINK_SENDER_H_
