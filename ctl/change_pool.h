// ChangePool: the threads on which changes wait and run.
//
// A change may wait long for the configuration lock, so it has a thread to
// itself: the threads of gRPC never wait. Any thread may call Run(). A thread
// that is done stays for the next change, if few others do. The thread count is
// bounded; what is above is refused, not queued, since the lock's own queue is
// the one place where changes wait.

#ifndef CTL_CHANGE_POOL_H_
#define CTL_CHANGE_POOL_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace tunnel::ctl {

class ChangePool {
 public:
  // `spare`: how many threads without a job stay.
  explicit ChangePool(size_t max_threads, size_t spare = 4)
      : max_threads_(max_threads), spare_(spare) {}
  // Waits for all jobs.
  ~ChangePool();

  // Runs `job` on a thread that has no other meanwhile. CONFIG_LOCK_QUEUE_FULL,
  // and `job` not called, when max_threads are at work or the system has no
  // thread to give.
  absl::Status Run(std::function<void()> job);

  // Those that there are, with a job or without.
  size_t threads();

 private:
  void Work(uint64_t id, std::function<void()> job);
  // The next job; none, and the thread must end, when enough others wait for
  // one, or at the end.
  std::function<void()> Next(uint64_t id);
  bool HasNews() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return stopping_ || !jobs_.empty();
  }

  const size_t max_threads_;
  const size_t spare_;
  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t next_id_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<uint64_t, std::thread> threads_ ABSL_GUARDED_BY(mu_);
  // Threads that wait in Next(): so many, and one for each of jobs_.
  size_t idle_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<std::function<void()>> jobs_ ABSL_GUARDED_BY(mu_);
  // At their end; joined by the next Run() or the destructor.
  std::vector<std::thread> finished_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tunnel::ctl

#endif  // CTL_CHANGE_POOL_H_
