#include "ctl/store/record.h"

#include <chrono>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "ctl/convert.h"
#include "ctl/convert_enums.h"
#include "proto/tunnel/store/v1/store.pb.h"
#include "tunnel/base/status_macros.h"

namespace tunnel::ctl {
namespace {

namespace pb = ::tunnel::store::v1;

using std::chrono::nanoseconds;

template <typename Message>
absl::StatusOr<Message> Parse(const std::string& bytes) {
  Message message;
  if (message.ParseFromString(bytes)) return message;
  return absl::DataLossError("not a record of this kind");
}

absl::Time TimeFromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) +
         absl::Nanoseconds(time.nanos());
}

pb::StoredTunnel ToProto(const StoredTunnel& tunnel, absl::string_view kernel) {
  pb::StoredTunnel out;
  *out.mutable_spec() = SpecToProto(tunnel.config);
  out.set_ifindex(tunnel.ifindex);
  out.set_kernel(std::string(kernel));
  out.set_generation(tunnel.generation);
  out.set_create_time_ns(absl::ToUnixNanos(tunnel.create_time));
  out.set_update_time_ns(absl::ToUnixNanos(tunnel.update_time));
  out.set_paused(tunnel.paused);
  out.set_detached(tunnel.detached);
  return out;
}

absl::StatusOr<StoredTunnel> FromProto(const pb::StoredTunnel& tunnel,
                                       absl::string_view kernel) {
  StoredTunnel out;
  ASSIGN_OR_RETURN(out.config, ConfigFromProto(tunnel.spec()));
  out.ifindex = tunnel.kernel() == kernel ? tunnel.ifindex() : 0;
  out.generation = tunnel.generation();
  out.create_time = absl::FromUnixNanos(tunnel.create_time_ns());
  out.update_time = absl::FromUnixNanos(tunnel.update_time_ns());
  out.paused = tunnel.paused();
  out.detached = tunnel.detached();
  return out;
}

absl::StatusOr<TunnelView> ViewFromProto(const v1::Tunnel& tunnel) {
  TunnelView view;
  ASSIGN_OR_RETURN(view.config, ConfigFromProto(tunnel));
  view.etag = tunnel.etag();
  view.oper_state =
      ctl::FromProto(tunnel.oper_state()).value_or(OperState::kDown);
  view.oper_reason = tunnel.oper_reason();
  view.ifindex = tunnel.ifindex();
  view.effective_mtu = tunnel.effective_mtu();
  view.mtu_reason = tunnel.mtu_reason();
  view.overhead = tunnel.overhead();
  view.generation = tunnel.generation();
  view.create_time = TimeFromProto(tunnel.create_time());
  view.update_time = TimeFromProto(tunnel.update_time());
  view.paused = tunnel.paused();
  view.detached = tunnel.detached();
  view.datapath_in_use =
      ctl::FromProto(tunnel.datapath_in_use()).value_or(DatapathMode::kUser);
  view.datapath_reason = tunnel.datapath_reason();
  view.kernel_steering = tunnel.kernel_steering();
  if (const auto local = encap::IpAddress::Parse(tunnel.effective_local()))
    view.effective_local = *local;
  if (tunnel.has_overlap_until()) {
    view.overlap_until = TimeFromProto(tunnel.overlap_until());
  }
  return view;
}

void TimingToProto(const ChangeTiming& timing, pb::StoredChange& out) {
  out.set_lock_wait_ns(timing.lock_wait.count());
  if (timing.prepare) out.set_prepare_ns(timing.prepare->count());
  if (timing.pause) out.set_pause_ns(timing.pause->count());
  if (timing.disestablish) {
    out.set_disestablish_ns(timing.disestablish->count());
  }
  if (timing.detach) out.set_detach_ns(timing.detach->count());
  if (timing.attach) out.set_attach_ns(timing.attach->count());
  if (timing.establish) out.set_establish_ns(timing.establish->count());
  if (timing.resume) out.set_resume_ns(timing.resume->count());
  out.set_packets_dropped(timing.packets_dropped);
}

ChangeTiming TimingFromProto(const pb::StoredChange& change) {
  ChangeTiming out;
  out.lock_wait = nanoseconds(change.lock_wait_ns());
  if (change.has_prepare_ns()) out.prepare = nanoseconds(change.prepare_ns());
  if (change.has_pause_ns()) out.pause = nanoseconds(change.pause_ns());
  if (change.has_disestablish_ns()) {
    out.disestablish = nanoseconds(change.disestablish_ns());
  }
  if (change.has_detach_ns()) out.detach = nanoseconds(change.detach_ns());
  if (change.has_attach_ns()) out.attach = nanoseconds(change.attach_ns());
  if (change.has_establish_ns()) {
    out.establish = nanoseconds(change.establish_ns());
  }
  if (change.has_resume_ns()) out.resume = nanoseconds(change.resume_ns());
  out.packets_dropped = change.packets_dropped();
  return out;
}

pb::StoredChange ToProto(const ChangeResult& change) {
  pb::StoredChange out;
  out.set_action(ctl::ToProto(change.action));
  *out.mutable_tunnel() = ViewToProto(change.tunnel);
  out.set_revision(change.tunnel.revision);
  for (const FieldDifference& difference : change.changes) {
    *out.add_changes() = DifferenceToProto(difference);
  }
  out.set_no_op(change.no_op);
  out.set_validated_only(change.validated_only);
  TimingToProto(change.timing, out);
  return out;
}

absl::StatusOr<ChangeResult> FromProto(const pb::StoredChange& change) {
  ChangeResult out;
  out.action = ctl::FromProto(change.action());
  ASSIGN_OR_RETURN(out.tunnel, ViewFromProto(change.tunnel()));
  out.tunnel.revision = change.revision();
  for (const v1::FieldChange& field : change.changes()) {
    out.changes.push_back(
        {field.field(), field.old_value(), field.new_value()});
  }
  out.no_op = change.no_op();
  out.validated_only = change.validated_only();
  out.timing = TimingFromProto(change);
  return out;
}

void ToProto(const PendingApply& pending, pb::StoredPendingInfo& out) {
  out.set_id(pending.id);
  out.set_deadline_ns(absl::ToUnixNanos(pending.deadline));
  out.set_remaining_ms(pending.remaining.count());
  for (const std::string& name : pending.tunnels) out.add_tunnels(name);
}

PendingApply FromProto(const pb::StoredPendingInfo& pending) {
  PendingApply out;
  out.id = pending.id();
  out.deadline = absl::FromUnixNanos(pending.deadline_ns());
  out.remaining = std::chrono::milliseconds(pending.remaining_ms());
  out.tunnels = {pending.tunnels().begin(), pending.tunnels().end()};
  return out;
}

}  // namespace

std::string TunnelToBytes(const StoredTunnel& tunnel,
                          absl::string_view kernel) {
  return ToProto(tunnel, kernel).SerializeAsString();
}

std::string DeviceToBytes(const StoredDevice& device,
                          absl::string_view kernel) {
  pb::StoredDevice out;
  out.set_name(device.name);
  out.set_ifindex(device.ifindex);
  out.set_ethernet(device.ethernet);
  out.set_kernel(std::string(kernel));
  return out.SerializeAsString();
}

std::string RequestToBytes(const StoredRequest& request) {
  pb::StoredRequest out;
  out.set_id(request.id);
  out.set_fingerprint(request.fingerprint);
  const ApplyResult& result = request.result;
  for (const ChangeResult& change : result.changes) {
    *out.add_changes() = ToProto(change);
  }
  out.set_no_op(result.no_op);
  out.set_validated_only(result.validated_only);
  out.set_lock_wait_ns(result.lock_wait.count());
  out.set_lock_hold_ns(result.lock_hold.count());
  out.set_etag(result.etag);
  if (result.pending) ToProto(*result.pending, *out.mutable_pending());
  return out.SerializeAsString();
}

std::string PendingToBytes(const StoredPending& pending,
                           absl::string_view kernel) {
  pb::StoredPending out;
  out.set_id(pending.id);
  out.set_deadline_ns(absl::ToUnixNanos(pending.deadline));
  for (const StoredTunnel& tunnel : pending.before) {
    *out.add_before() = ToProto(tunnel, kernel);
  }
  for (const std::string& name : pending.created) out.add_created(name);
  return out.SerializeAsString();
}

absl::StatusOr<StoredTunnel> TunnelFromBytes(const std::string& bytes,
                                             absl::string_view kernel) {
  ASSIGN_OR_RETURN(const auto message, Parse<pb::StoredTunnel>(bytes));
  return FromProto(message, kernel);
}

absl::StatusOr<StoredDevice> DeviceFromBytes(const std::string& bytes,
                                             absl::string_view kernel) {
  ASSIGN_OR_RETURN(const auto message, Parse<pb::StoredDevice>(bytes));
  StoredDevice out;
  out.name = message.name();
  out.ifindex = message.kernel() == kernel ? message.ifindex() : 0;
  out.ethernet = message.ethernet();
  return out;
}

absl::StatusOr<StoredRequest> RequestFromBytes(const std::string& bytes) {
  ASSIGN_OR_RETURN(const auto message, Parse<pb::StoredRequest>(bytes));
  StoredRequest out;
  out.id = message.id();
  out.fingerprint = message.fingerprint();
  ApplyResult& result = out.result;
  for (const pb::StoredChange& change : message.changes()) {
    ASSIGN_OR_RETURN(ChangeResult read, FromProto(change));
    result.changes.push_back(std::move(read));
  }
  result.no_op = message.no_op();
  result.validated_only = message.validated_only();
  result.lock_wait = nanoseconds(message.lock_wait_ns());
  result.lock_hold = nanoseconds(message.lock_hold_ns());
  result.etag = message.etag();
  if (message.has_pending()) result.pending = FromProto(message.pending());
  return out;
}

absl::StatusOr<StoredPending> PendingFromBytes(const std::string& bytes,
                                               absl::string_view kernel) {
  ASSIGN_OR_RETURN(const auto message, Parse<pb::StoredPending>(bytes));
  StoredPending out;
  out.id = message.id();
  out.deadline = absl::FromUnixNanos(message.deadline_ns());
  for (const pb::StoredTunnel& tunnel : message.before()) {
    ASSIGN_OR_RETURN(StoredTunnel read, FromProto(tunnel, kernel));
    out.before.push_back(std::move(read));
  }
  out.created = {message.created().begin(), message.created().end()};
  return out;
}

}  // namespace tunnel::ctl
