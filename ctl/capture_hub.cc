#include "ctl/capture_hub.h"

#include <chrono>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"

namespace tunnel::ctl {
namespace {

// A lane holds some thousand packets: more than a worker sends meanwhile.
constexpr std::chrono::milliseconds kRound{4};

absl::Status ShuttingDown() {
  return MakeError(Reason::kShuttingDown, "capture: the daemon is ending");
}

}  // namespace

CaptureHub::CaptureHub() : thread_([this] { Loop(); }) {}

CaptureHub::~CaptureHub() {
  Shutdown();
  thread_.join();
}

absl::Status CaptureHub::Add(uint64_t id,
                             std::shared_ptr<CaptureStream> stream) {
  std::lock_guard lock(mu_);
  if (stopping_) return ShuttingDown();
  if (streams_.size() >= kMaxStreams) {
    return MakeError(
        Reason::kCaptureLimit,
        absl::StrCat(kMaxStreams, " captures run, which is the limit"),
        {{"limit", absl::StrCat(kMaxStreams)}});
  }
  streams_.emplace(id, std::move(stream));
  changed_.notify_all();
  return absl::OkStatus();
}

void CaptureHub::Complete(uint64_t id) {
  std::shared_ptr<CaptureStream> stream;
  {
    std::lock_guard lock(mu_);
    const auto it = streams_.find(id);
    if (it != streams_.end()) stream = it->second;
  }
  if (stream != nullptr) stream->Complete();
}

void CaptureHub::Remove(uint64_t id) {
  std::shared_ptr<CaptureStream> last;  // ends outside the lock
  std::lock_guard lock(mu_);
  const auto it = streams_.find(id);
  if (it == streams_.end()) return;
  last = std::move(it->second);
  streams_.erase(it);
}

void CaptureHub::Shutdown() {
  std::vector<std::shared_ptr<CaptureStream>> all;
  {
    std::lock_guard lock(mu_);
    stopping_ = true;
    for (const auto& [id, stream] : streams_) all.push_back(stream);
    changed_.notify_all();
  }
  for (const auto& stream : all) stream->End(ShuttingDown());
}

void CaptureHub::Loop() {
  while (true) {
    std::vector<std::shared_ptr<CaptureStream>> all;
    {
      std::unique_lock lock(mu_);
      changed_.wait(lock, [&] { return stopping_ || !streams_.empty(); });
      if (stopping_) return;
      for (const auto& [id, stream] : streams_) all.push_back(stream);
    }
    for (const auto& stream : all) stream->Pump();
    all.clear();
    std::unique_lock lock(mu_);
    changed_.wait_for(lock, kRound, [&] { return stopping_; });
  }
}

}  // namespace tunnel::ctl
