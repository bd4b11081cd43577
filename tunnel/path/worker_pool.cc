#include "tunnel/path/worker_pool.h"

#include <utility>

#include "tunnel/base/fault.h"
#include "tunnel/base/status_macros.h"

namespace tunnel {

Establishment::Establishment(Endpoint& endpoint, size_t workers,
                             Spread spread) {
  const bool all = spread.workers == 0 || spread.workers >= workers;
  for (size_t i = 0; i < endpoint.device().queue_count(); ++i) {
    auto queue = std::make_unique<QueueContext>();
    queue->endpoint = &endpoint;
    queue->queue = &endpoint.device().queue(i);
    const size_t worker =
        (all ? i : spread.first + i % spread.workers) % workers;
    places_.push_back({worker, std::move(queue)});
  }
}

absl::StatusOr<std::unique_ptr<WorkerPool>> WorkerPool::Create(
    const EndpointTable& table, Qsbr& qsbr,
    std::vector<std::unique_ptr<Transport>> transports,
    const std::vector<int>& cpus, const Options& options) {
  std::unique_ptr<WorkerPool> pool(new WorkerPool());
  ASSIGN_OR_RETURN(pool->lanes_,
                   HandoffLanes::Create(transports.size(), options.dispatch,
                                        options.handoff_packets));
  for (size_t i = 0; i < transports.size(); ++i) {
    pool->workers_.push_back(std::make_unique<Worker>(
        i, cpus[i % cpus.size()], table, qsbr.reader(i), *pool->lanes_,
        std::move(transports[i]), options.busy_poll));
  }
  for (auto& worker : pool->workers_) RETURN_IF_ERROR(worker->Start());
  return pool;
}

void WorkerPool::Add(const ConfigSection&, Establishment& establishment) {
  Post(Worker::Verb::kAdd, establishment);
}

void WorkerPool::Remove(const ConfigSection&, Establishment& establishment) {
  // All workers at once, then one wait: their wake-ups overlap.
  Post(Worker::Verb::kRemove, establishment);
  if (FaultActive(Fault::kDisestablishWithoutWait)) return;
  for (Establishment::Place& place : establishment.places_)
    workers_[place.worker]->WaitDone();
}

void WorkerPool::Unpark(const ConfigSection&, Establishment& establishment) {
  Post(Worker::Verb::kUnpark, establishment);
}

void WorkerPool::Post(Worker::Verb verb, Establishment& establishment) {
  for (Establishment::Place& place : establishment.places_)
    workers_[place.worker]->Post(verb, place.queue.get());
}

std::vector<WorkerCounters> WorkerPool::Counters() const {
  const std::vector<HandoffCounters> handoffs = lanes_->Counters();
  std::vector<WorkerCounters> all;
  for (size_t i = 0; i < workers_.size(); ++i) {
    WorkerCounters counters;
    counters.worker = static_cast<int>(i);
    counters.cpu = workers_[i]->cpu();
    AddTo(workers_[i]->counters(), counters);
    counters.handoff = handoffs[i];
    counters.busy_seconds = workers_[i]->busy_seconds();
    all.push_back(counters);
  }
  return all;
}

std::vector<int> WorkerPool::receive_fds() const {
  std::vector<int> all;
  for (const auto& worker : workers_) {
    const auto fds = worker->receive_fds();
    all.insert(all.end(), fds.begin(), fds.end());
  }
  return all;
}

std::vector<int> WorkerPool::cpus() const {
  std::vector<int> all;
  for (const auto& worker : workers_) all.push_back(worker->cpu());
  return all;
}

DropCounts WorkerPool::UnmatchedDrops() const {
  DropCounts sum{};
  for (const auto& worker : workers_)
    AddTo(worker->counters().unmatched_drops, sum);
  return sum;
}

void WorkerPool::Stop() {
  for (auto& worker : workers_) worker->Stop();
  lanes_->Discard();
}

}  // namespace tunnel
