// RawSender: sends finished outer IP packets through raw sockets, one for each
// IP version. One thread.

#ifndef TUNNEL_UNDERLAY_RAW_SENDER_H_
#define TUNNEL_UNDERLAY_RAW_SENDER_H_

#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "encap/drop_reason.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/underlay/transport.h"

namespace tunnel {

class RawSender {
 public:
  // Errors: MISSING_CAPABILITY, FD_LIMIT, KERNEL_FEATURE_MISSING. A kernel
  // without IPv6 is no error: IPv6 packets are then kNoRoute.
  static absl::StatusOr<std::unique_ptr<RawSender>> Open();
  ~RawSender();

  // As Transport::SendBatch(). The route is looked up with the outer source
  // address, so that source routing rules hold (not for IPv6 with an ifindex:
  // the kernel has one or the other). Each packet must be a whole
  // outer IP header at least and begin with the version of its route.
  size_t SendBatch(std::span<OutgoingPacket> packets) noexcept;

 private:
  struct Batch;

  RawSender(UniqueFd v4, UniqueFd v6);
  // Sends packets of one family and at most kMaxBatch; returns system calls.
  size_t SendRun(std::span<OutgoingPacket> run) noexcept;

  const UniqueFd v4_;
  const UniqueFd v6_;
  const std::unique_ptr<Batch> batch_;
};

// The reason for a packet that sendmsg(2) refused with `error_number`.
encap::DropReason SendErrorReason(int error_number, bool v6) noexcept;

}  // namespace tunnel

#endif  // TUNNEL_UNDERLAY_RAW_SENDER_H_
