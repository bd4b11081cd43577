#include "ctl/watch_hub.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"

namespace tunnel::ctl {

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
  return id;
}

void WatchHub::Remove(uint64_t id) {
  std::shared_ptr<WatchStream> last;  // ends outside the lock
  std::lock_guard lock(mu_);
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  last = std::move(found->second);
  streams_.erase(found);
  awake_.erase(id);
}

void WatchHub::Wake(uint64_t id) {
  std::lock_guard lock(mu_);
  if (streams_.count(id) == 0) return;
  awake_.insert(id);
  changed_.notify_one();
}

void WatchHub::Shutdown() {
  std::vector<std::shared_ptr<WatchStream>> streams;
  {
    std::lock_guard lock(mu_);
    stopping_ = true;
    for (const auto& [id, stream] : streams_) streams.push_back(stream);
    changed_.notify_one();
  }
  const absl::Status status =
      MakeError(Reason::kShuttingDown, "watch: the daemon is stopping");
  for (const auto& stream : streams) stream->End(status);
}

void WatchHub::Loop() {
  // Streams are looked at several times in a heartbeat's time, so that none is
  // late by more than an eighth of it.
  const auto tick =
      std::max(options_.heartbeat / 8, std::chrono::milliseconds(1));
  auto next_tick = Clock::now() + tick;
  std::unique_lock lock(mu_);
  while (!stopping_) {
    const auto ready = [this] { return stopping_ || !awake_.empty(); };
    if (streams_.empty()) {
      changed_.wait(lock, ready);
      next_tick = Clock::now() + tick;
    } else {
      changed_.wait_until(lock, next_tick, ready);
    }
    if (stopping_) return;
    std::vector<std::shared_ptr<WatchStream>> streams;
    for (const uint64_t id : std::exchange(awake_, {})) {
      streams.push_back(streams_.at(id));
    }
    lock.unlock();
    for (const auto& stream : streams) stream->Pump();
    streams.clear();
    if (Clock::now() >= next_tick) {
      SendHeartbeats();
      next_tick = Clock::now() + tick;
    }
    lock.lock();
  }
}

void WatchHub::SendHeartbeats() {
  std::vector<std::shared_ptr<WatchStream>> streams;
  {
    std::lock_guard lock(mu_);
    for (const auto& [id, stream] : streams_) streams.push_back(stream);
  }
  const auto before = Clock::now() - options_.heartbeat;
  for (const auto& stream : streams) stream->Heartbeat(before);
}

}  // namespace tunnel::ctl
