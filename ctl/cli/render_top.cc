#include "ctl/cli/render_top.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "ctl/cli/json.h"
#include "ctl/cli/table.h"

namespace tunnel::ctl::cli {
namespace {

// "0", "0.3", "17", "12.3k", "1.25M".
std::string RateText(double rate) {
  if (rate == 0) return "0";
  absl::string_view unit;
  for (const absl::string_view next : {"k", "M", "G", "T"}) {
    if (rate < 999.5) break;
    rate /= 1000;
    unit = next;
  }
  int digits = 0;
  if (rate < 99.95) digits = 1;
  if (rate < 9.995 && !unit.empty()) digits = 2;
  return absl::StrFormat("%.*f%s", digits, rate, unit);
}

std::string RatioText(std::optional<double> ratio) {
  return ratio ? absl::StrFormat("%.2f", *ratio) : "-";
}

std::string SumLine(const TopView& view) {
  TunnelRates sum;
  for (const TunnelRates& tunnel : view.tunnels) {
    sum.receive.packets += tunnel.receive.packets;
    sum.transmit.packets += tunnel.transmit.packets;
    sum.receive.drops += tunnel.receive.drops + tunnel.transmit.drops;
  }
  return absl::StrCat(
      absl::StrFormat("%.2f s: ", view.seconds), view.tunnels.size(),
      view.tunnels.size() == 1 ? " tunnel, " : " tunnels, ",
      RateText(sum.receive.packets), " packets/s in, ",
      RateText(sum.transmit.packets), " out, ", RateText(sum.receive.drops),
      " drops/s, ", RateText(view.unmatched_drops), " of no tunnel\n");
}

std::string TunnelsTable(const TopView& view, size_t rows) {
  Table table({"NAME", "RX-PACKETS/S", "RX-BITS/S", "RX-DROPS/S",
               "TX-PACKETS/S", "TX-BITS/S", "TX-DROPS/S"});
  table.AlignRight(1);
  for (size_t i = 0; i < rows; ++i) {
    const TunnelRates& tunnel = view.tunnels[i];
    std::vector<std::string> cells = {tunnel.name};
    for (const auto* way : {&tunnel.receive, &tunnel.transmit}) {
      for (const double rate : {way->packets, way->bits, way->drops})
        cells.push_back(RateText(rate));
    }
    table.AddRow(std::move(cells));
  }
  std::string text = table.Text();
  if (rows < view.tunnels.size())
    absl::StrAppend(&text, "and ", view.tunnels.size() - rows, " more\n");
  return text;
}

std::string WorkersTable(const TopView& view) {
  if (view.workers.empty()) return "";
  Table table({"WORKER", "CPU", "BUSY", "RX-PACKETS/S", "RX-BATCH",
               "TX-PACKETS/S", "TX-BATCH", "PACKETS/CALL", "SOCKET-DROPS/S"});
  table.AlignRight(1);
  for (const WorkerRates& worker : view.workers) {
    table.AddRow(
        {absl::StrCat(worker.worker), absl::StrCat(worker.cpu),
         absl::StrFormat("%.0f%%", 100 * worker.busy),
         RateText(worker.receive_packets), RatioText(worker.receive_batch),
         RateText(worker.transmit_packets), RatioText(worker.transmit_batch),
         RatioText(worker.packets_per_syscall), RateText(worker.socket_drops)});
  }
  return table.Text();
}

std::string HandoffsTable(const TopView& view) {
  if (view.handoffs.empty()) return "";
  Table table({"HAND-OFF", "PACKETS/S", "DEPTH", "MEAN", "HIGH", "BATCH",
               "PACKETS/WAKEUP", "SYNCS/PACKET", "DROPS/S"});
  table.AlignRight(1);
  for (const HandoffRates& handoff : view.handoffs) {
    table.AddRow(
        {handoff.capture == 0 ? absl::StrCat("to worker ", handoff.worker)
                              : absl::StrCat("capture ", handoff.tunnel),
         RateText(handoff.packets),
         absl::StrCat(handoff.depth, "/", handoff.capacity),
         RatioText(handoff.mean_depth), absl::StrCat(handoff.high_watermark),
         RatioText(handoff.batch), RatioText(handoff.packets_per_wakeup),
         RatioText(handoff.syncs_per_packet), RateText(handoff.drops)});
  }
  return table.Text();
}

void Write(absl::string_view way, const TunnelRates::Direction& rates,
           JsonWriter& json) {
  json.Key(absl::StrCat(way, "_packets_per_second")).Decimal(rates.packets);
  json.Key(absl::StrCat(way, "_bits_per_second")).Decimal(rates.bits);
  json.Key(absl::StrCat(way, "_drops_per_second")).Decimal(rates.drops);
}

void Write(absl::string_view name, std::optional<double> ratio,
           JsonWriter& json) {
  if (ratio) json.Key(name).Decimal(*ratio);
}

void Write(const WorkerRates& worker, JsonWriter& json) {
  json.BeginObject();
  json.Key("worker").Number(worker.worker);
  json.Key("cpu").Number(worker.cpu);
  json.Key("busy").Decimal(worker.busy);
  json.Key("receive_packets_per_second").Decimal(worker.receive_packets);
  json.Key("transmit_packets_per_second").Decimal(worker.transmit_packets);
  json.Key("socket_drops_per_second").Decimal(worker.socket_drops);
  Write("receive_batch", worker.receive_batch, json);
  Write("transmit_batch", worker.transmit_batch, json);
  json.Key("syscalls_per_second").Decimal(worker.syscalls);
  Write("packets_per_syscall", worker.packets_per_syscall, json);
  json.EndObject();
}

void Write(const HandoffRates& handoff, JsonWriter& json) {
  json.BeginObject();
  if (handoff.capture == 0) {
    json.Key("worker").Number(handoff.worker);
  } else {
    json.Key("capture").Number(handoff.capture);
    json.Key("tunnel").String(handoff.tunnel);
  }
  json.Key("packets_per_second").Decimal(handoff.packets);
  json.Key("drops_per_second").Decimal(handoff.drops);
  json.Key("depth").Number(handoff.depth);
  json.Key("capacity").Number(handoff.capacity);
  json.Key("high_watermark").Number(handoff.high_watermark);
  Write("mean_depth", handoff.mean_depth, json);
  Write("batch", handoff.batch, json);
  Write("packets_per_wakeup", handoff.packets_per_wakeup, json);
  Write("syncs_per_packet", handoff.syncs_per_packet, json);
  json.EndObject();
}

}  // namespace

std::string TopText(const TopView& view, size_t lines) {
  const std::string below =
      absl::StrCat(WorkersTable(view), HandoffsTable(view));
  size_t rows = view.tunnels.size();
  if (lines != 0) {
    // Beside the rows: the sums, the heading, and what is below.
    const size_t others =
        2 + static_cast<size_t>(std::count(below.begin(), below.end(), '\n'));
    const size_t room = lines > others ? lines - others : 0;
    // The last line says how many more there are.
    if (rows > room) rows = room > 0 ? room - 1 : 0;
  }
  return absl::StrCat(SumLine(view), TunnelsTable(view, rows), below);
}

std::string TopJson(const TopView& view, bool pretty) {
  JsonWriter json(pretty);
  json.BeginObject();
  json.Key("seconds").Decimal(view.seconds);
  json.Key("tunnels").BeginArray();
  for (const TunnelRates& tunnel : view.tunnels) {
    json.BeginObject();
    json.Key("name").String(tunnel.name);
    Write("receive", tunnel.receive, json);
    Write("transmit", tunnel.transmit, json);
    json.EndObject();
  }
  json.EndArray();
  json.Key("unmatched_drops_per_second").Decimal(view.unmatched_drops);
  json.Key("workers").BeginArray();
  for (const WorkerRates& worker : view.workers) Write(worker, json);
  json.EndArray();
  json.Key("handoffs").BeginArray();
  for (const HandoffRates& handoff : view.handoffs) Write(handoff, json);
  json.EndArray();
  json.EndObject();
  return json.Take() + "\n";
}

std::string OnScreen(absl::string_view text) {
  std::string out = "\x1b[H";  // to the first line
  for (const absl::string_view line :
       absl::StrSplit(absl::StripSuffix(text, "\n"), '\n')) {
    absl::StrAppend(&out, line, "\x1b[K\n");  // clears the rest of the line
  }
  absl::StrAppend(&out, "\x1b[J");  // and the lines below
  return out;
}

}  // namespace tunnel::ctl::cli
