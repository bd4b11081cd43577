// EventBus: the committed state of all tunnels as readers see it, and its
// changes.
//
// Any thread may call; one leaf mutex, held for copies only. Writers never wait
// for a watcher: the bus keeps one entry for each tunnel, ordered by the
// revision of its last change, and a watcher is no more than a position in that
// order. So a slow watcher sees the last state of each tunnel and costs no
// memory.

#ifndef TUNNEL_EVENTS_H_
#define TUNNEL_EVENTS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tunnel/endpoint/endpoint.h"
#include "tunnel/sync/mutex.h"
#include "tunnel/tunnel_types.h"

namespace tunnel {

class EventBus {
 public:
  EventBus();

  // ---- writers ----
  // The tunnel is now as `view` says; its revision is set here.
  void Put(TunnelView view,
           std::shared_ptr<const TunnelCounterBlocks> counters);
  void Remove(const std::string& name);
  // All of one change, in order: no reader sees a part of it.
  struct Update {
    TunnelView view;  // deleted: only config.name
    std::shared_ptr<const TunnelCounterBlocks> counters;
    bool deleted = false;
  };
  void PutAll(std::vector<Update> updates);

  // ---- readers ----
  std::optional<TunnelView> Get(absl::string_view name) const;
  TunnelList List() const;
  struct Counted {
    std::string name;
    std::shared_ptr<const TunnelCounterBlocks> counters;
  };
  std::vector<Counted> Counters() const;
  // The name most like `name`; empty when none is near.
  std::string Closest(absl::string_view name) const;

  // ---- watchers ----
  class Watcher {
   public:
    ~Watcher();
    // Up to `max` events after the position, which moves on. kAdded may come
    // twice for a tunnel that changes while the snapshot is read: it replaces.
    // kExpired, alone, when deletions that the watcher has not seen are
    // forgotten.
    std::vector<WatchEvent> Next(size_t max);

   private:
    friend class EventBus;
    struct Waker;
    Watcher(EventBus& bus, const std::vector<std::string>& names,
            uint64_t position, uint64_t synced_at);
    void Append(uint64_t revision, const std::string& name,
                std::vector<WatchEvent>& events) const
        ABSL_EXCLUSIVE_LOCKS_REQUIRED(bus_.mu_);
    EventBus& bus_;
    const std::set<std::string> names_;
    const std::shared_ptr<Waker> waker_;
    const uint64_t synced_at_;  // the snapshot ends with this revision
    uint64_t position_;         // the revision seen last
    uint64_t complete_;         // every change up to here has been seen
    bool synced_ = false;
  };
  // `wake`, if it is set, is called by whoever has made a change, with no lock
  // of the bus held, when there may be something new: many watchers want one
  // `wake` among them, so that a change costs the same for all. It is not
  // called any more once the Watcher is destroyed; the destructor waits for a
  // call under way, so it must not run under a lock that `wake` takes. Errors:
  // REVISION_EXPIRED.
  absl::StatusOr<std::unique_ptr<Watcher>> Watch(
      const std::vector<std::string>& names, absl::string_view epoch,
      uint64_t since, std::function<void()> wake);

 private:
  struct Entry {
    TunnelView view;
    std::shared_ptr<const TunnelCounterBlocks> counters;
    uint64_t created = 0;  // revision
    bool deleted = false;
  };
  void PutLocked(Update update) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void RemoveLocked(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Touch(const std::string& name, Entry& entry)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ForgetOldDeletions() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void WakeAll();

  const std::string epoch_;
  mutable Mutex mu_;  // leaf: "EventBus" in the lock order
  uint64_t revision_ ABSL_GUARDED_BY(mu_) = 0;
  // Deletions up to this revision may be forgotten.
  uint64_t floor_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<std::string, Entry, std::less<>> entries_ ABSL_GUARDED_BY(mu_);
  std::map<uint64_t, std::string> by_revision_ ABSL_GUARDED_BY(mu_);
  size_t deletions_ ABSL_GUARDED_BY(mu_) = 0;
  std::set<std::shared_ptr<Watcher::Waker>> wakers_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tunnel

#endif  // TUNNEL_EVENTS_H_
