// Observer: a reader and an operator. It lists tunnels, looks at the lock and
// interrupts whoever holds it or waits, and holds each sight against the order
// of all commits.

#ifndef TESTS_CONCURRENCY_OBSERVER_H_
#define TESTS_CONCURRENCY_OBSERVER_H_

#include <atomic>
#include <cstdint>
#include <random>

#include "tests/concurrency/commit_log.h"
#include "tests/concurrency/interrupts.h"
#include "tests/concurrency/ledger.h"
#include "tunnel/tunnel_manager.h"

namespace tunnel {

class Observer {
 public:
  Observer(TunnelManager& manager, const Ledger& ledger, const CommitLog& log,
           Interrupts& interrupts, Failures& failures, uint32_t seed)
      : manager_(manager),
        ledger_(ledger),
        log_(log),
        interrupts_(interrupts),
        failures_(failures),
        random_(seed) {}

  void Run(const std::atomic<bool>& stop);
  uint64_t lists() const { return lists_.load(std::memory_order_relaxed); }

 private:
  void LookAtTunnels();
  void LookAtLock();
  void CheckList(const TunnelList& list);
  void Interrupt(const LockParty& party);

  TunnelManager& manager_;
  const Ledger& ledger_;
  const CommitLog& log_;
  Interrupts& interrupts_;
  Failures& failures_;
  std::mt19937 random_;
  uint64_t revision_ = 0;
  std::atomic<uint64_t> lists_{0};
};

}  // namespace tunnel

#endif  // TESTS_CONCURRENCY_OBSERVER_H_
