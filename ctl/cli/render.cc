#include "ctl/cli/render.h"

#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "ctl/cli/table.h"
#include "encap/encap_config.h"
#include "tunnel/base/units.h"

namespace tunnel::ctl::cli {
namespace {

using tunnel::v1::Tunnel;

std::string Colored(absl::string_view text, tunnel::v1::OperState state,
                    bool color) {
  if (!color) return std::string(text);
  const absl::string_view code = state == tunnel::v1::OPER_UP       ? "32"
                                 : state == tunnel::v1::OPER_FAILED ? "31"
                                 : state == tunnel::v1::OPER_LOOP   ? "31"
                                                                    : "33";
  return absl::StrCat("\033[", code, "m", text, "\033[0m");
}

// "MODE_X" of an enum as a lower-case word without `prefix`.
std::string Word(absl::string_view name, absl::string_view prefix) {
  return absl::AsciiStrToLower(absl::StripPrefix(name, prefix));
}

// The key of one direction: its own, else the common one, else "none".
std::string KeyText(const Tunnel& tunnel, bool input) {
  if (input && tunnel.has_input_key()) return absl::StrCat(tunnel.input_key());
  if (!input && tunnel.has_output_key()) {
    return absl::StrCat(tunnel.output_key());
  }
  return tunnel.has_key() ? absl::StrCat(tunnel.key()) : "none";
}

// " key 42", " key in 1 out 2", or "" without key.
std::string KeysText(const Tunnel& tunnel) {
  const std::string in = KeyText(tunnel, true);
  const std::string out = KeyText(tunnel, false);
  if (in == out) return in == "none" ? "" : absl::StrCat(" key ", in);
  return absl::StrCat(" key in ", in, " out ", out);
}

std::string TtlText(const Tunnel& tunnel) {
  if (tunnel.ttl_inherit()) return "inherit";
  return tunnel.ttl() == 0 ? "64" : absl::StrCat(tunnel.ttl());
}

std::string DfText(tunnel::v1::DfPolicy df) {
  if (df == tunnel::v1::DF_UNSPECIFIED) df = tunnel::v1::DF_ON;
  return Word(tunnel::v1::DfPolicy_Name(df), "DF_");
}

std::string EcnText(tunnel::v1::EcnMode ecn) {
  if (ecn == tunnel::v1::ECN_UNSPECIFIED) ecn = tunnel::v1::ECN_NORMAL;
  return Word(tunnel::v1::EcnMode_Name(ecn), "ECN_");
}

std::string DatapathText(tunnel::v1::Datapath datapath) {
  return Word(tunnel::v1::Datapath_Name(datapath), "DATAPATH_");
}

// RFC 3339 in UTC, to the second.
std::string TimeText(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ",
                          absl::FromUnixSeconds(time.seconds()),
                          absl::UTCTimeZone());
}

// MTU in force; the configured one where the daemon gives no other.
std::string MtuText(const Tunnel& tunnel) {
  if (tunnel.effective_mtu() != 0) return absl::StrCat(tunnel.effective_mtu());
  return tunnel.has_mtu() ? absl::StrCat(tunnel.mtu()) : "auto";
}

// " transport udp port 4754 source-port 7 noudpcsum"; "" without UDP.
std::string TransportText(const Tunnel& tunnel) {
  if (tunnel.transport() != tunnel::v1::TRANSPORT_UDP) return "";
  const bool gre =
      tunnel.mode() == tunnel::v1::GRE || tunnel.mode() == tunnel::v1::GRETAP;
  const uint32_t standard = gre ? encap::kGreInUdpPort : encap::kDirectUdpPort;
  std::string text =
      absl::StrCat(" transport udp port ",
                   tunnel.udp_port() != 0 ? tunnel.udp_port() : standard);
  if (tunnel.udp_source_port() != 0) {
    absl::StrAppend(&text, " source-port ", tunnel.udp_source_port());
  }
  if (tunnel.udp_zero_checksum()) absl::StrAppend(&text, " noudpcsum");
  return text;
}

// What is not at its default of limits, sizes and transport.
std::string OptionsText(const Tunnel& tunnel) {
  std::string text = TransportText(tunnel);
  if (tunnel.has_encap_limit()) {
    absl::StrAppend(&text, " encaplimit ", tunnel.encap_limit());
  }
  if (tunnel.fragment() > tunnel::v1::FRAGMENT_INNER) {
    absl::StrAppend(
        &text, " fragment ",
        Word(tunnel::v1::FragmentPolicy_Name(tunnel.fragment()), "FRAGMENT_"));
  }
  if (tunnel.has_mss_clamp()) {
    absl::StrAppend(
        &text, " mss-clamp ",
        tunnel.mss_clamp() == 0 ? "auto" : absl::StrCat(tunnel.mss_clamp()));
  }
  if (tunnel.rate() != 0)
    absl::StrAppend(&text, " rate ", RateText(tunnel.rate()));
  if (tunnel.burst() != 0)
    absl::StrAppend(&text, " burst ", SizeText(tunnel.burst()));
  if (tunnel.datapath() > tunnel::v1::DATAPATH_AUTO) {
    absl::StrAppend(&text, " datapath ", DatapathText(tunnel.datapath()));
  }
  if (tunnel.steering() > tunnel::v1::STEERING_AUTO) {
    absl::StrAppend(
        &text, " steering ",
        Word(tunnel::v1::Steering_Name(tunnel.steering()), "STEERING_"));
  }
  return text.empty() ? "" : absl::StrCat("   ", text, "\n");
}

std::string SpecLines(const Tunnel& tunnel) {
  std::string text = absl::StrCat(
      "    local ", tunnel.local(), " remote ", tunnel.remote(),
      KeysText(tunnel), tunnel.checksum() ? " csum" : "",
      tunnel.sequence() ? " seq" : "", "\n    ttl ", TtlText(tunnel), " tos ",
      tunnel.has_tos() ? absl::StrCat(tunnel.tos()) : "inherit", " df ",
      DfText(tunnel.df()), " ecn ", EcnText(tunnel.ecn()));
  if (!tunnel.underlay_device().empty()) {
    absl::StrAppend(&text, " dev ", tunnel.underlay_device());
  }
  if (tunnel.fwmark() != 0) absl::StrAppend(&text, " fwmark ", tunnel.fwmark());
  if (tunnel.queues() != 0) absl::StrAppend(&text, " queues ", tunnel.queues());
  if (tunnel.txqueuelen() != 0) {
    absl::StrAppend(&text, " txqueuelen ", tunnel.txqueuelen());
  }
  absl::StrAppend(&text, "\n", OptionsText(tunnel));
  for (const std::string& address : tunnel.addresses()) {
    absl::StrAppend(&text, "    address ", address, "\n");
  }
  for (const std::string& prefix : tunnel.allowed_ips()) {
    absl::StrAppend(&text, "    allowed-ips ", prefix, "\n");
  }
  const std::map<std::string, std::string> labels(tunnel.labels().begin(),
                                                  tunnel.labels().end());
  for (const auto& [key, value] : labels) {
    absl::StrAppend(&text, "    label ", key, "=", value, "\n");
  }
  return text;
}

// Empty from a daemon that does not say.
std::string DatapathLine(const Tunnel& tunnel) {
  if (tunnel.datapath_in_use() == tunnel::v1::DATAPATH_UNSPECIFIED) return "";
  std::string text = absl::StrCat("    datapath in use ",
                                  DatapathText(tunnel.datapath_in_use()));
  if (!tunnel.datapath_reason().empty())
    absl::StrAppend(&text, " (", tunnel.datapath_reason(), ")");
  if (!tunnel.kernel_steering().empty())
    absl::StrAppend(&text, ", steering ", tunnel.kernel_steering());
  if (!tunnel.next_hop().empty()) {
    absl::StrAppend(&text, ", next hop ", tunnel.next_hop());
  } else if (!tunnel.next_hop_reason().empty()) {
    absl::StrAppend(&text, ", next hop by the kernel (",
                    tunnel.next_hop_reason(), ")");
  }
  return text + "\n";
}

std::string StatusLines(const Tunnel& tunnel) {
  std::string text = absl::StrCat("    mtu ", MtuText(tunnel));
  if (!tunnel.mtu_reason().empty()) {
    absl::StrAppend(&text, " = ", tunnel.mtu_reason());
  }
  if (tunnel.overhead() != 0) {
    absl::StrAppend(&text, ", overhead ", tunnel.overhead());
  }
  absl::StrAppend(&text, "\n");
  absl::StrAppend(&text, DatapathLine(tunnel));
  // Where `local` names an interface.
  if (!tunnel.effective_local().empty() &&
      tunnel.effective_local() != tunnel.local()) {
    absl::StrAppend(&text, "    effective local ", tunnel.effective_local(),
                    "\n");
  }
  if (tunnel.has_overlap_until()) {
    absl::StrAppend(&text, "    old identity received until ",
                    TimeText(tunnel.overlap_until()), "\n");
  }
  if (tunnel.paused() || tunnel.detached()) {
    absl::StrAppend(&text, "    held", tunnel.paused() ? " paused" : "",
                    tunnel.detached() ? " detached" : "", "\n");
  }
  absl::StrAppend(&text, "    generation ", tunnel.generation());
  if (!tunnel.etag().empty()) absl::StrAppend(&text, " etag ", tunnel.etag());
  if (tunnel.has_create_time()) {
    absl::StrAppend(&text, " created ", TimeText(tunnel.create_time()));
  }
  if (tunnel.has_update_time()) {
    absl::StrAppend(&text, " changed ", TimeText(tunnel.update_time()));
  }
  return text + "\n";
}

}  // namespace

std::string ModeText(tunnel::v1::Mode mode) {
  if (mode == tunnel::v1::MODE_UNSPECIFIED) return "-";
  const std::string name = tunnel::v1::Mode_Name(mode);
  return name.empty() ? absl::StrCat("mode", mode) : Word(name, "");
}

std::string StateText(tunnel::v1::OperState state) {
  if (state == tunnel::v1::OPER_STATE_UNSPECIFIED) return "UNKNOWN";
  const std::string name = tunnel::v1::OperState_Name(state);
  return name.empty() ? absl::StrCat("STATE", state)
                      : std::string(absl::StripPrefix(name, "OPER_"));
}

std::string IdentityText(const Tunnel& tunnel) {
  return absl::StrCat(tunnel.local(), " -> ", tunnel.remote(),
                      KeysText(tunnel));
}

std::string TableText(const std::vector<Tunnel>& tunnels, bool color) {
  if (tunnels.empty()) return "";
  Table table(
      {"NAME", "MODE", "STATE", "LOCAL", "REMOTE", "KEY", "MTU", "ADDRESSES"});
  for (const Tunnel& tunnel : tunnels) {
    const std::string in = KeyText(tunnel, true);
    const std::string out = KeyText(tunnel, false);
    const std::string state = StateText(tunnel.oper_state());
    std::string key = in == out ? in : absl::StrCat(in, "/", out);
    if (key == "none") key = "-";
    std::string addresses = absl::StrJoin(tunnel.addresses(), " ");
    table.AddRow({tunnel.name(), ModeText(tunnel.mode()), state, tunnel.local(),
                  tunnel.remote(), key, MtuText(tunnel),
                  addresses.empty() ? "-" : addresses});
    table.PaintLast(2, Colored(state, tunnel.oper_state(), color));
  }
  return table.Text();
}

std::string DetailsText(const std::vector<Tunnel>& tunnels, bool color) {
  std::string text;
  for (const Tunnel& tunnel : tunnels) {
    const bool down = tunnel.admin_state() == tunnel::v1::ADMIN_DOWN;
    absl::StrAppend(
        &text, tunnel.ifindex(), ": ", tunnel.name(), ": mode ",
        ModeText(tunnel.mode()), " admin ", down ? "down" : "up", " state ",
        Colored(StateText(tunnel.oper_state()), tunnel.oper_state(), color));
    if (!tunnel.oper_reason().empty()) {
      absl::StrAppend(&text, " (", tunnel.oper_reason(), ")");
    }
    absl::StrAppend(&text, "\n", SpecLines(tunnel), StatusLines(tunnel));
  }
  return text;
}

std::string NamesText(const std::vector<Tunnel>& tunnels) {
  std::string text;
  for (const Tunnel& tunnel : tunnels) {
    absl::StrAppend(&text, tunnel.name(), "\n");
  }
  return text;
}

std::string EventText(const tunnel::v1::WatchTunnelsResponse& event,
                      bool color) {
  using Response = tunnel::v1::WatchTunnelsResponse;
  const std::string revision = absl::StrCat(event.revision(), " ");
  switch (event.event_case()) {
    case Response::kAdded:
    case Response::kModified: {
      const bool added = event.event_case() == Response::kAdded;
      const Tunnel& tunnel = added ? event.added() : event.modified();
      std::string reason;
      if (!tunnel.oper_reason().empty()) {
        reason = absl::StrCat(" (", tunnel.oper_reason(), ")");
      }
      return absl::StrCat(
          revision, added ? "ADDED " : "MODIFIED ", tunnel.name(), " ",
          ModeText(tunnel.mode()), " ",
          Colored(StateText(tunnel.oper_state()), tunnel.oper_state(), color),
          " ", IdentityText(tunnel), " mtu ", MtuText(tunnel), reason, "\n");
    }
    case Response::kDeleted:
      return absl::StrCat(revision, "DELETED ", event.deleted(), "\n");
    case Response::kSynced:
      return absl::StrCat(revision, "SYNCED epoch ", event.epoch(), "\n");
    case Response::kHeartbeat:
    case Response::EVENT_NOT_SET:
      return "";
  }
  return "";
}

}  // namespace tunnel::ctl::cli
