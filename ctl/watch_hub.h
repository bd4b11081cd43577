// WatchHub: the one thread behind all watch streams.
//
// The manager wakes a stream from wherever a change happens; the hub only notes
// it there, and its thread then moves the events to gRPC. So no stream has a
// thread, and no writer of configuration waits for a reader. The same thread
// sends heartbeats.

#ifndef CTL_WATCH_HUB_H_
#define CTL_WATCH_HUB_H_

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

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
  };

  explicit WatchHub(const Options& options);
  // All streams must have been removed.
  ~WatchHub();

  // A number for Wake() and Remove(). WATCH_LIMIT; SHUTTING_DOWN after
  // Shutdown().
  absl::StatusOr<uint64_t> Add(std::shared_ptr<WatchStream> stream);
  void Remove(uint64_t id);

  // Has Pump() of this stream called soon. Takes only a leaf lock; an unknown
  // id is ignored.
  void Wake(uint64_t id);

  // Ends all streams with SHUTTING_DOWN.
  void Shutdown();

 private:
  using Clock = std::chrono::steady_clock;

  void Loop();
  void SendHeartbeats();

  const Options options_;
  std::mutex mu_;
  std::condition_variable changed_;
  // Under mu_.
  bool stopping_ = false;
  uint64_t next_id_ = 1;
  std::map<uint64_t, std::shared_ptr<WatchStream>> streams_;
  std::set<uint64_t> awake_;

  std::thread thread_;
};

}  // namespace tunnel::ctl

#endif  // CTL_WATCH_HUB_H_
