// WorkerPool: the workers, and which queue of a tunnel belongs to which of
// them.

#ifndef TUNNEL_PATH_WORKER_POOL_H_
#define TUNNEL_PATH_WORKER_POOL_H_

#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tunnel/endpoint/endpoint.h"
#include "tunnel/endpoint/endpoint_table.h"
#include "tunnel/path/dispatch.h"
#include "tunnel/path/handoff.h"
#include "tunnel/path/queue_context.h"
#include "tunnel/path/worker.h"
#include "tunnel/stats/stats_snapshot.h"
#include "tunnel/sync/qsbr.h"
#include "tunnel/underlay/transport.h"

namespace tunnel {

class ConfigSection;  // the proof that the caller may change anything

// The queues of one tunnel and their workers, for one establishment.
class Establishment {
 public:
  // Over how many workers the queues are spread; 0, or more than there are: all
  // of them, queue i with worker i. Else `first` chooses which.
  struct Spread {
    size_t workers = 0;
    size_t first = 0;
  };
  Establishment(Endpoint& endpoint, size_t workers, Spread spread);

 private:
  friend class WorkerPool;
  struct Place {
    size_t worker;
    std::unique_ptr<QueueContext> queue;
  };
  std::vector<Place> places_;
};

class WorkerPool {
 public:
  // One worker for each transport; worker i is pinned to cpus[i % cpus.size()].
  // `table` and `qsbr` (with as many readers) outlive the pool.
  struct Options {
    std::chrono::nanoseconds busy_poll{0};  // of each Worker
    Dispatch dispatch = Dispatch::kHybrid;
    size_t handoff_packets = 0;  // of each lane; 0: as many as seem right
  };
  static absl::StatusOr<std::unique_ptr<WorkerPool>> Create(
      const EndpointTable& table, Qsbr& qsbr,
      std::vector<std::unique_ptr<Transport>> transports,
      const std::vector<int>& cpus, const Options& options);

  size_t size() const { return workers_.size(); }

  // Hands the queues to their workers ("establish"). They take them up by
  // themselves, in the order in which they are told: this waits for none.
  void Add(const ConfigSection&, Establishment& establishment);
  // Takes them back ("disestablish"): on return no worker touches them.
  void Remove(const ConfigSection&, Establishment& establishment);
  // The output is published again: workers that stopped to read go on. It waits
  // for none either.
  void Unpark(const ConfigSection&, Establishment& establishment);

  // After a grace period: returns when every packet that workers have handed
  // to each other before it has been written.
  void WaitHandedOver(const ConfigSection&) const {
    lanes_->WaitDelivered();
    lanes_->Reclaim();
  }
  // How many packets each lane between two workers holds; as HandoffLanes.
  absl::Status ResizeHandoff(const ConfigSection&, size_t packets) {
    return lanes_->Resize(packets);
  }
  size_t handoff_packets() const { return lanes_->slots(); }

  // Readable while packets wait that no worker has received. Of the pool.
  std::vector<int> receive_fds() const;
  // On which they run, one for each worker.
  std::vector<int> cpus() const;

  // Any thread.
  std::vector<WorkerCounters> Counters() const;
  DropCounts UnmatchedDrops() const;

  void Stop();

 private:
  WorkerPool() = default;
  void Post(Worker::Verb verb, Establishment& establishment);
  std::unique_ptr<HandoffLanes> lanes_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace tunnel

#endif  // TUNNEL_PATH_WORKER_POOL_H_
