// Dispatch: whether a worker carries a received packet to its end, or puts it
// into a ring first. The words are those of netisr.

#ifndef TUNNEL_PATH_DISPATCH_H_
#define TUNNEL_PATH_DISPATCH_H_

#include <cstdint>

namespace tunnel {

enum class Dispatch : uint8_t {
  // The worker that has received a packet writes it; there are no rings.
  kDirect,
  // Each packet goes by a ring: to the worker that its flow belongs to where
  // the tunnel steers, else to the worker that has received it.
  kDeferred,
  // A packet goes by a ring only to another worker, where the tunnel steers.
  kHybrid,
};

}  // namespace tunnel

#endif  // TUNNEL_PATH_DISPATCH_H_
