#include "ctl/change_pool.h"

#include <pthread.h>

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
    stopping_ = true;
    mu_.Await(absl::Condition(
        +[](std::map<uint64_t, std::thread>* threads) {
          return threads->empty();
        },
        &threads_));
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
    if (idle_ > 0) {
      --idle_;
      jobs_.push_back(std::move(job));
    } else if (threads_.size() >= max_threads_) {
      status = Full(absl::StrCat(max_threads_, " changes wait already"),
                    max_threads_);
    } else {
      const uint64_t id = next_id_++;
      try {
        threads_.emplace(
            id, std::thread([this, id, job = std::move(job)]() mutable {
              Work(id, std::move(job));
            }));
      } catch (const std::system_error&) {
        status = Full("the system has no thread to give", max_threads_);
      }
    }
  }
  JoinAll(std::move(finished));
  return status;
}

size_t ChangePool::threads() {
  absl::MutexLock lock(&mu_);
  return threads_.size();
}

void ChangePool::Work(uint64_t id, std::function<void()> job) {
  pthread_setname_np(pthread_self(), "change");
  while (job) {
    job();
    job = nullptr;  // what it holds goes now
    job = Next(id);
  }
}

std::function<void()> ChangePool::Next(uint64_t id) {
  absl::MutexLock lock(&mu_);
  if (idle_ < spare_) {
    ++idle_;
    mu_.Await(absl::Condition(this, &ChangePool::HasNews));
    if (!jobs_.empty()) {
      std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      return job;
    }
    --idle_;
  }
  auto node = threads_.extract(id);
  finished_.push_back(std::move(node.mapped()));
  return nullptr;
}

}  // namespace tunnel::ctl
