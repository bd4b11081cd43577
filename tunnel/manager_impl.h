// ManagerImpl: the inside of TunnelManager. Nobody else includes this.
//
// In manager_impl.cc (start, end, views), manager_changes.cc, manager_verbs.cc,
// manager_apply.cc and those that are named below.

#ifndef TUNNEL_MANAGER_IMPL_H_
#define TUNNEL_MANAGER_IMPL_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tunnel/capture_registry.h"
#include "tunnel/endpoint/endpoint_table.h"
#include "tunnel/events.h"
#include "tunnel/path/worker_pool.h"
#include "tunnel/path_registry.h"
#include "tunnel/request_log.h"
#include "tunnel/rewire/link_changes.h"
#include "tunnel/rewire/rewire.h"
#include "tunnel/rewire/tunnel_record.h"
#include "tunnel/sync/config_lock.h"
#include "tunnel/sync/mutex.h"
#include "tunnel/sync/qsbr.h"
#include "tunnel/transaction.h"
#include "tunnel/tunnel_manager.h"
#include "tunnel/underlay_changes.h"

namespace tunnel {

class ManagerImpl {
 public:
  ManagerImpl(const TunnelManager::Options& options, Platform& platform,
              size_t workers);
  ~ManagerImpl();
  absl::Status Start();
  absl::StatusOr<ChangeResult> Create(const CallContext& call,
                                      const EndpointConfig& config,
                                      const ChangeOptions& options);
  absl::StatusOr<ChangeResult> Update(const CallContext& call,
                                      absl::string_view name,
                                      const TunnelManager::Edit& edit,
                                      const ChangeOptions& options);
  absl::StatusOr<ChangeResult> Delete(const CallContext& call,
                                      absl::string_view name,
                                      const ChangeOptions& options);
  absl::StatusOr<ChangeResult> Pause(
      const CallContext& call, absl::string_view name,
      const ChangeOptions& options,
      std::optional<std::chrono::milliseconds> max);
  absl::StatusOr<ChangeResult> Resume(const CallContext& call,
                                      absl::string_view name,
                                      const ChangeOptions& options);
  absl::StatusOr<ChangeResult> Detach(const CallContext& call,
                                      absl::string_view name,
                                      const ChangeOptions& options);
  absl::StatusOr<ChangeResult> Attach(const CallContext& call,
                                      absl::string_view name,
                                      const ChangeOptions& options);
  absl::StatusOr<std::unique_ptr<TunnelManager::Capture>> StartCapture(
      const CallContext& call, absl::string_view name,
      const CaptureOptions& options);
  absl::StatusOr<TunnelManager::HandoffResize> ResizeHandoff(
      const CallContext& call, size_t packets);
  absl::StatusOr<ApplyResult> Apply(const CallContext& call,
                                    const TunnelManager::EditAll& edit,
                                    const ApplyOptions& options);
  absl::StatusOr<ApplyResult> Confirm(const CallContext& call,
                                      absl::string_view id);
  absl::StatusOr<ApplyResult> Revert(const CallContext& call,
                                     absl::string_view id,
                                     const ChangeOptions& options);
  absl::StatusOr<TunnelManager::RestoreReport> Restore(
      const StoredState& state);
  std::optional<PendingApply> Pending() const ABSL_LOCKS_EXCLUDED(pending_mu_);
  absl::StatusOr<StatsSnapshot> Stats(
      const std::vector<std::string>& names) const;
  absl::Status NotFound(absl::string_view name) const;
  EventBus& bus() { return bus_; }
  const EventBus& bus() const { return bus_; }
  ConfigLock& lock() { return lock_; }

 private:
  absl::StatusOr<ConfigSection> Enter(const CallContext& call,
                                      const ChangeOptions& options);
  Datapath path() { return {table_, *pool_, qsbr_, fast_}; }

  // The record, after NOT_FOUND and etag checks.
  absl::StatusOr<TunnelRecord*> Lookup(const ConfigSection&,
                                       absl::string_view name,
                                       const ChangeOptions& options);
  // INVALID_STATE when the device of the tunnel has gone.
  static absl::Status CheckNotFailed(const TunnelRecord& tunnel);
  static TunnelView View(const TunnelRecord& tunnel);
  // Of a tunnel whose device is there.
  static void SetOperState(const Wiring& wiring, TunnelView& view);
  // As View() will be once a part is done.
  static TunnelView ViewAfter(const TransactionPart& part);
  // What the store keeps of a tunnel.
  static StoredTunnel Stored(const TunnelRecord& tunnel);
  std::string ConfigEtag(const ConfigSection&) const;
  // Of a tunnel that is only planned: spec, MTU and overhead.
  static TunnelView PlannedView(const Wiring& wiring);
  // Lock, repetition and confirmation, as they concern every change. `replay`
  // gets the first outcome of a repetition.
  absl::StatusOr<ConfigSection> EnterToChange(
      const CallContext& call, const ChangeOptions& options,
      std::optional<ApplyResult>& replay);
  void Remember(const ConfigSection&, const ChangeOptions& options,
                const ApplyResult& result);
  // Counts a committed change and tells readers and watchers.
  void Commit(const ConfigSection&, TunnelRecord& tunnel);
  // Tells them of a change of state that no operator asked for.
  void Announce(const ConfigSection&, const TunnelRecord& tunnel);

  // ---- what a change would be (manager_plan.cc) ----
  absl::StatusOr<uint32_t> ResolveDevice(const EndpointConfig& config);
  // The outer source as it is now; no address when the interface has none.
  encap::IpAddress ResolveLocal(const EndpointConfig& config);
  // What routes and addresses say for this config; `own_ifindex` is the
  // tunnel's interface (0: not made yet).
  UnderlayState EvaluateUnderlay(const Wiring& wiring, uint32_t own_ifindex);
  absl::StatusOr<Wiring> Plan(const EndpointConfig& config,
                              uint32_t own_ifindex);
  // The same where the underlay device is known; 0 with one configured: it is
  // waited for, and the tunnel has no identity meanwhile.
  Wiring PlanOn(const EndpointConfig& config, uint32_t underlay_ifindex,
                uint32_t own_ifindex);
  Wiring PlanAtStart(const EndpointConfig& config, uint32_t own_ifindex);
  // That only fields change which can be changed in place.
  static absl::Status CheckFixedFields(const EndpointConfig& from,
                                       const EndpointConfig& to);
  absl::Status PlanCreate(const ConfigSection& section,
                          const EndpointConfig& config, Transaction& tx);
  absl::Status PlanUpdate(const ConfigSection& section, TunnelRecord& tunnel,
                          const EndpointConfig& config, Transaction& tx);
  // Deletions, creations and updates that lead to `desired`.
  absl::Status PlanAll(const ConfigSection& section,
                       const TunnelManager::Configs& desired, Transaction& tx);
  absl::Status CheckConfigEtag(const ConfigSection& section,
                               const std::string& wanted) const;
  void PlanDelete(const ConfigSection& section, TunnelRecord& tunnel,
                  Transaction& tx);
  // That names are free, limits kept and endpoint keys unique once all parts
  // are done.
  absl::Status CheckEndState(const ConfigSection& section,
                             const Transaction& tx) const;
  absl::Status CheckNames(const Transaction& tx) const;
  absl::Status CheckKeys(const ConfigSection& section,
                         const Transaction& tx) const;

  // ---- the walk of every change (manager_transaction.cc) ----
  using Planner =
      std::function<absl::Status(const ConfigSection&, Transaction&)>;
  // Takes the lock, lets `plan` fill the transaction, and carries it out.
  absl::StatusOr<ApplyResult> Run(const CallContext& call,
                                  const ChangeOptions& options,
                                  const Planner& plan);
  // The same for one tunnel.
  absl::StatusOr<ChangeResult> RunOne(const CallContext& call,
                                      const ChangeOptions& options,
                                      const Planner& plan);
  // From the plan to the result, under a lock that is held.
  absl::StatusOr<ApplyResult> Carry(const ConfigSection& section,
                                    const ChangeOptions& options,
                                    Transaction& tx);
  // Prepares, commits and executes.
  absl::Status Do(const ConfigSection& section, const ChangeOptions& options,
                  Transaction& tx);
  static void TakeResults(const ChangeOptions& options, Transaction& tx,
                          ApplyResult& result);
  absl::Status PreparePart(const ConfigSection& section, TransactionPart& part);
  absl::Status PrepareCreate(const ConfigSection& section,
                             TransactionPart& part);
  absl::Status PrepareUpdate(const ConfigSection& section,
                             TransactionPart& part);
  // Packets that the kernel has dropped in front of the device queues.
  uint64_t KernelDropsSince(const TransactionPart& part);
  // Gives a tunnel in UDP its port: that of `from` where it is the same one, so
  // that none is free in between. Errors: UDP_PORT_IN_USE, UDP_PORT_LIMIT,
  // FD_LIMIT.
  absl::Status TakeUdpPort(const Wiring* from, Wiring& to);
  absl::Status PrepareLink(const ConfigSection& section, LinkChanges& link,
                           const Wiring* from, const Wiring& to);
  // Takes the keys, crosses the commit line and makes the change durable. On an
  // error the table and the store are as they were.
  absl::Status ReserveAndCommit(const ConfigSection& section,
                                const ChangeOptions& options, Transaction& tx);
  absl::Status Reserve(const ConfigSection& section, const Transaction& tx,
                       std::vector<EndpointKey>& reserved);
  absl::Status Store(const ChangeOptions& options, Transaction& tx);
  // Seeded faults (tunnel/base/fault.h); not there in other builds.
  absl::Status CheckTooEarly(const CallContext& call,
                             const ChangeOptions& options, const Planner& plan);
  absl::Status StoreOneByOne(StoreCommit& commit);
  // Past the commit line; cannot fail.
  void Execute(const ConfigSection& section, Transaction& tx);
  void RewireParts(const ConfigSection& section, Transaction& tx);
  // Readers get `updates` at once when all parts are finished.
  void Finish(const ConfigSection&, TransactionPart& part,
              std::vector<EventBus::Update>& updates);
  void Drop(const ConfigSection&, TransactionPart& part,
            std::vector<EventBus::Update>& updates);
  TunFactory::Request TunRequest(const EndpointConfig& config) const;
  static void LogIfError(const absl::Status& status, const std::string& tunnel,
                         const char* what);

  // ---- confirmation (manager_confirm.cc) ----
  // `within`: goes back by itself after this long.
  void SetPending(const ConfigSection&, std::optional<StoredPending> pending,
                  const std::optional<std::chrono::milliseconds>& within)
      ABSL_LOCKS_EXCLUDED(pending_mu_, reconcile_mu_);
  absl::Status CheckNothingPending(const ConfigSection&) const
      ABSL_LOCKS_EXCLUDED(pending_mu_);
  absl::Status CheckPending(absl::string_view id) const
      ABSL_LOCKS_EXCLUDED(pending_mu_);
  absl::StatusOr<ApplyResult> RevertUnder(const ConfigSection& section,
                                          const ChangeOptions& options);
  // A no_op when what awaited confirmation is confirmed, or has time left.
  absl::StatusOr<ApplyResult> RevertIfDue(const CallContext& call);
  absl::Status PlanRevert(const ConfigSection& section, Transaction& tx);
  void RevertExpired() ABSL_LOCKS_EXCLUDED(pending_mu_, reconcile_mu_);

  // ---- what a store held (manager_restore.cc) ----
  void SweepRemoved(const std::vector<StoredDevice>& removed);
  void RestoreAll(const ConfigSection& section,
                  const std::vector<StoredTunnel>& tunnels, Transaction& tx,
                  TunnelManager::RestoreReport& report);
  absl::Status TakeOver(const ConfigSection& section,
                        const StoredTunnel& stored,
                        std::unique_ptr<TunDevice> device,
                        TransactionPart& part);
  absl::Status RestoreOne(const ConfigSection& section,
                          const StoredTunnel& stored, Transaction& tx,
                          bool& adopted);
  absl::Status AlignLink(const ConfigSection& section, LinkChanges& link,
                         uint32_t ifindex, const Wiring& wiring);
  absl::Status ReserveRestored(const ConfigSection& section,
                               TransactionPart& part);
  void EstablishRestored(const ConfigSection& section, Transaction& tx);
  void KeepFailed(const ConfigSection& section, const StoredTunnel& stored,
                  const absl::Status& why);

  // ---- the one-step verbs ----
  // Runs `step` on the tunnel past the commit line, unless `done` says that
  // there is nothing to do. `mark` notes the new state; it is called for what
  // is stored, and then for the tunnel.
  struct OneStep {
    std::function<bool(const TunnelRecord&)> done;
    std::function<void(bool& paused, bool& detached)> mark;
    std::function<void(const ConfigSection&, TunnelRecord&, ChangeTiming&)>
        step;
    // A pause that ends by itself is over when the daemon starts again.
    bool durable = true;
  };
  absl::Status StoreVerb(const ChangeOptions& options,
                         const TunnelRecord& tunnel, const OneStep& verb,
                         ChangeResult result);
  static ApplyResult Of(const ChangeResult& change);
  absl::StatusOr<ChangeResult> Verb(const CallContext& call,
                                    absl::string_view name,
                                    const ChangeOptions& options,
                                    const OneStep& verb);

  // ---- the underlay and timers (manager_reconcile.cc) ----
  void OnLinkEvent(const LinkEvent& event) ABSL_LOCKS_EXCLUDED(reconcile_mu_);
  void ReconcileLoop() ABSL_LOCKS_EXCLUDED(reconcile_mu_);
  // Has the tunnel looked at soon.
  void LookAgain(const std::string& name) ABSL_LOCKS_EXCLUDED(reconcile_mu_);
  // Endpoint pairs were given back: those that wait for one look again.
  void WakeWaiting(const ConfigSection&) ABSL_LOCKS_EXCLUDED(reconcile_mu_);
  std::optional<ConfigSection> EnterAsMonitor(const std::string& operation);
  void Reconcile(UnderlayChanges& changes);
  // False when the endpoint keys are not what they should be: Move() it.
  bool ReconcileOne(const ConfigSection& section, TunnelRecord& tunnel);
  Wiring PlanAgain(const ConfigSection& section, const TunnelRecord& tunnel);
  // The pair that the local device came to is held by tunnel `holder`.
  static void GiveWay(Wiring& wiring, const std::string& holder);
  void FollowMtu(const TunnelRecord& tunnel, Wiring& next);
  void Turn(const ConfigSection& section, TunnelRecord& tunnel, Wiring& next,
            RewirePlan plan);
  void Move(const std::string& name);
  // Asks the kernel for the tunnel's interface.
  bool IsGone(const TunnelRecord& tunnel);
  void FailTunnel(const ConfigSection& section, TunnelRecord& tunnel);
  void FailRemoved(const std::set<uint32_t>& removed);
  void ResumeExpired() ABSL_LOCKS_EXCLUDED(reconcile_mu_);
  // The loop calls RunTimers() at `when`, or before.
  void NoteTimer(std::chrono::steady_clock::time_point when)
      ABSL_LOCKS_EXCLUDED(reconcile_mu_);
  void RunTimers() ABSL_LOCKS_EXCLUDED(reconcile_mu_);

  // ---- captures (manager_capture.cc) ----
  class CaptureHandle;
  // What is replaced is no longer used when it returns.
  void PublishTaps(const ConfigSection& section, TunnelRecord& tunnel,
                   std::vector<std::shared_ptr<CaptureTap>> taps);
  // Takes out those whose reader has gone.
  void SweepTaps() ABSL_LOCKS_EXCLUDED(reconcile_mu_);

  // ---- make before break (manager_overlap.cc) ----
  // Error: FIELD_INVALID.
  static absl::Status CheckOverlap(const ChangeOptions& options);
  // Notes in a planned update that the old identity is to stay for a while, if
  // that makes a difference.
  void PlanOverlap(const ChangeOptions& options, TransactionPart& part);
  // Past the commit line; none of them can fail. Start: both identities are
  // received, output stays. Turn: output goes with the new one. End: turned,
  // and the old one is free.
  void StartOverlap(const ConfigSection& section, TransactionPart& part);
  void TurnOutput(const ConfigSection& section, TunnelRecord& tunnel);
  void EndOverlap(const ConfigSection& section, TunnelRecord& tunnel);
  void FinishOverlaps() ABSL_LOCKS_EXCLUDED(reconcile_mu_);
  // Of a tunnel with an overlap: held for the old identity alone.
  static std::vector<EndpointKey> OldKeys(const TunnelRecord& tunnel);
  // What to add to the message that `key` is held: until when.
  std::string OverlapNote(const EndpointKey& key,
                          const std::string& holder) const;

  // ---- the kernel's fast path (manager_fast.cc) ----
  // Empty when the wiring may take it; else why not, in one clause.
  std::string WhyUserPathNow(const Wiring& wiring);
  // Fills wiring.fast, whose other fields are complete. Errors, when the tunnel
  // insists on the fast path and the kernel has none for it:
  // MISSING_CAPABILITY, KERNEL_FEATURE_MISSING, TUNNEL_LIMIT.
  absl::Status PrepareFast(const ConfigSection& section, Endpoint& endpoint,
                           Wiring& wiring);
  absl::Status EnterFast(Endpoint& endpoint, Wiring& wiring);
  void PrepareFastIfPossible(const ConfigSection& section, Endpoint& endpoint,
                             Wiring& wiring);
  void DeferFast(Wiring& wiring);  // at start, to LookAtFastPaths()
  // True when the record, or why there is none, has followed the underlay: then
  // TurnRefreshed() and Announce().
  bool RefreshFast(const ConfigSection& section, TunnelRecord& tunnel);
  bool RefreshFastOf(const ConfigSection& section, TunnelRecord& tunnel,
                     Wiring& wiring, const std::vector<EndpointKey>& keys,
                     bool sends);
  void TurnRefreshed(const ConfigSection& section,
                     const std::vector<TunnelRecord*>& tunnels);
  // From now on the loop calls LookAtFastPaths() now and then: what no event
  // tells: path MTUs that were learned or forgotten, IPsec, rules, and starts.
  void NoteFastUser() ABSL_LOCKS_EXCLUDED(reconcile_mu_);
  void LookAtFastPaths() ABSL_LOCKS_EXCLUDED(reconcile_mu_);

  const TunnelManager::Options options_;
  Platform& platform_;
  NoFastPath no_fast_;
  FastPath& fast_;
  Qsbr qsbr_;
  EndpointTable table_;
  ConfigLock lock_;
  EventBus bus_;
  std::unique_ptr<WorkerPool> pool_;
  // By the holder of lock_ alone; the ConfigSection is the proof.
  std::map<std::string, std::unique_ptr<TunnelRecord>, std::less<>> tunnels_;
  PathRegistry paths_;
  RequestLog requests_;
  CaptureRegistry captures_;
  size_t next_spread_ = 0;
  // Tunnels whose local device came to a pair that another tunnel holds.
  std::set<std::string> waiting_for_pair_;

  mutable Mutex pending_mu_;  // leaf
  // Written by the holder of lock_.
  std::optional<StoredPending> pending_ ABSL_GUARDED_BY(pending_mu_);
  std::chrono::steady_clock::time_point revert_at_ ABSL_GUARDED_BY(pending_mu_);
  // Between two tries of a revert that fails.
  std::chrono::milliseconds revert_retry_ ABSL_GUARDED_BY(pending_mu_){1000};

  Mutex reconcile_mu_;  // leaf
  CondVar reconcile_cv_;
  bool stop_ ABSL_GUARDED_BY(reconcile_mu_) = false;
  UnderlayChanges changes_ ABSL_GUARDED_BY(reconcile_mu_);
  bool fast_used_ ABSL_GUARDED_BY(reconcile_mu_) = false;
  struct FastSeen {  // of LookAtFastPaths(), by the reconciler alone
    uint64_t learned = 0;
    bool ipsec = false, straight = false;
    uint64_t until_ns = 0;  // SteadyCoarseNs(): something is forgotten or new
  };
  FastSeen fast_seen_;
  std::optional<std::chrono::steady_clock::time_point> next_timer_
      ABSL_GUARDED_BY(reconcile_mu_);
  bool taps_closed_ ABSL_GUARDED_BY(reconcile_mu_) = false;
  std::thread reconciler_;
};

}  // namespace tunnel

#endif  // TUNNEL_MANAGER_IMPL_H_
