#include "ctl/convert_reply.h"

#include <cstdint>
#include <string>

#include "ctl/convert.h"
#include "ctl/convert_enums.h"
#include "ctl/wire_time.h"
#include "encap/drop_reason.h"

namespace tunnel::ctl {
namespace {

using DropMap = google::protobuf::Map<std::string, uint64_t>;

void WriteDrops(const DropCounts& drops, DropMap& out) {
  for (size_t i = 0; i < drops.size(); ++i) {
    if (drops[i] == 0) continue;
    out[std::string(encap::kDropReasonInfo[i].name)] = drops[i];
  }
}

v1::LockParty PartyToProto(const LockParty& party) {
  v1::LockParty out;
  out.set_id(party.id);
  out.set_operation(party.operation);
  out.set_uid(party.uid);
  out.set_pid(party.pid);
  *out.mutable_age() = DurationToProto(party.age);
  return out;
}

v1::PendingApply PendingToProto(const PendingApply& pending) {
  v1::PendingApply out;
  out.set_id(pending.id);
  *out.mutable_deadline() = TimeToProto(pending.deadline);
  *out.mutable_remaining() = DurationToProto(pending.remaining);
  for (const std::string& name : pending.tunnels) out.add_tunnels(name);
  return out;
}

v1::LatencyHistogram HistogramToProto(const LatencyHistogram& histogram) {
  v1::LatencyHistogram out;
  for (const int64_t bound : LatencyHistogram::kBoundsNs) {
    out.add_bounds_seconds(ToSeconds(std::chrono::nanoseconds(bound)));
  }
  for (const uint64_t count : histogram.counts) out.add_counts(count);
  out.set_sum_seconds(ToSeconds(histogram.sum));
  return out;
}

void WriteTiming(const ChangeTiming& timing, v1::ChangeTiming& out) {
  *out.mutable_lock_wait() = DurationToProto(timing.lock_wait);
  const auto write = [](const ChangeTiming::Span& span, auto mutable_field) {
    if (span) *mutable_field() = DurationToProto(*span);
  };
  write(timing.prepare, [&] { return out.mutable_prepare(); });
  write(timing.pause, [&] { return out.mutable_pause(); });
  write(timing.disestablish, [&] { return out.mutable_disestablish(); });
  write(timing.detach, [&] { return out.mutable_detach(); });
  write(timing.attach, [&] { return out.mutable_attach(); });
  write(timing.establish, [&] { return out.mutable_establish(); });
  write(timing.resume, [&] { return out.mutable_resume(); });
  out.set_packets_dropped(timing.packets_dropped);
}

v1::TunnelStats CountersToProto(const std::string& name,
                                const TunnelCounters& counters) {
  v1::TunnelStats out;
  out.set_name(name);
  out.set_receive_packets(counters.receive_packets);
  out.set_receive_bytes(counters.receive_bytes);
  out.set_transmit_packets(counters.transmit_packets);
  out.set_transmit_bytes(counters.transmit_bytes);
  out.set_transmit_passed(counters.transmit_passed);
  WriteDrops(counters.receive_drops, *out.mutable_receive_drops());
  WriteDrops(counters.transmit_drops, *out.mutable_transmit_drops());
  if (counters.last_receive) {
    *out.mutable_last_receive_time() = TimeToProto(*counters.last_receive);
  }
  return out;
}

v1::HandoffStats HandoffToProto(const HandoffCounters& handoff) {
  v1::HandoffStats out;
  out.set_packets(handoff.packets);
  out.set_depth(handoff.depth);
  out.set_capacity(handoff.capacity);
  out.set_high_watermark(handoff.high_watermark);
  out.set_pushes(handoff.batches);
  out.set_visits(handoff.reads);
  out.set_wakeups(handoff.wakeups);
  out.set_drops(handoff.drops);
  for (const uint64_t n : handoff.batch) out.add_batch_histogram(n);
  for (const uint64_t n : handoff.depths) out.add_depth_histogram(n);
  out.set_depth_sum(handoff.depth_sum);
  return out;
}

v1::WorkerStats WorkerToProto(const WorkerCounters& worker) {
  v1::WorkerStats out;
  out.set_worker(worker.worker);
  out.set_cpu(worker.cpu);
  out.set_wakeups(worker.wakeups);
  out.set_receive_batches(worker.receive_batches);
  out.set_receive_packets(worker.receive_packets);
  out.set_transmit_batches(worker.transmit_batches);
  out.set_transmit_packets(worker.transmit_packets);
  for (const uint64_t n : worker.receive_batch) {
    out.add_receive_batch_histogram(n);
  }
  for (const uint64_t n : worker.transmit_batch) {
    out.add_transmit_batch_histogram(n);
  }
  out.set_socket_drops(worker.socket_drops);
  out.set_busy_seconds(worker.busy_seconds);
  for (size_t i = 0; i < worker.syscalls.size(); ++i)
    (*out.mutable_syscalls())[kSyscallNames[i]] = worker.syscalls[i];
  if (worker.handoff.capacity != 0)
    *out.mutable_handoff() = HandoffToProto(worker.handoff);
  return out;
}

}  // namespace

v1::TunnelChange ChangeToProto(const ChangeResult& result) {
  v1::TunnelChange out;
  *out.mutable_tunnel() = ViewToProto(result.tunnel);
  for (const FieldDifference& difference : result.changes) {
    *out.add_changes() = DifferenceToProto(difference);
  }
  out.set_no_op(result.no_op);
  out.set_validated_only(result.validated_only);
  WriteTiming(result.timing, *out.mutable_timing());
  out.set_action(ToProto(result.action));
  out.set_replayed(result.replayed);
  return out;
}

v1::ConfigChange ChangeToProto(const ApplyResult& result) {
  v1::ConfigChange out;
  for (const ChangeResult& change : result.changes) {
    *out.add_changes() = ChangeToProto(change);
  }
  out.set_no_op(result.no_op);
  out.set_validated_only(result.validated_only);
  *out.mutable_lock_wait() = DurationToProto(result.lock_wait);
  *out.mutable_lock_hold() = DurationToProto(result.lock_hold);
  out.set_etag(result.etag);
  if (result.pending) *out.mutable_pending() = PendingToProto(*result.pending);
  out.set_replayed(result.replayed);
  return out;
}

v1::WatchTunnelsResponse EventToProto(const WatchEvent& event) {
  v1::WatchTunnelsResponse out;
  out.set_epoch(event.epoch);
  out.set_revision(event.revision);
  switch (event.kind) {
    case WatchEvent::Kind::kAdded:
      *out.mutable_added() = ViewToProto(event.tunnel);
      break;
    case WatchEvent::Kind::kModified:
      *out.mutable_modified() = ViewToProto(event.tunnel);
      break;
    case WatchEvent::Kind::kDeleted:
      out.set_deleted(event.tunnel.config.name);
      break;
    case WatchEvent::Kind::kSynced:
      out.mutable_synced();
      break;
    case WatchEvent::Kind::kExpired:
      break;  // ends the stream, see WatchCall
  }
  return out;
}

v1::ConfigLockState LockInfoToProto(
    const ConfigLockInfo& info, const std::optional<PendingApply>& pending) {
  v1::ConfigLockState out;
  if (info.holder) *out.mutable_holder() = PartyToProto(*info.holder);
  out.set_step(info.step);
  for (const LockParty& waiter : info.waiters) {
    *out.add_waiters() = PartyToProto(waiter);
  }
  out.set_acquired_total(info.acquired_total);
  out.set_interrupted_total(info.interrupted_total);
  *out.mutable_wait() = HistogramToProto(info.wait);
  *out.mutable_hold() = HistogramToProto(info.hold);
  if (pending) *out.mutable_pending() = PendingToProto(*pending);
  return out;
}

v1::GetStatsResponse StatsToProto(const StatsSnapshot& stats) {
  v1::GetStatsResponse out;
  for (const StatsSnapshot::Tunnel& tunnel : stats.tunnels) {
    *out.add_tunnels() = CountersToProto(tunnel.name, tunnel.counters);
  }
  WriteDrops(stats.unmatched_drops, *out.mutable_unmatched_drops());
  for (const WorkerCounters& worker : stats.workers) {
    *out.add_workers() = WorkerToProto(worker);
  }
  for (const CaptureCounters& capture : stats.captures) {
    v1::CaptureStats& row = *out.add_captures();
    row.set_capture(capture.capture);
    row.set_tunnel(capture.tunnel);
    *row.mutable_handoff() = HandoffToProto(capture.handoff);
  }
  *out.mutable_read_time() = TimeToProto(stats.read_time);
  *out.mutable_steady_time() = DurationToProto(stats.steady_time);
  return out;
}

}  // namespace tunnel::ctl
