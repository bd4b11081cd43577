// CaptureHub: the one thread behind all captures.
//
// Workers only put copies into rings; nobody is woken for them. While there is
// a capture, the hub's thread goes round all of them some hundred times a
// second; else it sleeps.

#ifndef CTL_CAPTURE_HUB_H_
#define CTL_CAPTURE_HUB_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "absl/status/status.h"

namespace tunnel::ctl {

// A capture, as the hub sees it. Called without any lock of the hub.
class CaptureStream {
 public:
  virtual ~CaptureStream() = default;
  // Moves on what can be moved; never blocks. By the hub's thread alone.
  virtual void Pump() = 0;
  // Ends the stream with `status`.
  virtual void End(const absl::Status& status) = 0;
  // Ends the stream with OK behind what has been captured by now.
  virtual void Complete() = 0;
};

// Any thread may call any function.
class CaptureHub {
 public:
  // Of all tunnels together.
  static constexpr size_t kMaxStreams = 16;

  CaptureHub();
  // All streams must have been removed.
  ~CaptureHub();

  // `id`: of the capture, for the others. Errors: CAPTURE_LIMIT; SHUTTING_DOWN
  // after Shutdown().
  absl::Status Add(uint64_t id, std::shared_ptr<CaptureStream> stream);
  void Remove(uint64_t id);
  // Completes the stream; none has this id: nothing.
  void Complete(uint64_t id);
  // Ends all streams with SHUTTING_DOWN.
  void Shutdown();

 private:
  void Loop();

  std::mutex mu_;
  std::condition_variable changed_;
  // Under mu_.
  bool stopping_ = false;
  std::map<uint64_t, std::shared_ptr<CaptureStream>> streams_;

  std::thread thread_;
};

}  // namespace tunnel::ctl

#endif  // CTL_CAPTURE_HUB_H_
