#include "tunnel/events.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tunnel/base/error.h"

namespace tunnel {
namespace {

// Deleted tunnels that the bus remembers for watchers which come back.
constexpr size_t kMaxDeletions = 4096;

std::string NewEpoch() {
  std::random_device random;
  return absl::StrFormat("%08x%08x", random(), random());
}

size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1,
                         diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

// Shared by the bus and the watcher, so that a call under way outlives neither.
struct EventBus::Watcher::Waker {
  Mutex mu;
  std::function<void()> wake ABSL_GUARDED_BY(mu);

  void Call() {
    const MutexLock lock(mu);
    if (wake) wake();
  }
  void Clear() {
    const MutexLock lock(mu);
    wake = nullptr;
  }
};

EventBus::EventBus() : epoch_(NewEpoch()) {}

void EventBus::Put(TunnelView view,
                   std::shared_ptr<const TunnelCounterBlocks> counters) {
  {
    const MutexLock lock(mu_);
    PutLocked({std::move(view), std::move(counters)});
  }
  WakeAll();
}

void EventBus::Remove(const std::string& name) {
  {
    const MutexLock lock(mu_);
    RemoveLocked(name);
  }
  WakeAll();
}

void EventBus::PutAll(std::vector<Update> updates) {
  {
    const MutexLock lock(mu_);
    for (Update& update : updates) {
      if (update.deleted) {
        RemoveLocked(update.view.config.name);
      } else {
        PutLocked(std::move(update));
      }
    }
  }
  WakeAll();
}

void EventBus::PutLocked(Update update) {
  const std::string name = update.view.config.name;
  Entry& entry = entries_[name];
  const bool added = entry.view.revision == 0 || entry.deleted;
  if (entry.deleted) --deletions_;
  const uint64_t old_revision = entry.view.revision;
  entry.view = std::move(update.view);
  entry.view.revision = old_revision;
  entry.counters = std::move(update.counters);
  entry.deleted = false;
  Touch(name, entry);
  if (added) entry.created = revision_;
}

void EventBus::RemoveLocked(const std::string& name) {
  const auto it = entries_.find(name);
  if (it == entries_.end() || it->second.deleted) return;
  it->second.deleted = true;
  it->second.counters.reset();
  ++deletions_;
  Touch(name, it->second);
  ForgetOldDeletions();
}

void EventBus::Touch(const std::string& name, Entry& entry) {
  if (entry.view.revision != 0) by_revision_.erase(entry.view.revision);
  entry.view.revision = ++revision_;
  by_revision_[revision_] = name;
}

void EventBus::ForgetOldDeletions() {
  auto it = by_revision_.begin();
  while (deletions_ > kMaxDeletions && it != by_revision_.end()) {
    const auto entry = entries_.find(it->second);
    if (!entry->second.deleted) {
      ++it;
      continue;
    }
    floor_ = std::max(floor_, it->first);
    entries_.erase(entry);
    it = by_revision_.erase(it);
    --deletions_;
  }
}

void EventBus::WakeAll() {
  std::vector<std::shared_ptr<Watcher::Waker>> wakers;
  {
    const MutexLock lock(mu_);
    wakers.assign(wakers_.begin(), wakers_.end());
  }
  for (const auto& waker : wakers) waker->Call();
}

std::optional<TunnelView> EventBus::Get(absl::string_view name) const {
  const MutexLock lock(mu_);
  const auto it = entries_.find(std::string(name));
  if (it == entries_.end() || it->second.deleted) return std::nullopt;
  return it->second.view;
}

TunnelList EventBus::List() const {
  const MutexLock lock(mu_);
  TunnelList list;
  list.epoch = epoch_;
  list.revision = revision_;
  std::vector<std::string> etags;
  for (const auto& [name, entry] : entries_) {
    if (entry.deleted) continue;
    list.tunnels.push_back(entry.view);
    etags.push_back(entry.view.etag);
  }
  list.etag = EtagOfAll(etags);
  return list;
}

std::vector<EventBus::Counted> EventBus::Counters() const {
  const MutexLock lock(mu_);
  std::vector<Counted> all;
  for (const auto& [name, entry] : entries_) {
    if (!entry.deleted) all.push_back({name, entry.counters});
  }
  return all;
}

std::string EventBus::Closest(absl::string_view name) const {
  const MutexLock lock(mu_);
  std::string best;
  size_t best_distance = std::max<size_t>(name.size() / 2, 1) + 1;
  for (const auto& [candidate, entry] : entries_) {
    if (entry.deleted) continue;
    const size_t distance = EditDistance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

absl::StatusOr<std::unique_ptr<EventBus::Watcher>> EventBus::Watch(
    const std::vector<std::string>& names, absl::string_view epoch,
    uint64_t since, std::function<void()> wake) {
  const MutexLock lock(mu_);
  const bool resume = !epoch.empty() || since != 0;
  if (resume && (epoch != epoch_ || since < floor_ || since > revision_)) {
    return MakeError(Reason::kRevisionExpired,
                     absl::StrCat("watch: wanted what came after revision ",
                                  since, " of epoch \"", epoch, "\", have ",
                                  floor_, " to ", revision_, " of \"", epoch_,
                                  "\"; watch again without a revision"),
                     {{"epoch", epoch_},
                      {"oldest", absl::StrCat(floor_)},
                      {"newest", absl::StrCat(revision_)}});
  }
  std::unique_ptr<Watcher> watcher(
      new Watcher(*this, names, resume ? since : 0, revision_));
  if (wake == nullptr) return watcher;
  {
    const MutexLock waker_lock(watcher->waker_->mu);
    watcher->waker_->wake = std::move(wake);
  }
  wakers_.insert(watcher->waker_);
  return watcher;
}

EventBus::Watcher::Watcher(EventBus& bus, const std::vector<std::string>& names,
                           uint64_t position, uint64_t synced_at)
    : bus_(bus),
      names_(names.begin(), names.end()),
      waker_(std::make_shared<Waker>()),
      synced_at_(synced_at),
      position_(position),
      complete_(position) {}

EventBus::Watcher::~Watcher() {
  {
    const MutexLock lock(bus_.mu_);
    bus_.wakers_.erase(waker_);
  }
  waker_->Clear();
}

std::vector<WatchEvent> EventBus::Watcher::Next(size_t max) {
  const MutexLock lock(bus_.mu_);
  std::vector<WatchEvent> events;
  if (complete_ != 0 && position_ < bus_.floor_) {
    events.push_back(
        {WatchEvent::Kind::kExpired, bus_.epoch_, bus_.revision_, {}});
    return events;
  }
  auto it = bus_.by_revision_.upper_bound(position_);
  for (; events.size() < max; ++it) {
    const bool at_end = it == bus_.by_revision_.end();
    if (!synced_ && (at_end || it->first > synced_at_)) {
      // What changed while the snapshot was read comes after this mark.
      synced_ = true;
      events.push_back(
          {WatchEvent::Kind::kSynced, bus_.epoch_, synced_at_, {}});
      if (events.size() == max) break;
    }
    if (at_end) {
      position_ = complete_ = bus_.revision_;
      break;
    }
    position_ = it->first;
    if (names_.empty() || names_.count(it->second) != 0)
      Append(it->first, it->second, events);
  }
  return events;
}

void EventBus::Watcher::Append(uint64_t revision, const std::string& name,
                               std::vector<WatchEvent>& events) const {
  const Entry& entry = bus_.entries_.find(name)->second;
  // Everything up to complete_ has been seen; what was made later may be new.
  const bool known = entry.created <= complete_;
  if (entry.deleted && complete_ == 0 && revision <= synced_at_)
    return;  // never seen
  WatchEvent event;
  event.epoch = bus_.epoch_;
  event.revision = revision;
  if (entry.deleted) {
    event.kind = WatchEvent::Kind::kDeleted;
    event.tunnel.config.name = name;
  } else {
    event.kind = known ? WatchEvent::Kind::kModified : WatchEvent::Kind::kAdded;
    event.tunnel = entry.view;
  }
  events.push_back(std::move(event));
}

}  // namespace tunnel
