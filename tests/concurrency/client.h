// Client: one of those that change tunnels at once. It owns some slots, whose
// state it therefore knows exactly, and competes with the others for addresses
// and keys.

#ifndef TESTS_CONCURRENCY_CLIENT_H_
#define TESTS_CONCURRENCY_CLIENT_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/concurrency/commit_log.h"
#include "tests/concurrency/interrupts.h"
#include "tests/concurrency/lab.h"
#include "tests/concurrency/latency.h"
#include "tests/concurrency/ledger.h"

namespace tunnel {

class Client {
 public:
  struct World {
    TunnelManager& manager;
    Holders& holders;
    Failures& failures;
    Alarm& alarm;
    Ledger& ledger;
    CommitLog& log;
    Interrupts& interrupts;
    MemoryLinkControl& links;
  };

  Client(World world, std::vector<Slot*> slots, uint32_t seed);

  // Creates the keepers among the slots, each at the first place that is free.
  void CreateKeepers();
  // One change at random on one slot, and the check of its outcome.
  void Step();
  // Leaves the keepers alone, neither paused, detached nor down.
  void Finish();

  // Calls that have succeeded, have returned; any thread.
  uint64_t changes() const { return changes_.load(std::memory_order_relaxed); }
  uint64_t calls() const { return calls_.load(std::memory_order_relaxed); }
  // Tunnels that were moved to another identity.
  uint64_t moves() const { return moves_.load(std::memory_order_relaxed); }
  // How long after its cancel, deadline or timeout a call has returned.
  const Latencies& leave_times() const { return leave_times_; }
  // How long calls took that have changed something.
  const Latencies& change_times() const { return change_times_; }
  // Calls by verb and outcome ("move OK", "move ENDPOINT_PAIR_IN_USE").
  const std::map<std::string, int>& outcomes() const { return outcomes_; }

 private:
  // What the slot must look like.
  struct Model {
    bool exists = false;
    EndpointConfig config;
    Place place;
    bool paused = false, detached = false;
    uint64_t generation = 0;
    bool Audible() const { return Hearing() && !paused; }
    bool Hearing() const { return exists && !detached && config.admin_up; }
  };
  struct Call {
    CallContext context;
    ChangeOptions options;
    std::shared_ptr<Alarm::Rung> rung;  // of a cancel
    SteadyTime begun;
    size_t oldest = 0;           // CommitLog::Oldest() when it began
    std::vector<size_t> before;  // CommitLog::LastChange() of its tunnels
    std::vector<const Slot*> slots;
    size_t fail_at = 0;  // FaultScript
  };
  using Result = absl::StatusOr<ChangeResult>;

  // A call that may change `slots`, cut short in some way unless `patient`.
  Call MakeCall(std::vector<const Slot*> slots, bool patient);
  Place RandomPlace(const Slot& slot);

  bool Create(Slot& slot, Model& model, Place place, bool patient = false);
  void Move(Slot& slot, Model& model, Place place);
  void TryMove(Slot& slot, Model& model);
  void SetSame(Slot& slot, Model& model);
  void SetWithOldEtag(Slot& slot, Model& model);
  void Delete(Slot& slot, Model& model, bool patient = false);
  // A change of `model` into `next` by `act`, with no other configuration.
  void Verb(Slot& slot, Model& model, Model next, const char* verb,
            const std::function<Result(const Call&)>& act,
            bool patient = false);
  void TogglePause(Slot& slot, Model& model, bool patient = false);
  void ToggleDetach(Slot& slot, Model& model, bool patient = false);
  void ToggleUp(Slot& slot, Model& model, bool patient = false);

  // Both of the client's tunnels in one transaction: they change places; or the
  // second is deleted and the first takes its place.
  void Swap(bool take_over);

  // Counts the outcome; a failure unless the call may end like this. `changed`:
  // something was asked that was not there already.
  void Note(const char* verb, const Call& call, const absl::Status& status,
            bool changed);
  // The outcome fits the order of all commits.
  void CheckOrder(const char* verb, const Call& call, bool changed);
  // A refusal for the pair must name one that may hold it.
  void CheckPairInUse(const Slot& slot, Place wanted, const Call& call,
                      const absl::Status& status);
  // What the manager shows is what the model says.
  void Verify(const Slot& slot, const Model& model, const char* verb);
  // The kernel has what the config says.
  void VerifyLink(const Slot& slot, const TunnelView& view, const char* verb);
  // Whether peers are heard from now on.
  void SetHearing(Slot& slot, const Model& model);
  void Fail(const Slot& slot, const char* verb, const std::string& what);

  World world_;
  std::vector<Slot*> slots_;
  std::vector<Model> models_;
  std::mt19937 random_;
  const uint32_t seed_;
  uint64_t last_call_ = 0;
  std::atomic<uint64_t> changes_{0}, calls_{0}, moves_{0};
  Latencies leave_times_, change_times_;
  std::map<std::string, int> outcomes_;
};

}  // namespace tunnel

#endif  // TESTS_CONCURRENCY_CLIENT_H_
