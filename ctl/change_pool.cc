#include "ctl/change_pool.h"

#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"

namespace tunnel::ctl {
namespace {

absl::Status Full(absl::string_view why, size_t limit) {
  return MakeError(Reason::kConfigLockQueueFull,
                   absl::StrCat("configuration lock: ", why),
                   {{"limit", absl::StrCat(limit)}});
}

void JoinAll(std::vector<std::thread> threads) {
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

ChangePool::~ChangePool() {
  std::vector<std::thread> finished;
  {
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(
        +[](std::map<uint64_t, std::thread>* running) {
          return running->empty();
        },
        &running_));
    finished = std::move(finished_);
  }
  JoinAll(std::move(finished));
}

absl::Status ChangePool::Run(std::function<void()> job) {
  std::vector<std::thread> finished;
  absl::Status status;
  {
    absl::MutexLock lock(&mu_);
    finished = std::exchange(finished_, {});
    if (running_.size() >= max_threads_) {
      status = Full(absl::StrCat(max_threads_, " changes wait already"),
                    max_threads_);
    } else {
      const uint64_t id = next_id_++;
      try {
        running_.emplace(id, std::thread([this, id, job = std::move(job)]() {
                           job();
                           Finish(id);
                         }));
      } catch (const std::system_error&) {
        status = Full("the system has no thread to give", max_threads_);
      }
    }
  }
  JoinAll(std::move(finished));
  return status;
}

void ChangePool::Finish(uint64_t id) {
  absl::MutexLock lock(&mu_);
  auto node = running_.extract(id);
  finished_.push_back(std::move(node.mapped()));
}

}  // namespace tunnel::ctl
