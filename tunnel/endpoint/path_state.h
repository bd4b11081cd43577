// PathState: how large an outer packet the way between two outer addresses
// carries. Tunnels that share the way share what is known of it.
//
// Writers: the control side sets the MTU of the route [P1]; the worker that
// gets the ICMP errors learns smaller ones, and the control side may forget
// them [P2]. Readers: any thread at any time, a worker once a batch. Each value
// is one word, so a reader gets a whole one; the accesses are relaxed, since
// the number orders nothing else: a worker that reads the old value sends a
// packet as it would have done a moment before. Times are of SteadyCoarseNs().

#ifndef TUNNEL_ENDPOINT_PATH_STATE_H_
#define TUNNEL_ENDPOINT_PATH_STATE_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "encap/address.h"
#include "encap/pmtu.h"

namespace tunnel {

class PathState {
 public:
  using LearnCount = std::atomic<uint64_t>;

  // `family` is that of the outer addresses. `learned`, if any, rises with each
  // Learn() that changes something.
  explicit PathState(encap::IpFamily family,
                     std::shared_ptr<LearnCount> learned = nullptr)
      : family_(family), learn_count_(std::move(learned)) {}
  PathState(const PathState&) = delete;
  PathState& operator=(const PathState&) = delete;

  // Largest outer packet, bytes: that of the route, or a smaller one that was
  // learned and has not aged. 0: not known yet, no limit.
  uint32_t Mtu(uint64_t now_ns) const noexcept {
    const uint32_t route = route_mtu();
    const std::optional<Learned> learned = LearnedNow(now_ns);
    return learned.has_value() ? std::min(route, learned->mtu) : route;
  }

  uint32_t route_mtu() const noexcept {
    return route_mtu_.load(std::memory_order_relaxed);  // SetRouteMtu() [P1]
  }

  struct Learned {
    uint32_t mtu = 0;         // bytes
    uint64_t expires_ns = 0;  // when it is forgotten
  };
  // What was learned, unless it is too old or no less than the route's MTU.
  std::optional<Learned> LearnedNow(uint64_t now_ns) const noexcept {
    const uint64_t word = learned_.load(std::memory_order_relaxed);  // [P2]
    if (word == 0) return std::nullopt;
    const encap::PathMtu state = Unpack(word, now_ns);
    if (!state.learned()) return std::nullopt;
    return Learned{state.value(), state.expires_ns()};
  }

  // ---- the control side ----
  void SetRouteMtu(uint32_t bytes) noexcept {
    route_mtu_.store(bytes, std::memory_order_relaxed);  // route_mtu() [P1]
  }
  // The way is another one now.
  void Forget() noexcept {
    learned_.store(0, std::memory_order_relaxed);  // LearnedNow() [P2]
  }

  // ---- the worker that gets the errors ----
  // A Too Big about a packet of this path; the arguments are those of
  // encap::PathMtu::Learn(), whose rules decide. True when Mtu() has changed.
  bool Learn(uint32_t mtu, uint32_t packet_len, uint64_t now_ns) noexcept {
    encap::PathMtu state =
        Unpack(learned_.load(std::memory_order_relaxed), now_ns);
    if (!state.Learn(mtu, packet_len, now_ns)) return false;
    learned_.store(uint64_t{state.value()} | Ticks(now_ns) << kMtuBits,
                   std::memory_order_relaxed);  // LearnedNow() [P2]
    if (learn_count_ != nullptr)                // PathRegistry::learned() [P3]
      learn_count_->fetch_add(1, std::memory_order_relaxed);
    return true;
  }

 private:
  // A word: the MTU, and above it when it was learned, in ticks of 2^20 ns.
  static constexpr int kMtuBits = 20;
  static constexpr int kTickShift = 20;
  static uint64_t Ticks(uint64_t ns) noexcept { return ns >> kTickShift; }

  encap::PathMtu Unpack(uint64_t word, uint64_t now_ns) const noexcept {
    encap::PathMtu state(family_, route_mtu());
    if (word == 0) return state;
    state.Learn(static_cast<uint32_t>(word & ((1u << kMtuBits) - 1)), 0,
                (word >> kMtuBits) << kTickShift);
    state.Age(now_ns);
    return state;
  }

  const encap::IpFamily family_;
  std::atomic<uint32_t> route_mtu_{0};
  std::atomic<uint64_t> learned_{0};  // 0: nothing
  const std::shared_ptr<LearnCount> learn_count_;
};

}  // namespace tunnel

#endif  // TUNNEL_ENDPOINT_PATH_STATE_H_
