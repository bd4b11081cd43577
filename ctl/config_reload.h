// The configuration file of the daemon: applied when it starts, and again at
// each SIGHUP.

#ifndef CTL_CONFIG_RELOAD_H_
#define CTL_CONFIG_RELOAD_H_

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ctl/config_file/config_file.h"
#include "tunnel/tunnel_manager.h"

namespace tunnel::ctl {

// The file at `path`; nullopt when there is none and that is allowed
// (`required` is false), or path is empty. Errors: as ReadConfigFile().
absl::StatusOr<std::optional<ConfigFile>> ReadDaemonConfig(
    const std::string& path, bool required);

// Brings the tunnels of the file to what it says, all or none; with `prune` in
// it, deletes all others. `operation` names the change in log and audit.
// Errors: those of TunnelManager::Apply(), with the name of the file in front.
absl::Status ApplyDaemonConfig(const ConfigFile& file,
                               const std::string& operation,
                               TunnelManager& manager);

// Reads and applies the file again on request, in a thread of its own, so that
// nobody waits. An error is logged and changes nothing. Requests that come
// while one is carried out are carried out as one.
class ConfigReloader {
 public:
  // `manager` outlives it. Call TunnelManager::Shutdown() before the
  // destructor, so that a change that waits leaves.
  ConfigReloader(std::string path, bool required, TunnelManager& manager);
  ~ConfigReloader();

  // Any thread.
  void Request();

 private:
  void Run();
  void Reload();

  const std::string path_;
  const bool required_;
  TunnelManager& manager_;
  std::mutex mu_;
  std::condition_variable changed_;
  bool requested_ = false;  // under mu_
  bool stop_ = false;       // under mu_
  std::thread thread_;
};

}  // namespace tunnel::ctl

#endif  // CTL_CONFIG_RELOAD_H_
