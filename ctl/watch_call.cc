#include "ctl/watch_call.h"

#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ctl/convert_reply.h"
#include "ctl/faults.h"
#include "ctl/status_map.h"
#include "tunnel/base/error.h"

namespace tunnel::ctl {
namespace {

using Clock = std::chrono::steady_clock;
using Response = v1::WatchTunnelsResponse;

constexpr size_t kBatch = 16;  // events taken from the manager at once

// Keeps itself alive until gRPC is done with it; the hub may hold it longer,
// and then finds it finished.
//
// mu_ guards the state; gRPC is called without it. Whoever sets writing_ or
// finished_ makes the one call to gRPC that goes with it.
class WatchCall final : public grpc::ServerWriteReactor<Response>,
                        public WatchStream,
                        public std::enable_shared_from_this<WatchCall> {
 public:
  explicit WatchCall(const ServiceContext& context)
      : manager_(context.manager), hub_(context.watches) {}

  void Start(const v1::WatchTunnelsRequest& request) {
    self_ = shared_from_this();
    const absl::Status status = Subscribe(request);
    if (status.ok()) {
      hub_.Wake(*id_);
    } else {
      End(status);
    }
  }

  // ---- from the hub ----

  void Pump() override {
    {
      std::lock_guard lock(mu_);
      look_ = true;
    }
    Advance(false);
  }

  void Heartbeat(Clock::time_point before) override {
    {
      std::lock_guard lock(mu_);
      if (last_sent_ > before) return;
    }
    Advance(true);
  }

  void End(const absl::Status& status) override {
    {
      std::lock_guard lock(mu_);
      if (!end_) end_ = ToGrpcStatus(status);
    }
    Advance(false);
  }

  // ---- from gRPC ----

  void OnWriteDone(bool ok) override {
    {
      std::lock_guard lock(mu_);
      writing_ = false;
    }
    if (ok) {
      Advance(false);
    } else {
      OnCancel();
    }
  }

  void OnCancel() override {
    End(MakeError(Reason::kCancelled, "watch: the client has gone"));
  }

  void OnDone() override {
    if (id_) hub_.Remove(*id_);
    std::unique_ptr<TunnelManager::Watcher> watcher;  // ends outside the lock
    {
      std::lock_guard lock(mu_);
      watcher = std::move(watcher_);
    }
    watcher.reset();
    const std::shared_ptr<WatchCall> last = std::move(self_);
  }

 private:
  absl::Status Subscribe(const v1::WatchTunnelsRequest& request) {
    if (request.since_revision() != 0 && request.epoch().empty()) {
      Faults faults;
      faults.AddInvalid("epoch", "missing; since_revision counts in an epoch");
      return faults.ToStatus();
    }
    absl::StatusOr<uint64_t> id = hub_.Add(shared_from_this());
    if (!id.ok()) return id.status();
    id_ = *id;
    const std::vector<std::string> names(request.names().begin(),
                                         request.names().end());
    // The hub is woken by one watcher for all.
    auto watcher = manager_.Watch(names, request.epoch(),
                                  request.since_revision(), nullptr);
    if (!watcher.ok()) return watcher.status();
    std::lock_guard lock(mu_);
    watcher_ = *std::move(watcher);
    return absl::OkStatus();
  }

  // Starts the next operation, if none is under way and there is one to start:
  // the end, else the next event, else a heartbeat if it is due. New events are
  // taken only when the hub has said so, or as long as there are many.
  void Advance(bool heartbeat_due) {
    std::unique_lock lock(mu_);
    if (writing_ || finished_) return;
    if (!end_ && queue_.empty() && look_) Refill();
    if (end_) {
      finished_ = true;
      lock.unlock();
      Finish(*end_);  // written once, before finished_
      return;
    }
    if (!queue_.empty()) {
      current_ = std::move(queue_.front());
      queue_.pop_front();
    } else if (heartbeat_due) {
      current_.mutable_heartbeat();  // epoch and revision as sent last
    } else {
      return;
    }
    writing_ = true;
    last_sent_ = Clock::now();
    lock.unlock();
    StartWrite(&current_);
  }

  // With mu_ held and the queue empty. What came before kExpired is left out
  // too: the client has to read everything again.
  void Refill() {
    if (watcher_ == nullptr) return;
    const std::vector<WatchEvent> events = watcher_->Next(kBatch);
    look_ = events.size() == kBatch;
    for (const WatchEvent& event : events) {
      if (event.kind == WatchEvent::Kind::kExpired) {
        end_ = ToGrpcStatus(MakeError(
            Reason::kRevisionExpired,
            "watch: the reader was too slow, and what it has not seen is no "
            "longer known; watch again without a revision"));
        return;
      }
      queue_.push_back(EventToProto(event));
    }
  }

  TunnelManager& manager_;
  WatchHub& hub_;
  std::shared_ptr<WatchCall> self_;
  std::optional<uint64_t> id_;  // in the hub; set before the first callback

  std::mutex mu_;
  std::unique_ptr<TunnelManager::Watcher> watcher_;
  std::deque<Response> queue_;
  Response current_;   // untouched while writing_
  bool look_ = false;  // the manager may have events
  bool writing_ = false;
  bool finished_ = false;
  std::optional<grpc::Status> end_;
  Clock::time_point last_sent_ = Clock::now();
};

}  // namespace

grpc::ServerWriteReactor<Response>* StartWatch(
    const ServiceContext& context, const v1::WatchTunnelsRequest& request) {
  auto call = std::make_shared<WatchCall>(context);
  call->Start(request);
  return call.get();
}

}  // namespace tunnel::ctl
