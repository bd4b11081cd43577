// The command line of tunneld. One table makes the parser and the help.

#ifndef CTL_DAEMON_FLAGS_H_
#define CTL_DAEMON_FLAGS_H_

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "ctl/metrics_address.h"
#include "tunnel/base/log.h"
#include "tunnel/endpoint/endpoint_config.h"
#include "tunnel/tunnel_manager.h"

namespace tunnel::ctl {

struct DaemonFlags {
  std::string socket_path = "/run/tunneld/tunneld.sock";  // --listen=unix:PATH
  // "": none, tunnels end with the process.
  std::string state_dir = "/var/lib/tunneld";
  // Applied at the start and at SIGHUP. The default one need not exist; "":
  // none.
  std::string config = "/etc/tunneld/tunneld.toml";
  bool config_given = false;
  int workers = 0;  // 0: one for each CPU that the process may run on
  size_t max_tunnels = 4096;
  // Name or number. A default group that the system does not have is left out;
  // one that was asked for must exist. "": no group.
  std::string admin_group = "tunnel";
  std::string read_only_group = "tunnel-ro";
  bool admin_group_given = false;
  bool read_only_group_given = false;
  size_t max_connections = 64;
  size_t max_connections_per_uid = 16;
  // --metrics_listen=ADDR:PORT, nullopt: not served over HTTP.
  std::optional<MetricsAddress> metrics_listen;
  // What `datapath auto` of a tunnel means.
  DatapathMode datapath = DatapathMode::kAuto;
  // TUN devices hand over and take super-packets.
  bool tun_offload = true;
  // When outer packets go straight to the next hop: --send_socket.
  LinkSending link_sending = LinkSending::kWithoutRules;
  std::chrono::nanoseconds busy_poll{0};
  // Whether received packets go through rings on their way.
  Dispatch dispatch = Dispatch::kHybrid;
  int handoff_packets = 0;  // that each ring holds; 0: fewer where many are
  LogFormat log_format = LogFormat::kText;
  bool help = false;
  bool version = false;
};

// `args` without the program name. "--flag=value" and "--flag value"; dashes
// and underscores in names are the same. Errors: InvalidArgument with one
// sentence for the operator.
absl::StatusOr<DaemonFlags> ParseDaemonFlags(
    absl::Span<const char* const> args);

// The text of --help.
std::string DaemonHelp();

}  // namespace tunnel::ctl

#endif  // CTL_DAEMON_FLAGS_H_
