#include "ctl/config_reload.h"

#include <unistd.h>

#include <chrono>
#include <utility>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "ctl/audit.h"
#include "ctl/convert.h"
#include "ctl/sd_notify.h"
#include "tunnel/base/log.h"
#include "tunnel/base/status_macros.h"

namespace tunnel::ctl {
namespace {

// The same error about the file.
absl::Status About(const ConfigFile& file, const absl::Status& status) {
  absl::Status out(status.code(),
                   absl::StrCat(file.name, ": ", status.message()));
  status.ForEachPayload([&out](absl::string_view url, const absl::Cord& bytes) {
    out.SetPayload(url, bytes);
  });
  return out;
}

}  // namespace

absl::StatusOr<std::optional<ConfigFile>> ReadDaemonConfig(
    const std::string& path, bool required) {
  if (path.empty()) return std::nullopt;
  absl::StatusOr<ConfigFile> file = ReadConfigFile(path);
  if (file.ok()) return std::optional<ConfigFile>(*std::move(file));
  if (!required && absl::IsNotFound(file.status())) return std::nullopt;
  return file.status();
}

absl::Status ApplyDaemonConfig(const ConfigFile& file,
                               const std::string& operation,
                               TunnelManager& manager) {
  std::vector<EndpointConfig> wanted;
  for (const v1::Tunnel& tunnel : file.tunnels) {
    ASSIGN_OR_RETURN(EndpointConfig config, ConfigFromProto(tunnel));
    wanted.push_back(std::move(config));
  }
  const auto edit = [&](const TunnelManager::Configs& current)
      -> absl::StatusOr<TunnelManager::Configs> {
    TunnelManager::Configs next;
    if (!file.prune) next = current;
    for (const EndpointConfig& config : wanted) next[config.name] = config;
    return next;
  };
  LockTimes times;
  CallContext call;
  call.uid = getuid();
  call.pid = getpid();
  call.operation = operation;
  call.lock_times = &times;
  const auto start = std::chrono::steady_clock::now();
  const absl::StatusOr<ApplyResult> result = manager.Apply(call, edit, {});
  AuditChange({call, "", start, times}, result);
  return result.ok() ? absl::OkStatus() : About(file, result.status());
}

ConfigReloader::ConfigReloader(std::string path, bool required,
                               TunnelManager& manager)
    : path_(std::move(path)),
      required_(required),
      manager_(manager),
      thread_(&ConfigReloader::Run, this) {}

ConfigReloader::~ConfigReloader() {
  {
    const std::lock_guard lock(mu_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void ConfigReloader::Request() {
  {
    const std::lock_guard lock(mu_);
    requested_ = true;
  }
  changed_.notify_all();
}

void ConfigReloader::Run() {
  for (;;) {
    {
      std::unique_lock lock(mu_);
      changed_.wait(lock, [this] { return requested_ || stop_; });
      if (stop_) return;
      requested_ = false;
    }
    Reload();
  }
}

void ConfigReloader::Reload() {
  const absl::StatusOr<std::optional<ConfigFile>> file =
      ReadDaemonConfig(path_, required_);
  absl::Status status = file.status();
  if (file.ok() && !file->has_value()) {
    LogInfo("SIGHUP: there is no configuration file", {{"file", path_}});
    return;
  }
  if (status.ok()) {
    status = ApplyDaemonConfig(**file, "SIGHUP", manager_);
  }
  if (!status.ok()) {
    LogError("SIGHUP: the configuration file was not applied; nothing changed",
             {{"cause", std::string(status.message())}});
    SdNotify("STATUS=the configuration file was not applied, see log");
    return;
  }
  LogInfo("SIGHUP: configuration file applied", {{"file", path_}});
  SdNotify("STATUS=configuration file applied");
}

}  // namespace tunnel::ctl
