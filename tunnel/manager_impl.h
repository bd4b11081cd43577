// ManagerImpl: the inside of TunnelManager. Nobody else includes this.
//
// Files: manager_impl.cc (start, end, shared parts), manager_create.cc,
// manager_update.cc, manager_verbs.cc (delete, pause, resume, detach, attach),
// manager_reconcile.cc (the underlay and timers), manager_reads.cc.

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
#include "tunnel/endpoint/endpoint_table.h"
#include "tunnel/events.h"
#include "tunnel/path/worker_pool.h"
#include "tunnel/rewire/link_changes.h"
#include "tunnel/rewire/rewire.h"
#include "tunnel/rewire/tunnel_record.h"
#include "tunnel/sync/config_lock.h"
#include "tunnel/sync/mutex.h"
#include "tunnel/sync/qsbr.h"
#include "tunnel/tunnel_manager.h"

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

  absl::StatusOr<StatsSnapshot> Stats(
      const std::vector<std::string>& names) const;
  absl::Status NotFound(absl::string_view name) const;
  EventBus& bus() { return bus_; }
  const EventBus& bus() const { return bus_; }
  ConfigLock& lock() { return lock_; }

 private:
  absl::StatusOr<ConfigSection> Enter(const CallContext& call,
                                      const ChangeOptions& options);
  Datapath path() { return {table_, *pool_, qsbr_}; }

  // The record, after NOT_FOUND and etag checks.
  absl::StatusOr<TunnelRecord*> Lookup(const ConfigSection&,
                                       absl::string_view name,
                                       const ChangeOptions& options);
  // INVALID_STATE when the device of the tunnel has gone.
  static absl::Status CheckNotFailed(const TunnelRecord& tunnel);
  static TunnelView View(const TunnelRecord& tunnel);
  // Of a tunnel that is only planned: spec, MTU and overhead.
  static TunnelView PlannedView(const Wiring& wiring);
  // Counts a committed change and tells readers and watchers.
  void Commit(const ConfigSection&, TunnelRecord& tunnel);
  // Tells them of a change of state that no operator asked for.
  void Announce(const ConfigSection&, const TunnelRecord& tunnel);

  // ---- checks and preparation ----
  absl::StatusOr<uint32_t> ResolveDevice(const EndpointConfig& config);
  absl::Status CheckPairFree(const ConfigSection& section, const Wiring& wiring,
                             const Endpoint* self) const;
  // Takes the pair and crosses the commit line; on an error the table is as it
  // was.
  absl::Status ReserveAndCommit(const ConfigSection& section,
                                const Wiring& wiring, const Endpoint& owner);
  absl::Status CheckNameFree(const ConfigSection&, const std::string& name);
  absl::StatusOr<std::unique_ptr<TunnelRecord>> Build(
      const ConfigSection& section, Wiring wiring);
  absl::Status ChangeTo(const ConfigSection& section, TunnelRecord& tunnel,
                        Wiring next, ChangeTiming& timing);
  // What routes and addresses say for this config; `own_ifindex` is the
  // tunnel's interface (0: not made yet).
  UnderlayState EvaluateUnderlay(const EndpointConfig& config,
                                 uint32_t underlay_ifindex,
                                 uint32_t own_ifindex);
  absl::StatusOr<Wiring> Plan(const EndpointConfig& config,
                              uint32_t own_ifindex);
  absl::Status PrepareLink(const ConfigSection& section, LinkChanges& link,
                           const Wiring* from, const Wiring& to);

  // ---- the one-step verbs ----
  // Runs `step` on the tunnel past the commit line, unless `done` says that
  // there is nothing to do.
  absl::StatusOr<ChangeResult> Verb(
      const CallContext& call, absl::string_view name,
      const ChangeOptions& options,
      const std::function<bool(const TunnelRecord&)>& done,
      const std::function<void(const ConfigSection&, TunnelRecord&,
                               ChangeTiming&)>& step);

  // ---- the underlay and timers (manager_reconcile.cc) ----
  void OnLinkEvent(const LinkEvent& event) ABSL_LOCKS_EXCLUDED(reconcile_mu_);
  void ReconcileLoop() ABSL_LOCKS_EXCLUDED(reconcile_mu_);
  std::optional<ConfigSection> EnterAsMonitor(const char* operation);
  void ReconcileAll();
  void ReconcileOne(const ConfigSection& section, TunnelRecord& tunnel);
  void FailRemoved(const std::set<uint32_t>& removed);
  void RevertExpired() ABSL_LOCKS_EXCLUDED(reconcile_mu_);
  void ResumeExpired() ABSL_LOCKS_EXCLUDED(reconcile_mu_);
  // The loop calls RunTimers() at `when`, or before.
  void NoteTimer(std::chrono::steady_clock::time_point when)
      ABSL_LOCKS_EXCLUDED(reconcile_mu_);
  void RunTimers() ABSL_LOCKS_EXCLUDED(reconcile_mu_);

  const TunnelManager::Options options_;
  Platform& platform_;
  Qsbr qsbr_;
  EndpointTable table_;
  ConfigLock lock_;
  EventBus bus_;
  std::unique_ptr<WorkerPool> pool_;
  // By the holder of lock_ alone; the ConfigSection is the proof.
  std::map<std::string, std::unique_ptr<TunnelRecord>, std::less<>> tunnels_;
  size_t next_spread_ = 0;

  Mutex reconcile_mu_;  // leaf
  CondVar reconcile_cv_;
  bool stop_ ABSL_GUARDED_BY(reconcile_mu_) = false;
  bool underlay_changed_ ABSL_GUARDED_BY(reconcile_mu_) = false;
  std::set<uint32_t> links_removed_ ABSL_GUARDED_BY(reconcile_mu_);
  std::optional<std::chrono::steady_clock::time_point> next_timer_
      ABSL_GUARDED_BY(reconcile_mu_);
  std::thread reconciler_;
};

}  // namespace tunnel

#endif  // TUNNEL_MANAGER_IMPL_H_
