// Values that go in and out of TunnelManager.

#ifndef TUNNEL_TUNNEL_TYPES_H_
#define TUNNEL_TUNNEL_TYPES_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tunnel/endpoint/endpoint_config.h"
#include "tunnel/endpoint/path_state.h"
#include "tunnel/netlink/next_hop.h"

namespace tunnel {

struct LockTimes;

// Who calls, and until when.
struct CallContext {
  // Steady clock; nullopt: no deadline.
  std::optional<std::chrono::steady_clock::time_point> deadline;
  // Requested: the caller has gone or pressed Ctrl-C.
  std::stop_token cancel;
  uint32_t uid = 0;
  int32_t pid = 0;
  std::string
      operation;  // "CreateTunnel gre0", for lock show and the audit log
  // If set: filled when the call returns, whatever it returns.
  LockTimes* lock_times = nullptr;
};

struct ChangeOptions {
  bool validate_only = false;
  std::optional<std::chrono::milliseconds> lock_timeout;
  std::string if_match;  // etag; empty: any
  // A repetition with the same id returns the first outcome; empty: none. The
  // fingerprint stands for what was asked: the same id with another one is
  // FIELD_INVALID.
  std::string request_id;
  std::string request_fingerprint;
  // UpdateTunnel: the old identity is received for this long too, and output
  // turns to the new one after half of it.
  std::optional<std::chrono::milliseconds> overlap;
};

struct ApplyOptions {
  ChangeOptions change;  // if_match: ConfigEtag of the whole configuration
  // Go back after this long unless confirmed.
  std::optional<std::chrono::milliseconds> confirm_within;
};

// kLoop: the route to the remote leads into the tunnel itself; nothing is sent.
enum class OperState { kUp, kDown, kPaused, kDetached, kFailed, kLoop };

// One tunnel at one moment.
struct TunnelView {
  EndpointConfig config;
  std::string etag;
  OperState oper_state = OperState::kDown;
  std::string oper_reason;  // empty when kUp, unless remote is any
  uint32_t ifindex = 0;
  // The outer source in force; no address while config.local_device has none.
  encap::IpAddress effective_local;
  uint32_t effective_mtu = 0;  // bytes
  std::string mtu_reason;
  // What is known of the way to the remote, now and not at that moment:
  // MtuReason() tells it. Not kept alive: it ends with the last tunnel there.
  std::weak_ptr<const PathState> path;
  uint32_t overhead = 0;  // outer header bytes
  // What carries its packets at this moment: kUser or kBpf.
  DatapathMode datapath_in_use = DatapathMode::kUser;
  // Why the user path does, in one clause ("checksum is on"); empty when kBpf.
  std::string datapath_reason;
  // Where the daemon's packets go on the link, now and not at that moment:
  // NextHopText() tells it. Not kept alive.
  std::weak_ptr<const NextHop> link;
  // NextHopText(), when it was asked for; empty while the kernel finds the way.
  std::string next_hop;
  // Why the kernel finds every way (LinkControl::NextHopsHeld()), when it was
  // asked for.
  std::string next_hop_reason;
  // FastTunnel::Steer(), when kBpf.
  std::string kernel_steering;
  uint64_t generation = 0;
  uint64_t revision = 0;
  absl::Time create_time;
  absl::Time update_time;
  bool paused = false;
  bool detached = false;
  // While the identity before the last change is received too.
  std::optional<absl::Time> overlap_until;
};

struct TunnelList {
  std::string epoch;
  uint64_t revision = 0;
  std::string etag;  // of the whole configuration
  std::vector<TunnelView> tunnels;
};

// Time of each step; nullopt: the step was not needed.
struct ChangeTiming {
  using Span = std::optional<std::chrono::nanoseconds>;
  std::chrono::nanoseconds lock_wait{0};
  Span prepare, pause, disestablish, detach, attach, establish, resume;
  uint64_t packets_dropped = 0;
};

enum class ChangeAction { kNone, kCreated, kUpdated, kDeleted };

struct ChangeResult {
  ChangeAction action = ChangeAction::kNone;
  TunnelView tunnel;  // after the change; for a delete, before it
  // The old values of a create and the new ones of a delete are empty.
  std::vector<FieldDifference> changes;
  bool no_op = false;
  bool validated_only = false;
  bool replayed = false;  // an earlier outcome, by request_id
  ChangeTiming timing;
};

// A configuration that goes back by itself at `deadline`.
struct PendingApply {
  std::string id;
  absl::Time deadline;
  std::chrono::milliseconds remaining{0};
  std::vector<std::string> tunnels;  // that going back would touch
};

struct ApplyResult {
  std::vector<ChangeResult> changes;  // of the tunnels it concerns, by name
  bool no_op = false;
  bool validated_only = false;
  bool replayed = false;
  std::chrono::nanoseconds lock_wait{0};
  std::chrono::nanoseconds lock_hold{0};
  std::string etag;  // of the whole configuration afterwards
  std::optional<PendingApply> pending;
};

struct WatchEvent {
  enum class Kind { kAdded, kModified, kDeleted, kSynced, kExpired };
  Kind kind = Kind::kSynced;
  std::string epoch;
  uint64_t revision = 0;
  TunnelView tunnel;  // kDeleted: only config.name
};

}  // namespace tunnel

#endif  // TUNNEL_TUNNEL_TYPES_H_
