// TunnelManager: the only door of tunnel/. Creates, changes and deletes
// tunnels.
//
// Any thread may call any function. A mutation waits for the one global
// ConfigLock (FIFO; leaves at once on cancel, deadline or interrupt), checks
// and prepares all that can fail, and past the commit line completes. On any
// error nothing has changed. Reads never take the lock: they see the last
// committed state.
//
// Errors are those of base/error.h. Common to all mutations: CANCELLED,
// DEADLINE_EXCEEDED, CONFIG_LOCK_BUSY, CONFIG_LOCK_INTERRUPTED,
// CONFIG_LOCK_QUEUE_FULL, SHUTTING_DOWN, ETAG_MISMATCH, TUNNEL_NOT_FOUND.

#ifndef TUNNEL_TUNNEL_MANAGER_H_
#define TUNNEL_TUNNEL_MANAGER_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "encap/drop_reason.h"
#include "tunnel/config_store.h"
#include "tunnel/endpoint/capture_types.h"
#include "tunnel/endpoint/endpoint_config.h"
#include "tunnel/path/dispatch.h"
#include "tunnel/platform.h"
#include "tunnel/stats/stats_snapshot.h"
#include "tunnel/sync/config_lock.h"
#include "tunnel/tunnel_types.h"

namespace tunnel {

class ManagerImpl;

class TunnelManager {
 public:
  struct Options {
    // Packet workers; 0: one for each CPU that the process may run on.
    int workers = 0;
    // How long a worker asks for packets again and again before it sleeps.
    std::chrono::nanoseconds busy_poll{0};
    // What `datapath auto` of a tunnel means: kAuto and kBpf the kernel where
    // it can, else the workers; kUser the workers. With kBpf Create() fails
    // where the kernel can not carry any tunnel.
    DatapathMode datapath = DatapathMode::kAuto;
    // Whether received packets go through rings on their way.
    Dispatch dispatch = Dispatch::kHybrid;
    // Packets that each of these rings holds, 16 to 16384; 0: fewer where there
    // are many. ResizeHandoff() changes it.
    size_t handoff_packets = 0;
    // Tunnels at most; above it TUNNEL_LIMIT.
    size_t max_tunnels = 4096;
    // Changes that may wait for the configuration lock; above it
    // CONFIG_LOCK_QUEUE_FULL.
    size_t max_lock_waiters = 256;
    // Where configuration outlives the process; nullptr: nowhere, and devices
    // go with the manager. Must outlive the manager.
    ConfigStore* store = nullptr;
    // Called after each change that the manager made by itself, that is when a
    // configuration was not confirmed; by a thread of the manager, without the
    // configuration lock. May be empty.
    std::function<void(const CallContext&, const absl::StatusOr<ApplyResult>&)>
        on_own_change;
  };

  // Starts the workers and opens the underlay. `platform` gives devices,
  // sockets and netlink; it must outlive the manager. Errors:
  // MISSING_CAPABILITY, KERNEL_FEATURE_MISSING, FD_LIMIT.
  static absl::StatusOr<std::unique_ptr<TunnelManager>> Create(
      const Options& options, Platform& platform);
  // Stops the workers. With a store the devices stay, as they are, for the next
  // manager; without one every device that the manager made goes away.
  ~TunnelManager();

  TunnelManager(const TunnelManager&) = delete;
  TunnelManager& operator=(const TunnelManager&) = delete;

  // ---- mutations ----

  // Errors: FIELD_INVALID, FAMILY_MISMATCH, UNKNOWN_MODE, NAME_IN_USE,
  // ENDPOINT_PAIR_IN_USE (metadata: tunnel, local, remote, key),
  // TUN_UNAVAILABLE, MISSING_CAPABILITY, DEVICE_NOT_FOUND, TUNNEL_LIMIT,
  // FD_LIMIT, NETLINK_ERROR.
  absl::StatusOr<ChangeResult> CreateTunnel(const CallContext& call,
                                            const EndpointConfig& config,
                                            const ChangeOptions& options);

  // `edit` makes the new config out of the current one; it is called under the
  // lock, must be pure and quick, and its error is returned as it is. The name
  // may not change. A config equal to the current one is a no_op. Errors: as
  // CreateTunnel, less NAME_IN_USE.
  using Edit = std::function<absl::StatusOr<EndpointConfig>(
      const EndpointConfig& current)>;
  absl::StatusOr<ChangeResult> UpdateTunnel(const CallContext& call,
                                            absl::string_view name,
                                            const Edit& edit,
                                            const ChangeOptions& options);

  absl::StatusOr<ChangeResult> DeleteTunnel(const CallContext& call,
                                            absl::string_view name,
                                            const ChangeOptions& options);

  // When it returns OK, no packet of the tunnel begins its way out until
  // Resume. What waits in the device queue stays there. With `max`, resumed by
  // itself.
  absl::StatusOr<ChangeResult> Pause(
      const CallContext& call, absl::string_view name,
      const ChangeOptions& options,
      std::optional<std::chrono::milliseconds> max = std::nullopt);
  absl::StatusOr<ChangeResult> Resume(const CallContext& call,
                                      absl::string_view name,
                                      const ChangeOptions& options);

  // Out of, and back into, the endpoint table; the identity stays reserved.
  absl::StatusOr<ChangeResult> Detach(const CallContext& call,
                                      absl::string_view name,
                                      const ChangeOptions& options);
  absl::StatusOr<ChangeResult> Attach(const CallContext& call,
                                      absl::string_view name,
                                      const ChangeOptions& options);

  // All tunnels by name.
  using Configs = std::map<std::string, EndpointConfig>;
  // `edit` makes the whole desired configuration out of the current one; as in
  // UpdateTunnel it is called under the lock, must be pure and quick, and its
  // error is returned as it is. Tunnels that it leaves out are deleted, those
  // that it leaves alone are not touched. All is checked against the end state,
  // so endpoints may be swapped. On any error nothing has changed. Errors: as
  // CreateTunnel and UpdateTunnel; APPLY_PENDING.
  using EditAll = std::function<absl::StatusOr<Configs>(const Configs&)>;
  absl::StatusOr<ApplyResult> Apply(const CallContext& call,
                                    const EditAll& edit,
                                    const ApplyOptions& options);
  // Keeps, or takes back, what awaits confirmation; `id` empty: whatever does.
  // Errors: INVALID_STATE when nothing (or another one) awaits confirmation.
  absl::StatusOr<ApplyResult> ConfirmApply(const CallContext& call,
                                           absl::string_view id);
  absl::StatusOr<ApplyResult> RevertApply(const CallContext& call,
                                          absl::string_view id,
                                          const ChangeOptions& options);

  // What Restore() did, by name of the tunnel.
  struct RestoreReport {
    std::vector<std::string> adopted;  // same device as before
    std::vector<std::string> remade;   // their device had gone
    std::vector<std::pair<std::string, absl::Status>> failed;
    bool reverted = false;  // a configuration that awaited confirmation
  };
  // Brings back what a store held. Once, before any mutation. A tunnel that can
  // not be brought back is there as OperState::kFailed with the reason, and its
  // identity stays reserved; no device that the manager did not make is
  // touched. Errors: those of the lock alone.
  absl::StatusOr<RestoreReport> Restore(const StoredState& state);

  // Packets that each ring between two workers holds from now on. No packet is
  // lost or overtaken for it. It is no change of a tunnel, but waits for the
  // configuration lock like one. Errors, nothing has changed then:
  // FIELD_INVALID, INVALID_STATE (there are no rings), FD_LIMIT, those of the
  // lock.
  struct HandoffResize {
    size_t packets = 0;  // rounded up to a power of two
    size_t before = 0;
  };
  absl::StatusOr<HandoffResize> ResizeHandoff(const CallContext& call,
                                              size_t packets);

  // ---- reads ----

  // What awaits confirmation.
  std::optional<PendingApply> Pending() const;

  // TUNNEL_NOT_FOUND with metadata closest (the nearest name, may be empty).
  absl::StatusOr<TunnelView> Get(absl::string_view name) const;
  // All tunnels by name, of one moment.
  TunnelList List() const;
  // `names` empty: all. Unknown names: TUNNEL_NOT_FOUND.
  absl::StatusOr<StatsSnapshot> Stats(
      const std::vector<std::string>& names) const;

  // ---- watching ----

  // Calls `wake` (from any thread, never under the config lock's holder for
  // long; it must only schedule) whenever Next() has something; empty: the
  // caller looks by itself. Coalesced per tunnel: memory is bounded by the
  // number of tunnels, writers never wait.
  class Watcher {
   public:
    virtual ~Watcher() = default;
    // Up to `max` events, in order of revision; the snapshot first, then
    // kSynced.
    virtual std::vector<WatchEvent> Next(size_t max) = 0;
  };
  // `names` empty: all. With `epoch` and `since`, only what came after; errors:
  // REVISION_EXPIRED.
  absl::StatusOr<std::unique_ptr<Watcher>> Watch(
      const std::vector<std::string>& names, absl::string_view epoch,
      uint64_t since, std::function<void()> wake);

  // ---- captures ----

  // Copies of a tunnel's packets. Its end takes the tap out of the tunnel (by
  // itself a moment later); nothing of the manager waits for the reader. Read()
  // by one thread at a time; it must end before the manager does.
  class Capture {
   public:
    using Take = absl::FunctionRef<void(const CapturedPacket&)>;
    virtual ~Capture() = default;
    // Hands out what is there, in order of time, until `max_packets`, or bytes
    // of packets come to `max_bytes`; the number of packets. Never waits.
    virtual size_t Read(size_t max_packets, size_t max_bytes, Take take) = 0;
    // Its number among all since the start.
    virtual uint64_t id() const = 0;
    // Packets that Read() would find now. The thread of Read().
    virtual size_t Waiting() = 0;
    // Packets that could not be copied since Read() was not called in time.
    virtual uint64_t lost() const = 0;
    // The tunnel has been deleted: nothing more will come.
    virtual bool ended() const = 0;
    // The device carries Ethernet frames.
    virtual bool ethernet() const = 0;
  };
  // What happens to packets after it has returned is captured. It is no change
  // of the tunnel, but waits for the configuration lock like one. Errors:
  // TUNNEL_NOT_FOUND, INVALID_STATE (a failed tunnel), CAPTURE_LIMIT,
  // FIELD_INVALID, those of the lock.
  absl::StatusOr<std::unique_ptr<Capture>> StartCapture(
      const CallContext& call, absl::string_view name,
      const CaptureOptions& options);

  // ---- the configuration lock ----

  ConfigLockInfo LockInfo() const;
  // Ends the wait (or, before the commit line, the change) with this id;
  // NOT_FOUND / INVALID_STATE when there is none such or it is too late.
  absl::Status InterruptLock(uint64_t id);

  // New mutations fail with SHUTTING_DOWN, waiters leave with it; returns when
  // the holder has finished.
  void Shutdown();

 private:
  TunnelManager(std::unique_ptr<ManagerImpl> impl, LinkControl& links);
  std::unique_ptr<ManagerImpl> impl_;
  LinkControl& links_;
};

}  // namespace tunnel

#endif  // TUNNEL_TUNNEL_MANAGER_H_
