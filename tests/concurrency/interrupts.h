// Interrupts: an interrupt that was answered with OK ends its call.

#ifndef TESTS_CONCURRENCY_INTERRUPTS_H_
#define TESTS_CONCURRENCY_INTERRUPTS_H_

#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "tests/concurrency/ledger.h"
#include "tunnel/sync/mutex.h"

namespace tunnel {

class Interrupts {
 public:
  // The end of the operation of a call that nobody is to interrupt.
  static constexpr char kSpared[] = " (not to be interrupted)";
  static bool Spared(const std::string& operation) {
    return operation.ends_with(kSpared);
  }

  explicit Interrupts(Failures& failures) : failures_(failures) {}
  // The interrupt of this call was granted; the call has changed something. In
  // any order: both for one call is a failure.
  void Accepted(const std::string& operation) {
    const MutexLock lock(mu_);
    accepted_.insert(operation);
    Check(operation);
  }
  void Completed(const std::string& operation) {
    const MutexLock lock(mu_);
    completed_.insert(operation);
    Check(operation);
  }

 private:
  void Check(const std::string& operation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (accepted_.count(operation) != 0 && completed_.count(operation) != 0)
      failures_.Add(operation + " has gone on after its interrupt was granted");
  }
  Failures& failures_;
  Mutex mu_;
  std::set<std::string> accepted_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> completed_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tunnel

#endif  // TESTS_CONCURRENCY_INTERRUPTS_H_
