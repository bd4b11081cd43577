#include "tests/concurrency/commit_log.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "tests/concurrency/faulty_platform.h"
#include "tunnel/base/status_macros.h"

namespace tunnel {
namespace {

constexpr size_t kStill = std::numeric_limits<size_t>::max();

std::vector<std::string> IdentitiesOf(const EndpointConfig& config) {
  const std::string remote = config.encap.remote.ToString();
  if (config.encap.mode == encap::Mode::kGif)
    return {absl::StrCat("4 ", remote), absl::StrCat("41 ", remote)};
  const auto& key = config.encap.input_key;
  return {absl::StrCat("47 ", remote, " ", key ? absl::StrCat(*key) : "none")};
}

size_t HashOf(const EndpointConfig& config, uint64_t generation, bool paused,
              bool detached) {
  return absl::Hash<
      std::tuple<std::string, std::string, uint64_t, bool, bool>>{}(
      {config.name, Etag(config), generation, paused, detached});
}

}  // namespace

absl::Status CommitLog::Commit(const StoreCommit& commit) {
  RETURN_IF_ERROR(FaultScript::Step());
  FaultScript::Spare();
  const MutexLock lock(mu_);
  hashes_.push_back(hashes_.back());
  for (const StoredDevice& device : commit.removed) Remove(device.name);
  for (const StoredTunnel& tunnel : commit.put) {
    if (now_.count(tunnel.config.name) != 0) Remove(tunnel.config.name);
  }
  for (const StoredTunnel& tunnel : commit.put) Put(tunnel);
  CheckUnique();
  return absl::OkStatus();
}

void CommitLog::Put(const StoredTunnel& tunnel) {
  const size_t state = hashes_.size() - 1;
  const std::string& name = tunnel.config.name;
  Known& known = now_[name];
  known.ids = IdentitiesOf(tunnel.config);
  known.generation = tunnel.generation;
  known.hash =
      HashOf(tunnel.config, tunnel.generation, tunnel.paused, tunnel.detached);
  hashes_.back() ^= known.hash;
  last_change_[name] = state;
  for (const std::string& id : known.ids)
    held_[{name, id}].push_back({state, kStill});
  ledger_.NoteStored(tunnel.config);
}

void CommitLog::Remove(const std::string& name) {
  const size_t state = hashes_.size() - 1;
  last_change_[name] = state;
  const auto it = now_.find(name);
  if (it == now_.end()) return;
  hashes_.back() ^= it->second.hash;
  for (const std::string& id : it->second.ids)
    held_[{name, id}].back().second = state - 1;
  now_.erase(it);
}

void CommitLog::CheckUnique() {
  std::map<std::string, std::string> holder;
  for (const auto& [name, known] : now_) {
    for (const std::string& id : known.ids) {
      const auto [it, fresh] = holder.emplace(id, name);
      if (!fresh) {
        failures_.Add(absl::StrCat("the store holds ", id,
                                   " twice: ", it->second, " and ", name));
      }
    }
  }
}

size_t CommitLog::Newest() const {
  const MutexLock lock(mu_);
  return hashes_.size() - 1;
}

size_t CommitLog::LastChange(const std::string& name) const {
  const MutexLock lock(mu_);
  const auto it = last_change_.find(name);
  return it == last_change_.end() ? 0 : it->second;
}

void CommitLog::Returned(size_t n) {
  size_t seen = returned_.load();
  while (seen < n && !returned_.compare_exchange_weak(seen, n)) {
  }
}

bool CommitLog::Was(const TunnelList& list, size_t oldest,
                    size_t newest) const {
  size_t hash = 0;
  for (const TunnelView& view : list.tunnels)
    hash ^= HashOf(view.config, view.generation, view.paused, view.detached);
  const MutexLock lock(mu_);
  for (size_t n = oldest; n <= newest; ++n) {
    if (hashes_[n] == hash) return true;
  }
  return false;
}

bool CommitLog::Held(const std::string& name,
                     const std::vector<std::string>& ids, size_t oldest,
                     size_t newest) const {
  const MutexLock lock(mu_);
  for (const std::string& id : ids) {
    const auto it = held_.find({name, id});
    if (it == held_.end()) continue;
    for (auto span = it->second.rbegin(); span != it->second.rend(); ++span) {
      if (span->second < oldest) break;
      if (span->first <= newest) return true;
    }
  }
  return false;
}

}  // namespace tunnel
