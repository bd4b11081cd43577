#include "ctl/store/sqlite_store.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ctl/store/log_check.h"
#include "ctl/store/rebuild.h"
#include "ctl/store/record.h"
#include "tunnel/base/error.h"
#include "tunnel/base/log.h"
#include "tunnel/base/status_macros.h"

namespace tunnel::ctl {
namespace {

std::string DeviceKey(const StoredDevice& device) {
  return absl::StrCat(device.name, "/", device.ifindex);
}

// The value, or a problem that names the record.
template <typename T>
std::optional<T> Take(const Record& record, absl::string_view what,
                      absl::StatusOr<T> value,
                      std::vector<std::string>& problems) {
  if (value.ok()) return *std::move(value);
  problems.push_back(absl::StrCat(what, " \"",
                                  absl::Utf8SafeCHexEscape(record.key),
                                  "\" can not be understood and was left out: ",
                                  std::string(value.status().message())));
  return std::nullopt;
}

std::vector<std::string> LogProblems(const std::string& path) {
  const LogCheck log = CheckLog(path);
  if (log.unreadable) {
    return {absl::StrCat(path,
                         "-wal: is damaged as a whole; the changes in it "
                         "are lost")};
  }
  if (log.lost_commits != 0) {
    return {absl::StrCat(path, "-wal: is damaged; the last ", log.lost_commits,
                         " or more changes are lost")};
  }
  if (log.unfinished) {
    LogInfo(
        "the state file ends in a change that was not finished, as after a "
        "crash; it was not acknowledged",
        {{"path", path}});
  }
  return {};
}

}  // namespace

SqliteStore::SqliteStore(std::string kernel) : kernel_(std::move(kernel)) {}

bool SqliteStore::Understand(const Record& record, Loaded& loaded) {
  StoredState& state = loaded.state;
  std::vector<std::string>& problems = loaded.problems;
  switch (record.kind) {
    case RecordKind::kTunnel: {
      auto tunnel = Take(record, "tunnel",
                         TunnelFromBytes(record.body, kernel_), problems);
      if (tunnel) state.tunnels.push_back(*std::move(tunnel));
      return tunnel.has_value();
    }
    case RecordKind::kDevice: {
      auto device = Take(record, "removed device",
                         DeviceFromBytes(record.body, kernel_), problems);
      if (!device) return false;
      if (device->ifindex != 0) {
        state.removed.push_back(*std::move(device));
      } else {
        gone_.push_back(record.key);  // of another boot: it went with that
      }
      return true;
    }
    case RecordKind::kRequest: {
      auto request =
          Take(record, "request", RequestFromBytes(record.body), problems);
      if (!request) return false;
      state.requests.push_back(*std::move(request));
      requests_.push_back(record.key);
      next_position_ = std::max(next_position_, record.position + 1);
      return true;
    }
    case RecordKind::kPending:
      state.pending = Take(record, "configuration that awaits confirmation",
                           PendingFromBytes(record.body, kernel_), problems);
      return state.pending.has_value();
    default:
      problems.push_back(absl::StrCat("a record of an unknown kind, ",
                                      static_cast<int64_t>(record.kind),
                                      ", was left out"));
      return false;
  }
}

absl::StatusOr<SqliteStore::Loaded> SqliteStore::Open(
    const std::string& directory, const std::string& kernel) {
  const std::string path = directory + "/tunneld.db";
  RETURN_IF_ERROR(FinishRebuild(path));
  Loaded loaded;
  for (const std::string& file : DamagedFiles(path)) {
    loaded.earlier.push_back(file);
  }
  loaded.problems = LogProblems(path);
  StateFile::Contents contents;
  ASSIGN_OR_RETURN(std::unique_ptr<StateFile> file,
                   StateFile::Open(path, contents));
  loaded.problems.insert(loaded.problems.end(), contents.problems.begin(),
                         contents.problems.end());
  std::unique_ptr<SqliteStore> store(new SqliteStore(kernel));
  std::vector<Record> sound;
  for (Record& record : contents.records) {
    if (store->Understand(record, loaded)) sound.push_back(std::move(record));
  }
  if (!loaded.problems.empty()) {
    if (file != nullptr) file->KeepLogOnClose();
    file.reset();
    ASSIGN_OR_RETURN(const std::string aside, Rebuild(path, sound));
    loaded.problems.push_back(
        absl::StrCat("the damaged state file was kept as ", aside));
    ASSIGN_OR_RETURN(file, StateFile::Open(path, contents));
    if (!contents.problems.empty()) {
      return MakeError(Reason::kStoreFailed, contents.problems[0]);
    }
  }
  store->file_ = std::move(file);
  loaded.store = std::move(store);
  return loaded;
}

SqliteStore::~SqliteStore() {
  if (file_ == nullptr || gone_.empty()) return;
  const absl::Status status = Commit({});
  if (!status.ok()) {
    LogWarning("removed devices are looked for again at the next start",
               {{"cause", std::string(status.message())}});
  }
}

absl::Status SqliteStore::Commit(const StoreCommit& commit) {
  const std::deque<std::string> requests = requests_;
  const absl::Status status = Write(commit);
  if (status.ok()) {
    gone_.clear();
    return status;
  }
  file_->Abandon();
  requests_ = requests;
  return status;
}

absl::Status SqliteStore::Write(const StoreCommit& commit) {
  RETURN_IF_ERROR(file_->Begin());
  for (const std::string& key : gone_) {
    RETURN_IF_ERROR(file_->Erase(RecordKind::kDevice, key));
  }
  for (const StoredDevice& device : commit.removed) {
    RETURN_IF_ERROR(file_->Erase(RecordKind::kTunnel, device.name));
    if (device.ifindex == 0) continue;
    RETURN_IF_ERROR(file_->Put({.kind = RecordKind::kDevice,
                                .key = DeviceKey(device),
                                .body = DeviceToBytes(device, kernel_)}));
  }
  for (const StoredTunnel& tunnel : commit.put) {
    RETURN_IF_ERROR(file_->Put({.kind = RecordKind::kTunnel,
                                .key = tunnel.config.name,
                                .body = TunnelToBytes(tunnel, kernel_)}));
  }
  if (commit.request) RETURN_IF_ERROR(WriteRequest(*commit.request));
  if (commit.set_pending) {
    RETURN_IF_ERROR(file_->Erase(RecordKind::kPending, ""));
    if (commit.pending) {
      RETURN_IF_ERROR(
          file_->Put({.kind = RecordKind::kPending,
                      .body = PendingToBytes(*commit.pending, kernel_)}));
    }
  }
  return file_->Commit();
}

absl::Status SqliteStore::WriteRequest(const StoredRequest& request) {
  std::erase(requests_, request.id);
  while (requests_.size() >= kMaxStoredRequests) {
    RETURN_IF_ERROR(file_->Erase(RecordKind::kRequest, requests_.front()));
    requests_.pop_front();
  }
  requests_.push_back(request.id);
  return file_->Put({.kind = RecordKind::kRequest,
                     .key = request.id,
                     .position = next_position_++,
                     .body = RequestToBytes(request)});
}

void SqliteStore::DeviceRemoved(const StoredDevice& device) {
  gone_.push_back(DeviceKey(device));
}

}  // namespace tunnel::ctl
