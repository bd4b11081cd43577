// Variant: the immutable outer configuration of a tunnel that the workers read.
//
// A change never edits a variant: it builds a new one, publishes it, waits for
// a grace period and frees the old one. So a packet sees the old or the new
// configuration, never a mix.

#ifndef TUNNEL_ENDPOINT_VARIANT_H_
#define TUNNEL_ENDPOINT_VARIANT_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "encap/decapsulator.h"
#include "encap/drop_reason.h"
#include "encap/encap_config.h"
#include "encap/encapsulator.h"
#include "encap/mss_clamp.h"
#include "encap/size_policy.h"
#include "encap/token_bucket.h"
#include "tunnel/base/fault.h"
#include "tunnel/endpoint/path_state.h"
#include "tunnel/endpoint/sender_index.h"
#include "tunnel/endpoint/shaper.h"
#include "tunnel/underlay/transport.h"

namespace tunnel {

class Endpoint;

// ICMP errors that a tunnel gives to the senders of inner packets, for each
// worker: a second, and at once.
inline constexpr uint32_t kInnerErrorRate = 100;
inline constexpr uint32_t kInnerErrorBurst = 100;

// The part of a tunnel that changes with each packet, one for each worker and
// written by that worker alone: "per-CPU output context". Its own cache line.
struct alignas(64) WorkerContext {
  encap::OutputState output;
  encap::InputState input;
  encap::TokenBucket inner_errors{kInnerErrorRate, kInnerErrorBurst};
  // Of a tunnel with a rate: its one worker's.
  Shaper shaper;
  // Super-packets that are not to be given back to the kernel, since it has
  // refused one.
  uint64_t fast_skips = 0;
};

// All contexts of one establishment of a tunnel. Variants that only change how
// a packet looks share it; a rewire makes a new one.
class FlowContexts {
 public:
  explicit FlowContexts(size_t workers) : contexts_(workers) {}
  WorkerContext& of(size_t worker) { return contexts_[worker]; }
  size_t size() const { return contexts_.size(); }

  // Numbers of packets go on where `previous` stopped, since the peer has seen
  // them, and so does what is owed to the rate; what was received from the old
  // peer is forgotten. No worker may use `previous` any more.
  void ContinueOutputOf(const FlowContexts& previous) {
    if (FaultActive(Fault::kNumbersNotCarried)) return;
    for (size_t i = 0; i < contexts_.size() && i < previous.contexts_.size();
         ++i) {
      contexts_[i].output = previous.contexts_[i].output;
      contexts_[i].shaper = previous.contexts_[i].shaper;
    }
  }

 private:
  std::vector<WorkerContext> contexts_;
};

// Who writes what was received to the device.
enum class SteerMode : uint8_t {
  kDirect,    // the worker that has received it
  kSteered,   // the worker that the inner flow belongs to
  kSettling,  // as kDirect, once what was handed over before is written
};

struct Variant {
  // `outer` has the source in force.
  Variant(Endpoint& e, const encap::EncapConfig& outer, const SendRoute& r,
          std::shared_ptr<FlowContexts> c)
      : endpoint(&e),
        config(outer),
        encapsulator(outer),
        decapsulator(outer),
        size_policy(outer),
        route(r),
        ethernet(outer.mode == encap::Mode::kGretap),
        contexts(std::move(c)) {}

  Endpoint* const endpoint;
  const encap::EncapConfig config;
  const encap::Encapsulator encapsulator;
  const encap::Decapsulator decapsulator;
  const encap::SizePolicy size_policy;
  const SendRoute route;
  const bool ethernet;  // the payload is an Ethernet frame
  // kNone, or why every packet of that direction is dropped (kDown, kNoRoute,
  // kRecursion). Set before publication.
  encap::DropReason transmit_block = encap::DropReason::kNone;
  encap::DropReason receive_block = encap::DropReason::kNone;
  // Set before publication.
  SteerMode steer = SteerMode::kDirect;
  // What the inner TCP may announce. Set before publication.
  encap::MssLimits mss;
  // What the output is held to. Set before publication.
  ShapeLimits shape;
  // Of the way to the remote; nullptr: no limit. Set before publication.
  std::shared_ptr<PathState> path;
  // The pointer is shared by the control side only; workers go through it.
  const std::shared_ptr<FlowContexts> contexts;
};

}  // namespace tunnel

#endif  // TUNNEL_ENDPOINT_VARIANT_H_
