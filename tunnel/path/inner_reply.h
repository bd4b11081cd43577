// InnerReply: ICMP errors to the senders of inner packets, written back into
// the tunnel's device.
//
// One for each worker and direction; one thread. No lock, no allocation after
// construction.

#ifndef TUNNEL_PATH_INNER_REPLY_H_
#define TUNNEL_PATH_INNER_REPLY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "encap/icmp_error.h"
#include "encap/token_bucket.h"
#include "tunnel/stats/owned_counter.h"
#include "tunnel/tun/tun_device.h"

namespace tunnel {

class InnerReply {
 public:
  // `writes`: of the worker, the system calls; outlives the object.
  explicit InnerReply(OwnedCounter& writes) : writes_(writes) {}

  // Tells the sender of `payload` of `error`. `payload` is an inner IPv4 or
  // IPv6 packet, or as much of one as there is, or a frame if `ethernet`: its
  // sender is answered by a frame. The error comes from the inner destination:
  // the kernel takes no packet from a device that has one of its own addresses
  // as source (it is a martian there), and the way to that destination leads
  // through the device, so that reverse path filters let it pass.
  // False, and nothing is written: no answer is allowed or possible
  // (encap::MayAnswer()), `bucket` is empty, or the device refuses it.
  bool Send(const encap::InnerError& error, std::span<const uint8_t> payload,
            bool ethernet, encap::TokenBucket& bucket, uint64_t now_ns,
            TunQueue& queue) noexcept;

 private:
  static constexpr size_t kMaxLinkHeader = 18;  // Ethernet with one VLAN tag

  OwnedCounter& writes_;
  std::array<uint8_t, kTunHeadroom + kMaxLinkHeader + encap::kMaxIcmpErrorV6>
      storage_;
};

}  // namespace tunnel

#endif  // TUNNEL_PATH_INNER_REPLY_H_
