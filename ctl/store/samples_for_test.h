// A value of each kind that a store holds, with every field set.

#ifndef CTL_STORE_SAMPLES_FOR_TEST_H_
#define CTL_STORE_SAMPLES_FOR_TEST_H_

#include <chrono>
#include <string>

#include "absl/time/time.h"
#include "encap/address.h"
#include "tunnel/config_store.h"

namespace tunnel::ctl {

// No field has its default value, but for two: local_device goes in place of an
// address, encap_limit is for the other outer family (SixConfig()).
inline EndpointConfig FullConfig(const std::string& name) {
  EndpointConfig config;
  config.name = name;
  config.encap.mode = encap::Mode::kGre;
  config.encap.local = *encap::IpAddress::Parse("192.0.2.1");
  config.encap.remote = *encap::IpAddress::Parse("192.0.2.2");
  config.encap.input_key = 0;
  config.encap.output_key = 7;
  config.encap.checksum = true;
  config.encap.sequence = true;
  config.encap.ttl = std::nullopt;
  config.encap.tos = 184;
  config.encap.df = encap::DfPolicy::kOff;
  config.encap.ecn = encap::EcnMode::kCompat;
  config.encap.transport = encap::OuterTransport::kUdp;
  config.encap.udp_port = 4000;
  config.encap.udp_source_port = 4001;
  config.encap.udp_zero_checksum = true;
  config.encap.fragment = encap::FragmentPolicy::kOuter;
  config.steering = Steering::kOn;
  config.encap.allowed_sources = {*encap::IpPrefix::Parse("10.9.0.0/16"),
                                  *encap::IpPrefix::Parse("fd00::/64")};
  config.encap.mss_clamp = 1234;
  config.mtu = 1333;
  config.underlay_device = "eth7";
  config.fwmark = 9;
  config.addresses = {*encap::IpPrefix::Parse("10.9.0.1/30"),
                      *encap::IpPrefix::Parse("fd00::1/64")};
  config.queues = 3;
  config.txqueuelen = 77;
  config.rate = 5'000'000'123;
  config.burst = 70'001;
  config.admin_up = false;
  config.datapath = DatapathMode::kUser;
  config.labels = {{"site", "a \"b\" ü"}, {"empty", ""}};
  return config;
}

inline EndpointConfig SixConfig(const std::string& name) {
  EndpointConfig config;
  config.name = name;
  config.encap.mode = encap::Mode::kGretap;
  config.encap.local = *encap::IpAddress::Parse("2001:db8::1");
  config.encap.remote = *encap::IpAddress::Parse("::");
  config.encap.encap_limit = 0;
  return config;
}

inline StoredTunnel FullTunnel(const std::string& name) {
  StoredTunnel tunnel;
  tunnel.config = FullConfig(name);
  tunnel.ifindex = 42;
  tunnel.generation = 5;
  tunnel.create_time = absl::FromUnixNanos(1'700'000'000'123'456'789);
  tunnel.update_time = absl::FromUnixNanos(1'800'000'000'000'000'001);
  tunnel.paused = true;
  tunnel.detached = true;
  return tunnel;
}

inline StoredTunnel SimpleTunnel(const std::string& name, uint32_t key) {
  StoredTunnel tunnel;
  tunnel.config.name = name;
  tunnel.config.encap.mode = encap::Mode::kGre;
  tunnel.config.encap.local = *encap::IpAddress::Parse("192.0.2.1");
  tunnel.config.encap.remote = *encap::IpAddress::Parse("192.0.2.2");
  tunnel.config.encap.input_key = tunnel.config.encap.output_key = key;
  tunnel.ifindex = 100 + key;
  tunnel.generation = 1;
  tunnel.create_time = tunnel.update_time = absl::FromUnixSeconds(1'000'000);
  return tunnel;
}

inline TunnelView FullView() {
  TunnelView view;
  view.config = FullConfig("t0");
  view.etag = "\"e\"";
  view.oper_state = OperState::kPaused;
  view.oper_reason = "paused by an operator";
  view.ifindex = 42;
  view.effective_mtu = 1333;
  view.mtu_reason = "configured";
  view.overhead = 66;
  view.generation = 5;
  view.revision = 99;
  view.create_time = absl::FromUnixNanos(1'700'000'000'123'456'789);
  view.update_time = absl::FromUnixNanos(1'700'000'000'123'456'790);
  view.paused = true;
  view.detached = true;
  view.effective_local = *encap::IpAddress::Parse("192.0.2.1");
  view.datapath_in_use = DatapathMode::kBpf;
  view.datapath_reason = "rate is set";
  view.kernel_steering = "cpus 0-3";
  view.overlap_until = absl::FromUnixSeconds(1'900'000'000);
  return view;
}

inline ChangeResult FullChange() {
  ChangeResult change;
  change.action = ChangeAction::kUpdated;
  change.tunnel = FullView();
  change.changes = {{"ttl", "64", "inherit"}};
  change.no_op = true;
  change.validated_only = true;
  change.timing.lock_wait = std::chrono::nanoseconds(1);
  change.timing.prepare = std::chrono::nanoseconds(2);
  change.timing.pause = std::chrono::nanoseconds(3);
  change.timing.disestablish = std::chrono::nanoseconds(4);
  change.timing.detach = std::chrono::nanoseconds(5);
  change.timing.attach = std::chrono::nanoseconds(6);
  change.timing.establish = std::chrono::nanoseconds(7);
  change.timing.resume = std::chrono::nanoseconds(8);
  change.timing.packets_dropped = 9;
  return change;
}

inline StoredRequest FullRequest(const std::string& id) {
  StoredRequest request;
  request.id = id;
  request.fingerprint = std::string("f\0g", 3);
  request.result.changes = {FullChange(), FullChange()};
  request.result.no_op = true;
  request.result.validated_only = true;
  request.result.lock_wait = std::chrono::nanoseconds(10);
  request.result.lock_hold = std::chrono::nanoseconds(11);
  request.result.etag = "\"all\"";
  request.result.pending = PendingApply{"p1",
                                        absl::FromUnixSeconds(2'000'000'000),
                                        std::chrono::milliseconds(30000),
                                        {"t0", "t1"}};
  return request;
}

inline StoredPending FullPending() {
  StoredPending pending;
  pending.id = "p1";
  pending.deadline = absl::FromUnixNanos(2'000'000'000'000'000'003);
  pending.before = {FullTunnel("t0"), SimpleTunnel("t1", 1)};
  pending.created = {"t2", "t3"};
  return pending;
}

}  // namespace tunnel::ctl

#endif  // CTL_STORE_SAMPLES_FOR_TEST_H_
