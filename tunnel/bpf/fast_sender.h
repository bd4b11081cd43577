// FastSender: a worker's socket by which super-packets that it has read from a
// tunnel's device go to the kernel's fast path once more.
//
// A super-packet that comes out of one tunnel and enters another takes the user
// path, since the kernel refuses to note a second outer header on it
// (docs/decisions/0020). A copy that user space gives to the kernel has no such
// memory: sent through the device, it meets the program at its egress, which
// knows the socket by its cookie and encapsulates it whole. So a worker need
// not cut it and send each segment by itself.

#ifndef TUNNEL_BPF_FAST_SENDER_H_
#define TUNNEL_BPF_FAST_SENDER_H_

#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "encap/packet.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/bpf/fast_path.h"
#include "tunnel/bpf/fast_path_abi.h"

namespace tunnel {

// One thread at a time.
class FastSender {
 public:
  // `shared`, which outlives the object, is what the program is to count in for
  // cookie(). Errors: KERNEL_FEATURE_MISSING with the kernel's words.
  static absl::StatusOr<FastSender> Open(fp_sender& shared);

  // SO_COOKIE of the socket.
  uint64_t cookie() const { return cookie_; }

  // As FastTunnel::Send(), through the device `ifindex`.
  FastSend Send(uint32_t ifindex, const encap::PacketBuffer& packet) noexcept;

 private:
  FastSender(UniqueFd fd, uint64_t cookie, fp_sender& shared)
      : fd_(std::move(fd)), cookie_(cookie), shared_(&shared) {}
  uint64_t Seen() const noexcept;

  UniqueFd fd_;
  uint64_t cookie_;
  fp_sender* shared_;
};

}  // namespace tunnel

#endif  // TUNNEL_BPF_FAST_SENDER_H_
