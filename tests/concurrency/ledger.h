// Ledger: what the test knows about each tunnel, without asking the manager,
// and the checks of each packet against it.
//
// A Slot is one tunnel name. Each configuration that a slot is ever given has a
// stamp, which stands in TTL and DSCP of its outer headers, so that a packet
// tells which configuration it was made with. The owner of a slot (one client)
// notes what may be sent before each change and after it; the notes are atomic
// and take no lock, so that they add no order between workers and clients that
// the code under test would lack.

#ifndef TESTS_CONCURRENCY_LEDGER_H_
#define TESTS_CONCURRENCY_LEDGER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "encap/encap_config.h"
#include "tunnel/base/clock.h"
#include "tunnel/endpoint/endpoint_config.h"
#include "tunnel/sync/mutex.h"
#include "tunnel/underlay/transport.h"

namespace tunnel {

// What went wrong, the first few.
class Failures {
 public:
  void Add(std::string what);
  bool any() const { return any_.load(std::memory_order_relaxed); }
  std::vector<std::string> list() const;

 private:
  std::atomic<bool> any_{false};
  mutable Mutex mu_;
  std::vector<std::string> list_ ABSL_GUARDED_BY(mu_);
};

// An address pair with key, out of few: RemoteAddress(remote), and no key, key
// 0 or key 7.
struct Place {
  static constexpr size_t kRemotes = 4, kKeys = 3;
  size_t remote = 0;
  size_t key = 0;  // always 0 for gif
  size_t index() const { return remote * kKeys + key; }
  std::optional<uint32_t> key_value() const;
  friend bool operator==(const Place&, const Place&) = default;
};

struct Slot {
  Slot(size_t slot_index, encap::Mode slot_mode, bool is_keeper,
       bool has_sequence);

  const size_t index;
  const std::string name;
  const encap::Mode mode;
  const bool keeper;    // created once, never deleted
  const bool sequence;  // GRE sequence numbers

  // ---- notes of the owner, read by the checks ----
  std::atomic<uint32_t> current{0};  // stamp in force; 0: none
  std::atomic<uint32_t> pending{0};  // stamp that a change may put in force
  std::atomic<bool> silent{true};    // nothing may be sent
  std::atomic<uint32_t> stored{0};   // stamp that the store has
  // Packets that peers send after this number are not received; 0: all may be.
  std::atomic<uint32_t> deaf_from{0};
  std::atomic<uint32_t> ever{0};  // bit per Place that was ever asked for
  std::atomic<uint32_t> next_sequence{0};
  std::vector<std::atomic<uint16_t>> meaning;  // of a stamp: Place::index()

  std::atomic<uint64_t> injected{0}, sent{0};

  // Of the checks: a stamp of this slot whose identity another one has sent
  // with since.
  std::atomic<uint32_t> displaced{0};

  // The owner's own.
  uint32_t last_stamp = 0;

  // A config for `place` with a new stamp, noted as pending.
  EndpointConfig Propose(Place place);
  // The change to the pending config is over.
  void Settle(bool taken);
};

class Ledger {
 public:
  explicit Ledger(Failures& failures);

  const std::vector<std::unique_ptr<Slot>>& slots() const { return slots_; }

  // A packet on its way out, called by the worker that sends it.
  void CheckSent(std::span<const uint8_t> outer, const SendRoute& route);
  // An inner packet that came out of the device of `slot`.
  void CheckReceived(const Slot& slot, std::span<const uint8_t> inner);

  // The store has this configuration now.
  void NoteStored(const EndpointConfig& config);
  // The number of the last packet that a peer has begun to send.
  uint32_t peer_number() const {
    return peer_number_.load(std::memory_order_relaxed);
  }
  uint32_t NextPeerNumber() {
    return peer_number_.fetch_add(1, std::memory_order_relaxed) + 1;
  }

  // The tag of packets that a peer sends by this mode to this place.
  static uint16_t PlaceTag(encap::Mode mode, Place place);

 private:
  void Fault(const Slot& slot, const std::string& what);
  // Two tunnels send with one identity only if one comes back to it with the
  // configuration that the other has displaced.
  void CheckAlone(Slot& slot, Place place, uint32_t stamp);
  Failures& failures_;
  std::vector<std::unique_ptr<Slot>> slots_;
  // By mode and place: slot and stamp of the last packet.
  std::atomic<uint32_t> senders_[2][Place::kRemotes * Place::kKeys] = {};
  std::atomic<uint32_t> peer_number_{0};
};

// Who surely holds, and who may hold, an identity. An identity is the text of
// protocol, remote and key.
class Holders {
 public:
  explicit Holders(Failures& failures) : failures_(failures) {}

  static std::vector<std::string> Identities(encap::Mode mode, Place place);

  // From now on `name` may hold them.
  void MayBegin(const std::vector<std::string>& ids, const std::string& name);
  void MayEnd(const std::vector<std::string>& ids, const std::string& name);
  // `name` surely holds them: a failure when another one surely does.
  void MustBegin(const std::vector<std::string>& ids, const std::string& name);
  void MustEnd(const std::vector<std::string>& ids, const std::string& name);
  // True when `name` may have held one of them at some time since `since`.
  bool CouldHold(const std::vector<std::string>& ids, const std::string& name,
                 SteadyTime since) const;

 private:
  Failures& failures_;
  mutable Mutex mu_;
  std::map<std::string, std::string> must_ ABSL_GUARDED_BY(mu_);
  // Until when; max() while it may.
  std::map<std::pair<std::string, std::string>, SteadyTime> may_
      ABSL_GUARDED_BY(mu_);
};

}  // namespace tunnel

#endif  // TESTS_CONCURRENCY_LEDGER_H_
