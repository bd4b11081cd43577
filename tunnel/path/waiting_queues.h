// WaitingQueues: the queues of one worker whose tunnels have no credit, and the
// timer that wakes it for them.
//
// Of the worker's thread alone. Without a waiting queue the timer is off.

#ifndef TUNNEL_PATH_WAITING_QUEUES_H_
#define TUNNEL_PATH_WAITING_QUEUES_H_

#include <cstdint>
#include <vector>

#include "tunnel/base/unique_fd.h"
#include "tunnel/path/queue_context.h"

namespace tunnel {

class WaitingQueues {
 public:
  // Makes the timer; false when there is no descriptor left.
  bool Open();
  // Becomes readable when a queue is due.
  int fd() const { return timer_.get(); }

  // `queue` is not waiting yet. Times are of the steady clock, in ns.
  void Add(QueueContext& queue, uint64_t until_ns);
  // A queue that does not wait is ignored.
  void Remove(const QueueContext& queue);
  // The one that has waited longest of those that are due, which no longer
  // waits; nullptr when there is none, and the timer is set for the next. So
  // the queues of one tunnel take turns.
  QueueContext* TakeDue(uint64_t now_ns);

 private:
  struct Wait {
    QueueContext* queue;
    uint64_t until_ns;
  };
  void SetTimer();

  UniqueFd timer_;
  std::vector<Wait> waits_;  // in the order of Add()
};

}  // namespace tunnel

#endif  // TUNNEL_PATH_WAITING_QUEUES_H_
