#include "tunnel/rewire/turn.h"

#include <poll.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tunnel/base/clock.h"
#include "tunnel/base/log.h"
#include "tunnel/bpf/fast_path.h"

namespace tunnel {
namespace {

constexpr std::chrono::microseconds kPause{100};
// Looks at a direction that is never found idle, until the count of what went
// before is taken for known.
constexpr int kLooks = 20;
// Looks at one that is.
constexpr int kIdleLooks = 2;

// One direction of one tunnel.
//
// The kernel counts what it passes to the user path, `passed`; the workers what
// they take from it, `taken`. The difference of the two, less what is under
// way, is a constant that nobody knows: packets were taken before anyone
// counted. It is the most that `taken` - `passed` has ever been, once nothing
// was under way at one look.
class Side {
 public:
  Side(const TunnelRecord& tunnel, FastDirection direction,
       std::vector<int> queues)
      : fast_(*tunnel.endpoint->fast()),
        direction_(direction),
        counters_(tunnel.endpoint->counter_blocks()),
        name_(tunnel.name()),
        waiting_(std::move(queues)) {}

  // Which queues are empty. A grace period of the workers behind, all that they
  // had read by then is counted.
  void Look() {
    passed_before_ = fast_.Turn(direction_).passed;
    const size_t all = waiting_.size();
    idle_ = true;
    for (size_t i = 0; i < all; ++i) idle_ &= IsEmpty(i);
  }

  // Behind that grace period: what is counted now, the workers are done with
  // one more behind.
  void Count() { taken_ = Taken(); }

  // Behind that. True when nothing is left to do.
  bool Settle() {
    const FastTurn turn = fast_.Turn(direction_);
    if (turn.turned) return true;
    const auto ahead = static_cast<int64_t>(taken_ - turn.passed);
    before_ = before_.has_value() ? std::max(*before_, ahead) : ahead;
    if (idle_ && turn.passed == passed_before_) ++idle_looks_;
    if (seen_empty_ == waiting_.size()) ++looks_;
    if (idle_looks_ < kIdleLooks && looks_ < kLooks) return false;
    const uint64_t done = turn.passed - static_cast<uint64_t>(*before_ - ahead);
    fast_.SetDone(direction_, done);
    const FastTurn now = fast_.Turn(direction_);
    return now.turned || now.passed == done;
  }

  void Force() {
    LogInfo("a tunnel takes the fast path before its queue was empty",
            {{"tunnel", name_},
             {"direction", direction_ == FastDirection::kOut ? "out" : "in"}});
    fast_.ForceTurn(direction_);
  }

 private:
  uint64_t Taken() const {
    uint64_t taken = 0;
    for (const TunnelWorkerCounters& worker : counters_->workers()) {
      taken += direction_ == FastDirection::kOut ? worker.output_frames.value()
                                                 : worker.input_frames.value();
    }
    return taken;
  }

  // Whether queue `i` is empty; notes the first time.
  bool IsEmpty(size_t i) {
    if (empty_.size() < waiting_.size()) empty_.resize(waiting_.size());
    pollfd wait{waiting_[i], POLLIN, 0};
    if (poll(&wait, 1, 0) != 0) return false;
    if (!empty_[i]) ++seen_empty_;
    empty_[i] = true;
    return true;
  }

  FastTunnel& fast_;
  const FastDirection direction_;
  const std::shared_ptr<const TunnelCounterBlocks> counters_;
  const std::string name_;
  const std::vector<int> waiting_;  // queues between kernel and workers
  std::vector<bool> empty_;         // beside waiting_: was seen so
  size_t seen_empty_ = 0;           // of empty_
  bool idle_ = false;               // all at the last look
  uint64_t passed_before_ = 0;      // at the last look
  uint64_t taken_ = 0;
  int looks_ = 0, idle_looks_ = 0;
  std::optional<int64_t> before_;  // the constant, as far as it is known
};

std::vector<int> QueueFds(TunDevice& device) {
  std::vector<int> fds;
  for (size_t i = 0; i < device.queue_count(); ++i)
    fds.push_back(device.queue(i).fd());
  return fds;
}

std::vector<Side> SidesOf(const Datapath& path,
                          std::span<TunnelRecord* const> tunnels) {
  std::vector<Side> sides;
  const auto add = [&](const TunnelRecord& tunnel, FastDirection direction) {
    if (tunnel.endpoint->fast() == nullptr ||
        tunnel.endpoint->fast()->Turn(direction).turned) {
      return;
    }
    sides.emplace_back(tunnel, direction,
                       direction == FastDirection::kOut
                           ? QueueFds(tunnel.endpoint->device())
                           : path.pool.receive_fds());
  };
  for (const TunnelRecord* tunnel : tunnels) {
    add(*tunnel, FastDirection::kOut);
    add(*tunnel, FastDirection::kIn);
  }
  return sides;
}

}  // namespace

void AwaitTurns(const ConfigSection& section, const Datapath& path,
                std::span<TunnelRecord* const> tunnels) {
  std::vector<Side> sides = SidesOf(path, tunnels);
  if (sides.empty()) return;
  section.SetStep("turn");
  std::vector<Side*> left;
  for (Side& side : sides) left.push_back(&side);
  const SteadyTime until = SteadyNow() + kMostTurn;
  while (true) {
    for (Side* side : left) side->Look();
    path.qsbr.Wait();
    for (Side* side : left) side->Count();
    path.qsbr.Wait();  // what a worker has taken is out of its hands
    path.pool.WaitHandedOver(section);  // and out of those of others
    left.erase(std::remove_if(left.begin(), left.end(),
                              [](Side* side) { return side->Settle(); }),
               left.end());
    if (left.empty()) return;
    if (SteadyNow() >= until) break;
    std::this_thread::sleep_for(kPause);
  }
  for (Side* side : left) side->Force();
}

}  // namespace tunnel
