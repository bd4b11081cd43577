#include "ctl/cli/render_reply.h"

#include <cstdint>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "ctl/cli/duration.h"
#include "ctl/cli/json.h"
#include "ctl/cli/render.h"
#include "ctl/cli/table.h"

namespace tunnel::ctl::cli {
namespace {

// Of drops by reason, of system calls by kind.
using CountMap = google::protobuf::Map<std::string, uint64_t>;
using Counts = std::map<std::string, uint64_t>;  // in the order of names

void AddCounts(const CountMap& from, Counts* to) {
  for (const auto& [what, count] : from) (*to)[what] += count;
}

Counts Sorted(const CountMap& from) {
  Counts counts;
  AddCounts(from, &counts);
  return counts;
}

uint64_t Total(const CountMap& counts) {
  uint64_t total = 0;
  for (const auto& [what, count] : counts) total += count;
  return total;
}

// From the first packet held back to the last one let go again.
absl::Duration PauseOf(const tunnel::v1::ChangeTiming& timing) {
  return FromProto(timing.pause()) + FromProto(timing.disestablish()) +
         FromProto(timing.detach()) + FromProto(timing.attach()) +
         FromProto(timing.establish()) + FromProto(timing.resume());
}

std::string FieldsText(const tunnel::v1::TunnelChange& change) {
  std::vector<std::string> fields;
  for (const tunnel::v1::FieldChange& field : change.changes()) {
    fields.push_back(absl::StrCat(field.field(), " ",
                                  ValueText(field.old_value()), " -> ",
                                  ValueText(field.new_value())));
  }
  return fields.empty() ? "changed" : absl::StrJoin(fields, ", ");
}

std::string WhatChanged(Verb verb, const tunnel::v1::TunnelChange& change) {
  const tunnel::v1::Tunnel& tunnel = change.tunnel();
  switch (verb) {
    case Verb::kCreate:
      return absl::StrCat("created ", ModeText(tunnel.mode()), " ",
                          IdentityText(tunnel));
    case Verb::kDelete:
      return "deleted";
    case Verb::kPause:
      return "paused";
    case Verb::kResume:
      return "resumed";
    case Verb::kDetach:
      return "detached";
    case Verb::kAttach:
      return "attached";
    default:
      return FieldsText(change);
  }
}

void WriteCounts(const Counts& counts, JsonWriter* json) {
  json->BeginObject();
  for (const auto& [what, count] : counts) json->Key(what).Number(count);
  json->EndObject();
}

template <typename Buckets>
void WriteHistogram(absl::string_view name, const Buckets& buckets,
                    JsonWriter* json) {
  json->Key(name).BeginArray();
  for (const uint64_t count : buckets) json->Number(count);
  json->EndArray();
}

// All fields, here and below, those at their default too; the counters as
// numbers.
void WriteHandoff(const v1::HandoffStats& handoff, JsonWriter* json) {
  json->Key("handoff").BeginObject();
  json->Key("packets").Number(handoff.packets());
  json->Key("depth").Number(handoff.depth());
  json->Key("capacity").Number(handoff.capacity());
  json->Key("high_watermark").Number(handoff.high_watermark());
  json->Key("pushes").Number(handoff.pushes());
  json->Key("visits").Number(handoff.visits());
  json->Key("wakeups").Number(handoff.wakeups());
  json->Key("drops").Number(handoff.drops());
  WriteHistogram("batch_histogram", handoff.batch_histogram(), json);
  WriteHistogram("depth_histogram", handoff.depth_histogram(), json);
  json->Key("depth_sum").Number(handoff.depth_sum());
  json->EndObject();
}

void WriteWorkerStats(const v1::WorkerStats& worker, JsonWriter* json) {
  json->BeginObject();
  json->Key("worker").Number(worker.worker());
  json->Key("cpu").Number(worker.cpu());
  json->Key("wakeups").Number(worker.wakeups());
  json->Key("receive_batches").Number(worker.receive_batches());
  json->Key("receive_packets").Number(worker.receive_packets());
  json->Key("transmit_batches").Number(worker.transmit_batches());
  json->Key("transmit_packets").Number(worker.transmit_packets());
  WriteHistogram("receive_batch_histogram", worker.receive_batch_histogram(),
                 json);
  WriteHistogram("transmit_batch_histogram", worker.transmit_batch_histogram(),
                 json);
  json->Key("socket_drops").Number(worker.socket_drops());
  json->Key("busy_seconds").Decimal(worker.busy_seconds());
  json->Key("syscalls");
  WriteCounts(Sorted(worker.syscalls()), json);
  if (worker.has_handoff()) WriteHandoff(worker.handoff(), json);
  json->EndObject();
}

void WriteCaptureStats(const v1::CaptureStats& capture, JsonWriter* json) {
  json->BeginObject();
  json->Key("capture").Number(capture.capture());
  json->Key("tunnel").String(capture.tunnel());
  WriteHandoff(capture.handoff(), json);
  json->EndObject();
}

void WriteTunnelStats(const tunnel::v1::TunnelStats& stats, JsonWriter* json) {
  json->BeginObject();
  json->Key("name").String(stats.name());
  json->Key("receive_packets").Number(stats.receive_packets());
  json->Key("receive_bytes").Number(stats.receive_bytes());
  json->Key("transmit_packets").Number(stats.transmit_packets());
  json->Key("transmit_bytes").Number(stats.transmit_bytes());
  json->Key("transmit_passed").Number(stats.transmit_passed());
  Counts drops = Sorted(stats.receive_drops());
  json->Key("receive_drops");
  WriteCounts(drops, json);
  json->Key("transmit_drops");
  WriteCounts(Sorted(stats.transmit_drops()), json);
  AddCounts(stats.transmit_drops(), &drops);
  json->Key("drops");
  WriteCounts(drops, json);
  if (stats.has_last_receive_time()) {
    json->Key("last_receive_time").Message(stats.last_receive_time());
  }
  json->EndObject();
}

std::string DropLines(absl::string_view name, absl::string_view direction,
                      const CountMap& drops) {
  std::string text;
  for (const auto& [reason, count] : Sorted(drops)) {
    if (count == 0) continue;
    absl::StrAppend(&text, name, " ", direction, " drop ", reason, " ", count,
                    "\n");
  }
  return text;
}

// What the kernel's fast path has left to the workers.
std::string PassedLines(const tunnel::v1::GetStatsResponse& stats) {
  std::string text;
  for (const tunnel::v1::TunnelStats& tunnel : stats.tunnels()) {
    if (tunnel.transmit_passed() == 0) continue;
    absl::StrAppend(&text, tunnel.name(), " tx passed by bpf ",
                    tunnel.transmit_passed(), "\n");
  }
  return text;
}

std::string Ratio(uint64_t of, uint64_t by) {
  if (by == 0) return "-";
  return absl::StrFormat("%.2f",
                         static_cast<double>(of) / static_cast<double>(by));
}

// What workers have handed to each other, and to captures; nothing where no
// rings are.
std::string HandoffsText(const tunnel::v1::GetStatsResponse& stats) {
  Table table({"HAND-OFF", "PACKETS", "DEPTH", "CAPACITY", "HIGH-WATER",
               "PACKETS/WAKEUP", "SYNCS/PACKET", "DROPS"});
  table.AlignRight(1);
  bool any = false;
  const auto add = [&](std::string to, const v1::HandoffStats& handoff) {
    any = true;
    table.AddRow(
        {std::move(to), absl::StrCat(handoff.packets()),
         absl::StrCat(handoff.depth()), absl::StrCat(handoff.capacity()),
         absl::StrCat(handoff.high_watermark()),
         Ratio(handoff.packets(), handoff.wakeups()),
         Ratio(2 * (handoff.pushes() + handoff.visits()), handoff.packets()),
         absl::StrCat(handoff.drops())});
  };
  for (const tunnel::v1::WorkerStats& worker : stats.workers()) {
    if (worker.has_handoff())
      add(absl::StrCat("to worker ", worker.worker()), worker.handoff());
  }
  for (const tunnel::v1::CaptureStats& capture : stats.captures())
    add(absl::StrCat("capture ", capture.tunnel()), capture.handoff());
  return any ? table.Text() : "";
}

std::string WorkersText(const tunnel::v1::GetStatsResponse& stats) {
  if (stats.workers().empty()) return "";
  Table table({"WORKER", "CPU", "WAKEUPS", "RX-BATCHES", "RX-PACKETS",
               "TX-BATCHES", "TX-PACKETS", "SOCKET-DROPS", "SYSCALLS",
               "PACKETS/CALL"});
  table.AlignRight(1);
  for (const tunnel::v1::WorkerStats& worker : stats.workers()) {
    const uint64_t calls = Total(worker.syscalls());
    table.AddRow(
        {absl::StrCat(worker.worker()), absl::StrCat(worker.cpu()),
         absl::StrCat(worker.wakeups()), absl::StrCat(worker.receive_batches()),
         absl::StrCat(worker.receive_packets()),
         absl::StrCat(worker.transmit_batches()),
         absl::StrCat(worker.transmit_packets()),
         absl::StrCat(worker.socket_drops()), absl::StrCat(calls),
         Ratio(worker.receive_packets() + worker.transmit_packets(), calls)});
  }
  return table.Text();
}

}  // namespace

std::string ValueText(absl::string_view json) {
  if (json.size() >= 2 && json.front() == '"' && json.back() == '"') {
    json = json.substr(1, json.size() - 2);
  }
  return json.empty() || json == "null" ? "none" : std::string(json);
}

std::string CostText(absl::string_view what,
                     const tunnel::v1::TunnelChange& change) {
  const tunnel::v1::ChangeTiming& timing = change.timing();
  const absl::Duration lock_wait = FromProto(timing.lock_wait());
  std::vector<std::string> parts;
  if (timing.has_pause()) {
    parts.push_back(absl::StrCat(what, " ", DurationText(PauseOf(timing))));
    parts.push_back(absl::StrCat(timing.packets_dropped(), " packets dropped"));
  }
  if (lock_wait >= absl::Milliseconds(1)) {
    parts.push_back(
        absl::StrCat("waited ", DurationText(lock_wait), " for the lock"));
  }
  if (parts.empty()) return "";
  return absl::StrCat(" (", absl::StrJoin(parts, ", "), ")");
}

std::string ChangeText(Verb verb, const tunnel::v1::TunnelChange& change) {
  const std::string name = change.tunnel().name();
  const std::string dry = change.validated_only() ? "dry run: " : "";
  if (change.no_op()) {
    return absl::StrCat(name, ": ", dry,
                        verb == Verb::kDelete ? "does not exist" : "unchanged",
                        "\n");
  }
  const bool of_fields =
      verb == Verb::kSet || verb == Verb::kUp || verb == Verb::kDown;
  return absl::StrCat(name, ": ", dry, WhatChanged(verb, change),
                      CostText(of_fields ? "paused" : "in", change), "\n");
}

std::string StatsText(const tunnel::v1::GetStatsResponse& stats, bool details) {
  std::string text;
  std::string drops;
  if (!stats.tunnels().empty()) {
    Table table({"NAME", "RX-PACKETS", "RX-BYTES", "RX-DROPS", "TX-PACKETS",
                 "TX-BYTES", "TX-DROPS"});
    table.AlignRight(1);
    for (const tunnel::v1::TunnelStats& tunnel : stats.tunnels()) {
      table.AddRow({tunnel.name(), absl::StrCat(tunnel.receive_packets()),
                    absl::StrCat(tunnel.receive_bytes()),
                    absl::StrCat(Total(tunnel.receive_drops())),
                    absl::StrCat(tunnel.transmit_packets()),
                    absl::StrCat(tunnel.transmit_bytes()),
                    absl::StrCat(Total(tunnel.transmit_drops()))});
      absl::StrAppend(&drops,
                      DropLines(tunnel.name(), "rx", tunnel.receive_drops()),
                      DropLines(tunnel.name(), "tx", tunnel.transmit_drops()));
    }
    text = table.Text();
  }
  absl::StrAppend(&text, drops);
  if (!details) return text;
  absl::StrAppend(&text, PassedLines(stats),
                  DropLines("(no tunnel)", "rx", stats.unmatched_drops()),
                  WorkersText(stats), HandoffsText(stats));
  return text;
}

std::string StatsJson(const tunnel::v1::GetStatsResponse& stats, bool details,
                      bool pretty) {
  JsonWriter json(pretty);
  if (details) json.BeginObject().Key("tunnels");
  json.BeginArray();
  for (const tunnel::v1::TunnelStats& tunnel : stats.tunnels()) {
    WriteTunnelStats(tunnel, &json);
  }
  json.EndArray();
  if (details) {
    json.Key("unmatched_drops");
    WriteCounts(Sorted(stats.unmatched_drops()), &json);
    json.Key("workers").BeginArray();
    for (const auto& worker : stats.workers()) WriteWorkerStats(worker, &json);
    json.EndArray();
    json.Key("captures").BeginArray();
    for (const auto& capture : stats.captures())
      WriteCaptureStats(capture, &json);
    json.EndArray();
    if (stats.has_read_time()) json.Key("read_time").Message(stats.read_time());
    if (stats.has_steady_time())
      json.Key("steady_time").Message(stats.steady_time());
    json.EndObject();
  }
  return json.Take() + "\n";
}

std::string TunnelsJson(const std::vector<tunnel::v1::Tunnel>& tunnels,
                        bool pretty) {
  JsonWriter json(pretty);
  json.BeginArray();
  for (const tunnel::v1::Tunnel& tunnel : tunnels) json.Message(tunnel);
  json.EndArray();
  return json.Take() + "\n";
}

std::string MessageJson(const google::protobuf::Message& message, bool pretty) {
  JsonWriter json(pretty);
  json.Message(message);
  return json.Take() + "\n";
}

}  // namespace tunnel::ctl::cli
