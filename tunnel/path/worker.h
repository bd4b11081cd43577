// Worker: one thread, pinned to one CPU, that carries packets to completion.
//
// It sleeps in epoll over its own device queues, its own underlay sockets and
// an eventfd for commands. Nothing on the packet walk is shared with another
// worker for writing.

#ifndef TUNNEL_PATH_WORKER_H_
#define TUNNEL_PATH_WORKER_H_

#include <sys/epoll.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/endpoint/endpoint_table.h"
#include "tunnel/path/error_input.h"
#include "tunnel/path/handoff.h"
#include "tunnel/path/input.h"
#include "tunnel/path/output.h"
#include "tunnel/path/queue_context.h"
#include "tunnel/path/waiting_queues.h"
#include "tunnel/stats/counters.h"
#include "tunnel/sync/mutex.h"
#include "tunnel/sync/qsbr.h"
#include "tunnel/underlay/transport.h"

namespace tunnel {

class Worker {
 public:
  // `table`, `reader` and `lanes` outlive the worker. `busy_poll`: how long it
  // asks again and again, instead of sleeping, once it has had something to do.
  Worker(size_t index, int cpu, const EndpointTable& table,
         Qsbr::Reader& reader, HandoffLanes& lanes,
         std::unique_ptr<Transport> transport,
         std::chrono::nanoseconds busy_poll);
  ~Worker();  // Stop()
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Makes the descriptors and starts the thread. Errors: FD_LIMIT.
  absl::Status Start();
  // Returns when the thread has ended. Commands still posted are carried out.
  void Stop();

  // Commands, for the control side. They are carried out in order by the
  // worker, between two batches; WaitDone() returns when all that were posted
  // have been.
  enum class Verb {
    kAdd,     // read from the queue from now on
    kRemove,  // afterwards the worker does not know the queue any more
    kUnpark,  // the output is no longer paused
  };
  void Post(Verb verb, QueueContext* queue);
  void WaitDone();

  int cpu() const { return cpu_; }
  const WorkerCountersOwned& counters() const { return counters_; }
  // CPU time of the thread, seconds; 0 when it does not run.
  double busy_seconds();
  std::vector<int> receive_fds() const { return transport_->receive_fds(); }

 private:
  struct Command {
    Verb verb;
    QueueContext* queue;
  };

  bool Watch(int fd, uint64_t tag) noexcept;
  void Loop();
  // Number of events that wait; sleeps until there is one, or packets of
  // another worker (then it may be 0). Less than 0: a signal.
  int Wait(std::span<epoll_event> events) noexcept;
  int Ask(std::span<epoll_event> events, bool at_once) noexcept;
  void RunCommands();
  void Execute(const Command& command);
  void ReadSocketDrops();
  void ServeSocket(size_t socket);
  // Asks those that are polled; one that has nothing is watched again.
  void PollSockets();
  void Arm(QueueContext& queue, bool readable);
  void Serve(QueueContext& queue);
  // Those that have waited long enough are read from again.
  void EndWaits();

  const size_t index_;
  const int cpu_;
  const std::chrono::nanoseconds busy_poll_;
  const std::unique_ptr<Transport> transport_;
  WorkerCountersOwned counters_;
  Output output_;
  Input input_;
  ErrorInput error_input_;
  // Events of these have the first tags; from `receive_fds_` on for errors.
  std::vector<int> sockets_;
  size_t receive_fds_ = 0;
  // Sockets, a bit each, that are asked in each round instead of being watched.
  uint64_t polled_ = 0;
  UniqueFd epoll_;
  UniqueFd wake_;
  WaitingQueues waiting_;  // for credit
  // Set by Stop(), read by the thread after it was woken through wake_.
  std::atomic<bool> stop_{false};

  Mutex mu_;  // leaf: "WorkerPool mailbox" in the lock order
  CondVar done_;
  std::vector<Command> mailbox_ ABSL_GUARDED_BY(mu_);
  uint64_t posted_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t executed_ ABSL_GUARDED_BY(mu_) = 0;
  bool running_ ABSL_GUARDED_BY(mu_) = false;

  std::thread thread_;
};

}  // namespace tunnel

#endif  // TUNNEL_PATH_WORKER_H_
