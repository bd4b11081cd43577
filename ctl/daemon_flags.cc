#include "ctl/daemon_flags.h"

#include <array>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"

namespace tunnel::ctl {
namespace {

constexpr int kMaxWorkers = 1024;
constexpr int kMaxCount = 1'000'000;

struct FlagInfo {
  absl::string_view name;
  absl::string_view value;  // what stands in the help; "": takes none
  absl::string_view help;
  // False: `text` is not what `value` says.
  bool (*set)(const std::string& text, DaemonFlags& flags);
};

bool ReadNumber(const std::string& text, int low, int high, int& out) {
  int value = 0;
  if (!absl::SimpleAtoi(text, &value) || value < low || value > high) {
    return false;
  }
  out = value;
  return true;
}

bool ReadCount(const std::string& text, size_t& out) {
  int value = 0;
  if (!ReadNumber(text, 1, kMaxCount, value)) return false;
  out = static_cast<size_t>(value);
  return true;
}

bool SetListen(const std::string& text, DaemonFlags& flags) {
  absl::string_view path = text;
  if (!absl::ConsumePrefix(&path, "unix:")) return false;
  absl::ConsumePrefix(&path, "//");  // unix:///run/... is the same
  if (path.empty() || path[0] != '/') return false;
  flags.socket_path = std::string(path);
  return true;
}

bool SetDatapath(const std::string& text, DaemonFlags& flags) {
  for (const DatapathMode mode :
       {DatapathMode::kAuto, DatapathMode::kUser, DatapathMode::kBpf}) {
    if (text != DatapathText(mode)) continue;
    flags.datapath = mode;
    return true;
  }
  return false;
}

bool SetDispatch(const std::string& text, DaemonFlags& flags) {
  constexpr std::pair<absl::string_view, Dispatch> kPolicies[] = {
      {"direct", Dispatch::kDirect},
      {"deferred", Dispatch::kDeferred},
      {"hybrid", Dispatch::kHybrid},
  };
  for (const auto& [word, policy] : kPolicies) {
    if (text != word) continue;
    flags.dispatch = policy;
    return true;
  }
  return false;
}

bool SetSendSocket(const std::string& text, DaemonFlags& flags) {
  constexpr std::pair<absl::string_view, LinkSending> kWays[] = {
      {"auto", LinkSending::kWithoutRules},
      {"raw", LinkSending::kNever},
      {"packet", LinkSending::kAlways},
  };
  for (const auto& [word, way] : kWays) {
    if (text != word) continue;
    flags.link_sending = way;
    return true;
  }
  return false;
}

constexpr std::array<FlagInfo, 19> kFlags = {{
    {"listen", "unix:PATH",
     "socket of the API; PATH is absolute [unix:/run/tunneld/tunneld.sock]",
     SetListen},
    {"state_dir", "DIR",
     "where tunnels outlive the daemon; one daemon owns it at a time; \"\" is "
     "none, and tunnels end with the daemon [/var/lib/tunneld]",
     [](const std::string& text, DaemonFlags& flags) {
       flags.state_dir = text;
       return true;
     }},
    {"config", "FILE",
     "tunnels to have, applied at the start and at SIGHUP; \"\" is none "
     "[/etc/tunneld/tunneld.toml, if it exists]",
     [](const std::string& text, DaemonFlags& flags) {
       flags.config = text;
       flags.config_given = true;
       return true;
     }},
    {"workers", "N", "packet workers, 1 to 1024; 0 is one a CPU [0]",
     [](const std::string& text, DaemonFlags& flags) {
       return ReadNumber(text, 0, kMaxWorkers, flags.workers);
     }},
    {"max_tunnels", "N", "tunnels at most, from 1 [4096]",
     [](const std::string& text, DaemonFlags& flags) {
       return ReadCount(text, flags.max_tunnels);
     }},
    {"admin_group", "GROUP",
     "users of this group may do everything, as root may; \"\" is none "
     "[tunnel]",
     [](const std::string& text, DaemonFlags& flags) {
       flags.admin_group = text;
       flags.admin_group_given = true;
       return true;
     }},
    {"read_only_group", "GROUP",
     "users of this group may read; \"\" is none [tunnel-ro]",
     [](const std::string& text, DaemonFlags& flags) {
       flags.read_only_group = text;
       flags.read_only_group_given = true;
       return true;
     }},
    {"max_connections", "N", "connections to the API at most [64]",
     [](const std::string& text, DaemonFlags& flags) {
       return ReadCount(text, flags.max_connections);
     }},
    {"max_connections_per_uid", "N",
     "the same for each user but root and the daemon's own [16]",
     [](const std::string& text, DaemonFlags& flags) {
       return ReadCount(text, flags.max_connections_per_uid);
     }},
    {"metrics_listen", "ADDR:PORT",
     "serve metrics for Prometheus at http://ADDR:PORT/metrics (IPv4); anybody "
     "who gets there may read them [off]",
     [](const std::string& text, DaemonFlags& flags) {
       absl::StatusOr<MetricsAddress> address = ParseMetricsAddress(text);
       if (!address.ok()) return false;
       flags.metrics_listen = *std::move(address);
       return true;
     }},
    {"datapath", "auto|user|bpf",
     "what carries the packets of tunnels with datapath auto: user is the "
     "daemon, auto the kernel where it can, bpf the same and no start where "
     "it can not [auto]",
     SetDatapath},
    {"tun_offload", "on|off",
     "let the tunnel devices hand over TCP and UDP packets in large pieces, "
     "and merge those that are received [on]",
     [](const std::string& text, DaemonFlags& flags) {
       flags.tun_offload = text == "on";
       return text == "on" || text == "off";
     }},
    {"send_socket", "auto|raw|packet",
     "what the daemon sends outer packets by: raw is as any program of the "
     "host does; packet goes straight to the next hop on Ethernet, which is "
     "faster, past netfilter, and keeps what it receives from the IP stack; "
     "auto does that while no rule is there [auto]",
     SetSendSocket},
    {"busy_poll", "DURATION",
     "ask for packets for that long before a worker sleeps, 0s to 1s, such as "
     "50us: shorter delays for the time of a CPU; 0 is never [0]",
     [](const std::string& text, DaemonFlags& flags) {
       absl::Duration duration;
       if (!absl::ParseDuration(text, &duration) ||
           duration < absl::ZeroDuration() || duration > absl::Seconds(1)) {
         return false;
       }
       flags.busy_poll = absl::ToChronoNanoseconds(duration);
       return true;
     }},
    {"dispatch", "direct|deferred|hybrid",
     "direct: the worker that receives a packet writes it, whatever a tunnel "
     "says of steering; deferred: through a ring, always; hybrid: through a "
     "ring to another worker where the tunnel steers [hybrid]",
     SetDispatch},
    {"handoff_packets", "N",
     "packets that each ring between two workers holds at the start, 16 to "
     "16384; 0 is 32 to 1024, by the number of workers [0]",
     [](const std::string& text, DaemonFlags& flags) {
       return ReadNumber(text, 0, 16384, flags.handoff_packets) &&
              (flags.handoff_packets == 0 || flags.handoff_packets >= 16);
     }},
    {"log_format", "text|json", "form of the log lines on stderr [text]",
     [](const std::string& text, DaemonFlags& flags) {
       const std::optional<LogFormat> format = ParseLogFormat(text);
       flags.log_format = format.value_or(LogFormat::kText);
       return format.has_value();
     }},
    {"version", "", "print the version and exit",
     [](const std::string&, DaemonFlags& flags) {
       return flags.version = true;
     }},
    {"help", "", "print this text and exit",
     [](const std::string&, DaemonFlags& flags) { return flags.help = true; }},
}};

const FlagInfo* FindFlag(absl::string_view name) {
  const std::string wanted = absl::StrReplaceAll(name, {{"-", "_"}});
  for (const FlagInfo& flag : kFlags) {
    if (flag.name == wanted) return &flag;
  }
  return nullptr;
}

absl::Status UsageError(absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(what, "; 'tunneld --help' lists what there is"));
}

}  // namespace

absl::StatusOr<DaemonFlags> ParseDaemonFlags(
    absl::Span<const char* const> args) {
  DaemonFlags flags;
  for (size_t i = 0; i < args.size(); ++i) {
    absl::string_view arg = args[i];
    if (!absl::ConsumePrefix(&arg, "--") || arg.empty()) {
      return UsageError(absl::StrCat("unexpected argument \"", args[i], "\""));
    }
    const size_t equals = arg.find('=');
    const FlagInfo* flag = FindFlag(arg.substr(0, equals));
    if (flag == nullptr) {
      return UsageError(absl::StrCat("unknown flag --", arg.substr(0, equals)));
    }
    const bool takes_value = !flag->value.empty();
    std::string text;
    if (equals != absl::string_view::npos) {
      text = std::string(arg.substr(equals + 1));
      if (!takes_value) {
        return UsageError(absl::StrCat("--", flag->name, " takes no value"));
      }
    } else if (takes_value) {
      if (++i == args.size()) {
        return UsageError(absl::StrCat("--", flag->name, " wants a value"));
      }
      text = args[i];
    }
    if (!flag->set(text, flags)) {
      return UsageError(absl::StrCat("--", flag->name, ": \"", text,
                                     "\" is not ", flag->value));
    }
  }
  return flags;
}

std::string DaemonHelp() {
  std::string out =
      "tunneld: makes tunnel interfaces and carries their packets.\n"
      "\n"
      "usage: tunneld [FLAG]...\n"
      "\n";
  for (const FlagInfo& flag : kFlags) {
    const std::string left = absl::StrCat(
        "--", flag.name, flag.value.empty() ? "" : "=", flag.value);
    absl::StrAppendFormat(&out, "  %-32s %s\n", left, flag.help);
  }
  out +=
      "\n"
      "Needs CAP_NET_ADMIN and CAP_NET_RAW, and CAP_BPF and CAP_PERFMON to\n"
      "carry packets in the kernel. SIGTERM and SIGINT stop it; the\n"
      "devices of tunnels stay, and the next start takes them over. SIGHUP\n"
      "reads the configuration file again.\n"
      "Exit status: 0 stopped, 1 can not start or run, 2 wrong usage, 78 the\n"
      "configuration file is not valid.\n";
  return out;
}

}  // namespace tunnel::ctl
