// tunneld: the daemon. Puts the manager and the server together, and waits for
// a signal.

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "ctl/audit.h"
#include "ctl/config_reload.h"
#include "ctl/daemon_flags.h"
#include "ctl/durable_state.h"
#include "ctl/listen_socket.h"
#include "ctl/privileges.h"
#include "ctl/sd_notify.h"
#include "ctl/server.h"
#include "ctl/version.h"
#include "tunnel/base/log.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/linux_platform.h"
#include "tunnel/tunnel_manager.h"

namespace tunnel::ctl {
namespace {

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;
constexpr int kExitConfig = 78;  // EX_CONFIG
constexpr std::chrono::milliseconds kDrain{1000};
// SIGTERM to exit, at most. Past it something hangs, and the process ends
// itself.
constexpr time_t kShutdownLimitSeconds = 5;

sigset_t HandledSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  return set;
}

// Before any thread starts, so that all inherit it.
void BlockSignals() {
  const sigset_t set = HandledSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // a write then fails with EFBIG
}

// Each queue of each tunnel is a descriptor: take all that the hard limit
// gives.
void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// SIGTERM or SIGINT, when it comes.
int WaitForStop(ConfigReloader& reloader) {
  const sigset_t set = HandledSignals();
  while (true) {
    int signal = 0;
    if (sigwait(&set, &signal) != 0) continue;
    if (signal != SIGHUP) return signal;
    reloader.Request();
  }
}

// Ends the process at once on a second signal, or when the orderly way takes
// too long.
void WatchShutdown() {
  std::thread([] {
    sigset_t set = HandledSignals();
    sigdelset(&set, SIGHUP);
    const timespec limit{.tv_sec = kShutdownLimitSeconds, .tv_nsec = 0};
    int signal = -1;
    do {
      signal = sigtimedwait(&set, nullptr, &limit);
    } while (signal < 0 && errno == EINTR);
    LogError(signal > 0 ? "second signal: exit at once"
                        : "orderly shutdown hangs: exit at once");
    _exit(kExitFailure);
  }).detach();
}

// The group of that name or number. `required`: it must exist.
absl::StatusOr<std::optional<gid_t>> FindGroup(absl::string_view flag,
                                               const std::string& name,
                                               bool required) {
  if (name.empty()) return std::nullopt;
  uint32_t number = 0;
  if (absl::SimpleAtoi(name, &number)) return gid_t{number};
  const group* found = getgrnam(name.c_str());
  if (found != nullptr) return found->gr_gid;
  if (!required) return std::nullopt;
  return absl::FailedPreconditionError(
      absl::StrCat("--", flag, ": there is no group \"", name, "\""));
}

absl::StatusOr<Server::Options> ServerOptions(const DaemonFlags& flags) {
  Server::Options options;
  options.listen.path = flags.socket_path;
  options.metrics_listen = flags.metrics_listen;
  ASSIGN_OR_RETURN(
      options.listen.admin_group,
      FindGroup("admin_group", flags.admin_group, flags.admin_group_given));
  ASSIGN_OR_RETURN(options.listen.read_only_group,
                   FindGroup("read_only_group", flags.read_only_group,
                             flags.read_only_group_given));
  options.acceptor.policy.own_uid = geteuid();
  options.acceptor.policy.admin_group = options.listen.admin_group;
  options.acceptor.policy.read_only_group = options.listen.read_only_group;
  options.acceptor.max_connections = flags.max_connections;
  options.acceptor.max_connections_per_uid = flags.max_connections_per_uid;
  return options;
}

TunnelManager::Options ManagerOptions(const DaemonFlags& flags,
                                      ConfigStore* store) {
  TunnelManager::Options options;
  options.workers = flags.workers;
  options.busy_poll = flags.busy_poll;
  options.datapath = flags.datapath;
  options.dispatch = flags.dispatch;
  options.handoff_packets = static_cast<size_t>(flags.handoff_packets);
  options.max_tunnels = flags.max_tunnels;
  options.store = store;
  options.on_own_change = AuditOwnChange;
  return options;
}

// Brings the stored tunnels back and then the file into effect. A file that
// contradicts itself or the tunnels is returned as an error; of what the system
// refuses the log tells, since the tunnels that are there need the daemon.
absl::Status BringUp(DurableState& state,
                     const std::optional<ConfigFile>& config,
                     TunnelManager& manager, std::string& text) {
  ASSIGN_OR_RETURN(text, RestoreTunnels(state, manager));
  if (!config) return absl::OkStatus();
  const absl::Status status = ApplyDaemonConfig(*config, "start", manager);
  if (status.ok()) return status;
  if (absl::IsInvalidArgument(status) || absl::IsAlreadyExists(status)) {
    return absl::InvalidArgumentError(status.message());
  }
  LogError("the configuration file was not applied; SIGHUP tries again",
           {{"cause", std::string(status.message())}});
  text += "; the configuration file was not applied, see log";
  return absl::OkStatus();
}

void Stop(Server& server, std::unique_ptr<ConfigReloader> reloader,
          std::unique_ptr<TunnelManager> manager) {
  SdNotify("STOPPING=1");
  WatchShutdown();
  server.StopAdmission();
  manager->Shutdown();
  reloader.reset();
  server.Shutdown(kDrain);
  manager.reset();
}

// Errors: INVALID_ARGUMENT is about the configuration file.
absl::Status Run(const DaemonFlags& flags,
                 const std::optional<ConfigFile>& config) {
  ASSIGN_OR_RETURN(UniqueFd state_lock, OwnStateDir(flags.state_dir));
  ASSIGN_OR_RETURN(const Server::Options server_options, ServerOptions(flags));
  ASSIGN_OR_RETURN(const std::unique_ptr<LinuxPlatform> platform,
                   LinuxPlatform::Create({.tun_offload = flags.tun_offload,
                                          .link_sending = flags.link_sending}));
  // The socket may have to be given to a group, which takes more than is kept.
  ASSIGN_OR_RETURN(ListenSocket listener,
                   ListenSocket::Open(server_options.listen));
  RETURN_IF_ERROR(KeepNetworkCapabilitiesOnly());
  ASSIGN_OR_RETURN(DurableState state,
                   OpenDurableState(flags.state_dir, std::move(state_lock)));
  ASSIGN_OR_RETURN(
      std::unique_ptr<TunnelManager> manager,
      TunnelManager::Create(ManagerOptions(flags, state.store.get()),
                            platform->platform()));
  std::string text;
  RETURN_IF_ERROR(BringUp(state, config, *manager, text));
  ASSIGN_OR_RETURN(
      const std::unique_ptr<Server> server,
      Server::Start(server_options, std::move(listener), *manager));
  auto reloader = std::make_unique<ConfigReloader>(
      flags.config, flags.config_given, *manager);
  SdNotify(absl::StrCat("READY=1\nSTATUS=", text));
  LogInfo("ready", {{"version", kVersion},
                    {"socket", flags.socket_path},
                    {"state_dir", flags.state_dir},
                    {"pid", absl::StrCat(getpid())}});
  const int signal = WaitForStop(*reloader);
  LogInfo("stopping", {{"signal", strsignal(signal)}});
  Stop(*server, std::move(reloader), std::move(manager));
  LogInfo("stopped");
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
#ifdef NDEBUG
  // Debian's Abseil looks for deadlocks in each mutex that gRPC takes.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
  const absl::StatusOr<DaemonFlags> flags =
      ParseDaemonFlags(absl::MakeConstSpan(argv, argc).subspan(1));
  if (!flags.ok()) {
    fprintf(stderr, "tunneld: %s\n",
            std::string(flags.status().message()).c_str());
    return kExitUsage;
  }
  if (flags->help || flags->version) {
    const std::string text =
        flags->help ? DaemonHelp() : absl::StrCat("tunneld ", kVersion, "\n");
    return fputs(text.c_str(), stdout) < 0 || fflush(stdout) != 0 ? kExitFailure
                                                                  : 0;
  }
  SetLogFormat(flags->log_format);
  BlockSignals();
  RaiseFileLimit();
  // Before anything is touched.
  const absl::StatusOr<std::optional<ConfigFile>> config =
      ReadDaemonConfig(flags->config, flags->config_given);
  if (!config.ok()) {
    fprintf(stderr, "%s\n", std::string(config.status().message()).c_str());
    return kExitConfig;
  }
  const absl::Status status = Run(*flags, *config);
  if (status.ok()) return 0;
  LogError("can not start", {{"cause", std::string(status.message())}});
  return absl::IsInvalidArgument(status) ? kExitConfig : kExitFailure;
}

}  // namespace
}  // namespace tunnel::ctl

int main(int argc, char** argv) { return tunnel::ctl::Main(argc, argv); }
