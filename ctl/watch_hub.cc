#include "ctl/watch_hub.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"

namespace tunnel::ctl {
namespace {

// Streams that are pumped without a rest: what one change may have to wait for.
constexpr size_t kTurn = 16;

}  // namespace

WatchHub::WatchHub(const Options& options)
    : options_(options), thread_([this] { Loop(); }) {}

WatchHub::~WatchHub() {
  {
    std::lock_guard lock(mu_);
    stopping_ = true;
    changed_.notify_one();
  }
  thread_.join();
}

absl::StatusOr<uint64_t> WatchHub::Add(std::shared_ptr<WatchStream> stream) {
  std::lock_guard lock(mu_);
  if (stopping_) {
    return MakeError(Reason::kShuttingDown, "watch: the daemon is stopping");
  }
  if (streams_.size() >= options_.max_streams) {
    return MakeError(
        Reason::kWatchLimit,
        absl::StrCat("watch: ", options_.max_streams, " streams are open"),
        {{"limit", absl::StrCat(options_.max_streams)}});
  }
  const uint64_t id = next_id_++;
  streams_.emplace(id, std::move(stream));
  changed_.notify_one();
  return id;
}

void WatchHub::Remove(uint64_t id) {
  std::shared_ptr<WatchStream> last;  // ends outside the lock
  std::lock_guard lock(mu_);
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  last = std::move(found->second);
  streams_.erase(found);  // TakeTurn() passes over what is not there
}

void WatchHub::Wake(uint64_t id) {
  std::lock_guard lock(mu_);
  first_.push_back(id);
  changed_.notify_one();
}

void WatchHub::WakeAll() {
  std::lock_guard lock(mu_);
  if (std::exchange(all_, true)) return;
  changed_.notify_one();
}

void WatchHub::Shutdown() {
  Streams streams;
  {
    std::lock_guard lock(mu_);
    stopping_ = true;
    streams = All();
    changed_.notify_one();
  }
  const absl::Status status =
      MakeError(Reason::kShuttingDown, "watch: the daemon is stopping");
  for (const auto& stream : streams) stream->End(status);
}

WatchHub::Streams WatchHub::All() const {
  Streams streams;
  for (const auto& [id, stream] : streams_) streams.push_back(stream);
  return streams;
}

WatchHub::Streams WatchHub::TakeTurn() {
  if (round_.empty() && std::exchange(all_, false)) {
    for (const auto& [id, stream] : streams_) round_.push_back(id);
  }
  Streams turn;
  while (turn.size() < kTurn && !(first_.empty() && round_.empty())) {
    std::deque<uint64_t>& queue = first_.empty() ? round_ : first_;
    const auto found = streams_.find(queue.front());
    if (found != streams_.end()) turn.push_back(found->second);
    queue.pop_front();
  }
  return turn;
}

void WatchHub::Loop() {
  // Streams are looked at several times in a heartbeat's time, so that none is
  // late by more than an eighth of it.
  const auto tick =
      std::max(options_.heartbeat / 8, std::chrono::milliseconds(1));
  auto next_tick = Clock::now() + tick;
  auto next_turn = Clock::now();
  std::unique_lock lock(mu_);
  while (!stopping_) {
    if (streams_.empty()) {
      first_.clear();
      round_.clear();
      changed_.wait(lock);
      continue;
    }
    const bool work = all_ || !first_.empty() || !round_.empty();
    const auto until = work ? std::min(next_turn, next_tick) : next_tick;
    const auto now = Clock::now();
    if (now < until) {
      // A wake while there is none changes what to wait for.
      changed_.wait_until(lock, until);
      continue;
    }
    const Streams turn = work && now >= next_turn ? TakeTurn() : Streams();
    const Streams beat = now >= next_tick ? All() : Streams();
    lock.unlock();
    for (const auto& stream : turn) stream->Pump();
    for (const auto& stream : beat) {
      stream->Heartbeat(now - options_.heartbeat);
    }
    // What the pumps have taken counts, so that the share is bounded.
    if (!turn.empty()) next_turn = Clock::now() + turn.size() * options_.pace;
    if (now >= next_tick) next_tick = now + tick;
    lock.lock();
  }
}

}  // namespace tunnel::ctl
