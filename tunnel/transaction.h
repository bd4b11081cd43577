// Transaction: the tunnels that one change concerns, from plan to commit.
// Nobody but ManagerImpl includes this.

#ifndef TUNNEL_TRANSACTION_H_
#define TUNNEL_TRANSACTION_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tunnel/config_store.h"
#include "tunnel/rewire/link_changes.h"
#include "tunnel/rewire/rewire.h"
#include "tunnel/rewire/tunnel_record.h"
#include "tunnel/tunnel_types.h"

namespace tunnel {

// One tunnel. What is prepared goes back when the part is destroyed without
// having been committed.
struct TransactionPart {
  ChangeAction action = ChangeAction::kUpdated;
  std::string name;
  // kUpdated, kDeleted: the tunnel; kCreated: `made`, once it is prepared.
  TunnelRecord* tunnel = nullptr;
  std::unique_ptr<TunnelRecord> made;
  std::unique_ptr<LinkChanges> link;  // goes back before `made` goes away
  Wiring next;                        // kCreated, kUpdated
  RewirePlan plan = RewirePlan::kRewire;
  // kUpdated: how long the old identity is received too; `old` is empty yet.
  std::optional<Overlap> overlap;
  // kCreated: what is brought back of an older tunnel.
  std::optional<StoredTunnel> origin;
  // Packets of the tunnel dropped before its new keys were reserved.
  uint64_t drops_before = 0;
  // kUpdated, where the change may make the kernel drop packets in front of the
  // device queues: how many it had before.
  std::optional<uint64_t> kernel_drops_before;
  ChangeResult result;
};

struct Transaction {
  std::vector<TransactionPart> parts;
  // Of a change that finds everything as asked: what it found.
  std::optional<ChangeResult> untouched;
  std::optional<StoredPending> pending;  // set when set_pending
  bool set_pending = false;
  std::optional<std::chrono::milliseconds> confirm_within;  // with `pending`
  // For a seeded fault alone (tunnel/base/fault.h).
  std::optional<StoreCommit> late_commit;
};

}  // namespace tunnel

#endif  // TUNNEL_TRANSACTION_H_
