// ErrorReceiver: the ICMP errors of one IP version that come back for what the
// tunnels of this host have sent.
//
// A raw ICMP socket of the network namespace, with a filter in the kernel: it
// takes errors about tunnel protocols alone, so pings and the errors of other
// programs cost nothing. Who sent an error is not judged here. One thread.

#ifndef TUNNEL_UNDERLAY_ERROR_RECEIVER_H_
#define TUNNEL_UNDERLAY_ERROR_RECEIVER_H_

#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "encap/address.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/underlay/transport.h"

namespace tunnel {

class ErrorReceiver {
 public:
  // `family` is kV4 or kV6. Errors: MISSING_CAPABILITY, FD_LIMIT,
  // KERNEL_FEATURE_MISSING.
  static absl::StatusOr<std::unique_ptr<ErrorReceiver>> Open(
      encap::IpFamily family);
  ~ErrorReceiver();

  int fd() const { return fd_.get(); }

  // As Transport::ReceiveErrors(): good until the next call.
  std::span<const IncomingError> ReceiveBatch() noexcept;

 private:
  struct Buffers;

  ErrorReceiver(UniqueFd fd, encap::IpFamily family);

  const UniqueFd fd_;
  const encap::IpFamily family_;
  const std::unique_ptr<Buffers> buffers_;
};

}  // namespace tunnel

#endif  // TUNNEL_UNDERLAY_ERROR_RECEIVER_H_
