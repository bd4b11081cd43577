// WatchHub: the one thread behind all watch streams.
//
// A change wakes the hub, which costs the writer the same whether one stream is
// open or a thousand; the hub's thread then goes round the streams and moves
// events to gRPC. It hands out no more than one event in `pace` on average:
// what happens meanwhile is coalesced, so that a crowd of watchers takes a
// bounded share of the CPU from those who make changes. A stream that is behind
// (in its snapshot, say) goes on by itself as fast as its reader takes it.
// Heartbeats come from the same thread.

#ifndef CTL_WATCH_HUB_H_
#define CTL_WATCH_HUB_H_

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace tunnel::ctl {

// A stream, as the hub sees it. Called without any lock of the hub, Pump() and
// Heartbeat() by the hub's thread alone.
class WatchStream {
 public:
  virtual ~WatchStream() = default;
  // Moves on what can be moved; never blocks.
  virtual void Pump() = 0;
  // Sends a heartbeat if nothing has been sent since `before`.
  virtual void Heartbeat(std::chrono::steady_clock::time_point before) = 0;
  // Ends the stream with `status`.
  virtual void End(const absl::Status& status) = 0;
};

// Any thread may call any function. Waits follow the steady clock.
class WatchHub {
 public:
  struct Options {
    std::chrono::milliseconds heartbeat{10'000};
    size_t max_streams = 1024;  // above it WATCH_LIMIT
    // A thousand watchers see a change within a thousand times this.
    std::chrono::microseconds pace{200};
  };

  explicit WatchHub(const Options& options);
  // All streams must have been removed.
  ~WatchHub();

  // A number for Wake() and Remove(). WATCH_LIMIT; SHUTTING_DOWN after
  // Shutdown().
  absl::StatusOr<uint64_t> Add(std::shared_ptr<WatchStream> stream);
  void Remove(uint64_t id);

  // Has Pump() of this stream called soon, before those that WakeAll() is for.
  // Takes only a leaf lock; an unknown id is ignored.
  void Wake(uint64_t id);
  // Has Pump() of every stream called, in turn. Takes only a leaf lock, for a
  // time that does not grow with the number of streams.
  void WakeAll();

  // Ends all streams with SHUTTING_DOWN.
  void Shutdown();

 private:
  using Clock = std::chrono::steady_clock;
  using Streams = std::vector<std::shared_ptr<WatchStream>>;

  void Loop();
  // The next few whose turn it is, mu_ held.
  Streams TakeTurn();
  // All of them, mu_ held.
  Streams All() const;

  const Options options_;
  mutable std::mutex mu_;
  std::condition_variable changed_;
  // Under mu_.
  bool stopping_ = false;
  uint64_t next_id_ = 1;
  std::map<uint64_t, std::shared_ptr<WatchStream>> streams_;
  std::deque<uint64_t> first_;  // woken one by one
  bool all_ = false;            // a new round is wanted
  std::deque<uint64_t> round_;  // what is left of this one

  std::thread thread_;
};

}  // namespace tunnel::ctl

#endif  // CTL_WATCH_HUB_H_
