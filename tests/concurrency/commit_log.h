// CommitLog: the store of the torture test, and the order of all changes.
//
// Every change commits here while it holds the configuration lock, so the order
// of the commits is one order of all changes. Against that order the test holds
// what clients and readers saw: a result is linearizable when it fits a moment
// between its call and its return.

#ifndef TESTS_CONCURRENCY_COMMIT_LOG_H_
#define TESTS_CONCURRENCY_COMMIT_LOG_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "tests/concurrency/ledger.h"
#include "tunnel/config_store.h"
#include "tunnel/sync/mutex.h"
#include "tunnel/tunnel_types.h"

namespace tunnel {

class CommitLog : public ConfigStore {
 public:
  // Notes in `ledger` which stamp is stored.
  CommitLog(Ledger& ledger, Failures& failures)
      : ledger_(ledger), failures_(failures) {}

  // ---- ConfigStore. A script (FaultScript) may make it fail; past it no call
  // of the change fails any more, since the change can not. ----
  absl::Status Commit(const StoreCommit& commit) override;
  void DeviceRemoved(const StoredDevice&) override {}

  // The state after the first `n` commits is state n.
  // States that a call which begins now can not be older than.
  size_t Oldest() const { return returned_.load(); }
  // The number of commits so far: the newest state there is.
  size_t Newest() const;

  // The last commit that has changed `name` (its number: the state it made).
  size_t LastChange(const std::string& name) const;
  // A change that made state `n` has returned.
  void Returned(size_t n);

  // True when `list` is one of the states `oldest` to `newest`.
  bool Was(const TunnelList& list, size_t oldest, size_t newest) const;
  // True when `name` held one of `ids` in one of those states.
  bool Held(const std::string& name, const std::vector<std::string>& ids,
            size_t oldest, size_t newest) const;

 private:
  void Put(const StoredTunnel& tunnel) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Remove(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CheckUnique() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  struct Known {
    std::vector<std::string> ids;
    uint64_t generation = 0;
    size_t hash = 0;
  };
  using Span = std::pair<size_t, size_t>;  // first and last state

  Ledger& ledger_;
  Failures& failures_;
  std::atomic<size_t> returned_{0};
  mutable Mutex mu_;
  std::map<std::string, Known> now_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, size_t> last_change_ ABSL_GUARDED_BY(mu_);
  // hashes_[n]: of state n.
  std::vector<size_t> hashes_ ABSL_GUARDED_BY(mu_) = {0};
  // By name and identity: when it was held.
  std::map<std::pair<std::string, std::string>, std::vector<Span>> held_
      ABSL_GUARDED_BY(mu_);
};

}  // namespace tunnel

#endif  // TESTS_CONCURRENCY_COMMIT_LOG_H_
