#include "ctl/durable_state.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ctl/state_dir.h"
#include "ctl/store/kernel_identity.h"
#include "ctl/store/sqlite_store.h"
#include "tunnel/base/log.h"
#include "tunnel/base/status_macros.h"

namespace tunnel::ctl {
namespace {

constexpr size_t kNamesInLog = 32;

std::string Names(const std::vector<std::string>& names) {
  if (names.size() <= kNamesInLog) return absl::StrJoin(names, " ");
  return absl::StrCat(
      absl::StrJoin(names.begin(), names.begin() + kNamesInLog, " "), " and ",
      names.size() - kNamesInLog, " more");
}

void LogFailed(const TunnelManager::RestoreReport& report) {
  for (const auto& [name, status] : report.failed) {
    LogError("tunnel can not be brought back; it stays as OPER_FAILED",
             {{"tunnel", name}, {"cause", std::string(status.message())}});
  }
}

std::string StatusText(const TunnelManager::RestoreReport& report,
                       size_t problems) {
  std::string text = absl::StrCat(
      report.adopted.size() + report.remade.size() + report.failed.size(),
      " tunnels brought back");
  if (!report.failed.empty()) {
    std::vector<std::string> names;
    for (const auto& [name, status] : report.failed) names.push_back(name);
    absl::StrAppend(&text, ", ", names.size(),
                    " of them FAILED: ", Names(names));
  }
  if (problems != 0) absl::StrAppend(&text, "; the store was DAMAGED, see log");
  return text;
}

}  // namespace

absl::StatusOr<UniqueFd> OwnStateDir(const std::string& directory) {
  if (directory.empty()) return UniqueFd();
  return LockStateDir(directory);
}

absl::StatusOr<DurableState> OpenDurableState(const std::string& directory,
                                              UniqueFd lock) {
  DurableState state;
  state.lock = std::move(lock);
  if (directory.empty()) {
    LogWarning("--state_dir is empty: tunnels end with the daemon");
    return state;
  }
  ASSIGN_OR_RETURN(SqliteStore::Loaded loaded,
                   SqliteStore::Open(directory, KernelIdentity()));
  for (const std::string& problem : loaded.problems) {
    LogError("stored configuration is damaged", {{"cause", problem}});
  }
  for (const std::string& file : loaded.earlier) {
    LogWarning(
        "the store was damaged before: see that nothing is missing, "
        "then remove the file",
        {{"file", file}});
  }
  state.problems = loaded.problems.size();
  state.store = std::move(loaded.store);
  state.state = std::move(loaded.state);
  return state;
}

absl::StatusOr<std::string> RestoreTunnels(DurableState& state,
                                           TunnelManager& manager) {
  if (state.store == nullptr) return std::string("no tunnels brought back");
  ASSIGN_OR_RETURN(const TunnelManager::RestoreReport report,
                   manager.Restore(state.state));
  state.state = {};
  LogFailed(report);
  if (!report.remade.empty()) {
    LogInfo("the devices of these tunnels had gone and were made again",
            {{"tunnels", Names(report.remade)}});
  }
  if (report.reverted) {
    LogWarning("a configuration that was not confirmed was taken back");
  }
  LogInfo("tunnels brought back",
          {{"adopted", absl::StrCat(report.adopted.size())},
           {"made_again", absl::StrCat(report.remade.size())},
           {"failed", absl::StrCat(report.failed.size())}});
  return StatusText(report, state.problems);
}

}  // namespace tunnel::ctl
