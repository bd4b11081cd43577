// ChangePool: the threads on which changes wait and run.
//
// A change may wait long for the configuration lock, so it has a thread of its
// own: the threads of gRPC never wait. Any thread may call Run(). The thread
// count is bounded; what is above is refused, not queued, since the lock's own
// queue is the one place where changes wait.

#ifndef CTL_CHANGE_POOL_H_
#define CTL_CHANGE_POOL_H_

#include <cstddef>
#include <cstdint>
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
  explicit ChangePool(size_t max_threads) : max_threads_(max_threads) {}
  // Waits for all jobs.
  ~ChangePool();

  // Runs `job` on a thread of its own. CONFIG_LOCK_QUEUE_FULL, and `job` not
  // called, when max_threads run or the system has no thread to give.
  absl::Status Run(std::function<void()> job);

 private:
  void Finish(uint64_t id);

  const size_t max_threads_;
  absl::Mutex mu_;
  uint64_t next_id_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<uint64_t, std::thread> running_ ABSL_GUARDED_BY(mu_);
  // Done with their job; joined by the next Run() or the destructor.
  std::vector<std::thread> finished_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tunnel::ctl

#endif  // CTL_CHANGE_POOL_H_
