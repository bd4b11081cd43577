// PacketReceiver: tunnel packets of one IP version for one worker, from a
// packet socket that shares the flows with those of the other workers.
//
// The kernel's GRO has merged what it could; the segmentation state comes
// along. Packets are taken before netfilter and XFRM. One thread.

#ifndef TUNNEL_UNDERLAY_PACKET_RECEIVER_H_
#define TUNNEL_UNDERLAY_PACKET_RECEIVER_H_

#include <linux/filter.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "encap/address.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/underlay/transport.h"

namespace tunnel {

class PacketReceiver {
 public:
  // One receiver for each of `workers`. They see a packet once among them, in a
  // fanout group of their own by the hash of the (inner) flow; outer IPv4
  // fragments are put together, IPv6 ones arrive as they are. `family` is kV4
  // or kV6, and `filter` chooses among its packets. Errors: MISSING_CAPABILITY,
  // FD_LIMIT, KERNEL_FEATURE_MISSING.
  static absl::StatusOr<std::vector<std::shared_ptr<PacketReceiver>>> OpenGroup(
      encap::IpFamily family, size_t workers,
      std::span<const sock_filter> filter);
  ~PacketReceiver();

  // Takes what `filter` takes from now on. Any thread, also beside
  // ReceiveBatch().
  absl::Status SetFilter(std::span<const sock_filter> filter);

  int fd() const { return fd_.get(); }

  // As Transport::ReceiveBatch(): good until the next call.
  std::span<IncomingPacket> ReceiveBatch() noexcept;

  struct Losses {
    uint64_t buffer_full = 0;    // dropped by the kernel (PACKET_STATISTICS)
    uint64_t inexpressible = 0;  // no virtio_net_hdr for its GSO type (EINVAL)
    uint64_t truncated = 0;      // larger than any IP packet
    uint64_t bad_vnet_header = 0;  // TranslateVnetHdr() refused it
    uint64_t total() const {
      return buffer_full + inexpressible + truncated + bad_vnet_header;
    }
  };
  // Since the start.
  Losses losses() noexcept;

 private:
  struct Buffers;

  explicit PacketReceiver(UniqueFd fd);
  // Makes `packet` from message `i`; false when it is lost and counted.
  bool Accept(size_t i, IncomingPacket& packet) noexcept;

  const UniqueFd fd_;
  const std::unique_ptr<Buffers> buffers_;
  Losses losses_;
};

}  // namespace tunnel

#endif  // TUNNEL_UNDERLAY_PACKET_RECEIVER_H_
