// The fast path as the manager drives it: which calls, in which order.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "tunnel/manager_fast_fixture.h"
#include "tunnel/memory_store.h"

namespace tunnel {
namespace {

using Calls = std::vector<std::string>;

class ManagerFastTest : public ManagerFastFixture {
 protected:
  void MustCreate(const EndpointConfig& config) {
    const auto made = Create(config);
    ASSERT_TRUE(made.ok()) << made.status();
    ifindex_ = std::to_string(made->tunnel.ifindex);
    fast_.TakeCalls();
  }
  void MustEdit(const std::function<void(EndpointConfig&)>& edit) {
    const auto done = Edit("gre0", edit);
    ASSERT_TRUE(done.ok()) << done.status();
  }
  TunnelView View(const char* name = "gre0") {
    const auto view = manager_->Get(name);
    EXPECT_TRUE(view.ok()) << view.status();
    return view.value_or(TunnelView{});
  }
  static EndpointConfig GreInUdp(const char* name,
                                 const char* remote = "192.0.2.2") {
    EndpointConfig config = Gre(name, remote);
    config.encap.transport = encap::OuterTransport::kUdp;
    config.encap.udp_zero_checksum = true;
    return config;
  }
  bool IsFast() { return View().datapath_in_use == DatapathMode::kBpf; }
  TunnelCounters Counters() {
    return manager_->Stats({"gre0"})->tunnels.at(0).counters;
  }

  std::string ifindex_;
};

TEST_F(ManagerFastTest, CreateEntersBothDirections) {
  const auto made = Create(Gre("gre0", "192.0.2.2", 7));
  ASSERT_TRUE(made.ok()) << made.status();
  const std::string device = std::to_string(made->tunnel.ifindex);
  EXPECT_EQ(fast_.TakeCalls(),
            (Calls{"open " + device, "prepare 1 via 1 mtu 1500",
                   "in 192.0.2.2 7 1", "out " + device + " 1"}));
  EXPECT_TRUE(IsFast());
  EXPECT_EQ(View().datapath_reason, "");
}

TEST_F(ManagerFastTest, PauseAndDetachWait) {
  MustCreate(Gre("gre0"));
  ASSERT_TRUE(manager_->Pause(call_, "gre0", {}).ok());
  EXPECT_EQ(fast_.TakeCalls(), (Calls{"out " + ifindex_ + " -", "wait"}));
  ASSERT_TRUE(manager_->Resume(call_, "gre0", {}).ok());
  EXPECT_EQ(fast_.TakeCalls().front(), "out " + ifindex_ + " 1");
  ASSERT_TRUE(manager_->Detach(call_, "gre0", {}).ok());
  EXPECT_EQ(fast_.TakeCalls(), (Calls{"out " + ifindex_ + " -", "wait",
                                      "in 192.0.2.2 - -", "wait"}));
  ASSERT_TRUE(manager_->Attach(call_, "gre0", {}).ok());
  const Calls attached = fast_.TakeCalls();
  ASSERT_GE(attached.size(), 2u);
  EXPECT_EQ(attached[0], "in 192.0.2.2 - 1");
  EXPECT_EQ(attached[1], "out " + ifindex_ + " 1");
}

TEST_F(ManagerFastTest, APausedTunnelStaysPausedWhenItChanges) {
  MustCreate(Gre("gre0"));
  ASSERT_TRUE(manager_->Pause(call_, "gre0", {}).ok());
  fast_.TakeCalls();
  MustEdit([](EndpointConfig& c) { c.encap.ttl = 9; });
  for (const std::string& call : fast_.TakeCalls())
    EXPECT_NE(call, "out " + ifindex_ + " 2");
}

TEST_F(ManagerFastTest, OnePublicationDoesNotStop) {
  MustCreate(Gre("gre0"));
  MustEdit([](EndpointConfig& c) { c.encap.ttl = 9; });
  EXPECT_EQ(fast_.TakeCalls(),
            (Calls{"prepare 2 via 1 mtu 1500", "in 192.0.2.2 - 2",
                   "out " + ifindex_ + " 2", "wait", "drop 1"}));
}

TEST_F(ManagerFastTest, AMoveTakesTheStepsInOrder) {
  MustCreate(Gre("gre0"));
  MustEdit([](EndpointConfig& c) { c.encap.remote = Address("192.0.2.3"); });
  EXPECT_EQ(fast_.TakeCalls(),
            (Calls{"prepare 2 via 1 mtu 1500", "out " + ifindex_ + " -", "wait",
                   "in 192.0.2.2 - -", "forget 192.0.2.2 -", "in 192.0.2.3 - 2",
                   "out " + ifindex_ + " 2", "wait", "drop 1"}));
}

TEST_F(ManagerFastTest, ManyTunnelsShareTheirWaits) {
  MustCreate(Gre("gre0"));
  ASSERT_TRUE(Create(Gre("gre1", "192.0.2.3")).ok());
  fast_.TakeCalls();
  ASSERT_TRUE(Apply([](TunnelManager::Configs& all) {
                std::swap(all["gre0"].encap.remote, all["gre1"].encap.remote);
              }).ok());
  const Calls calls = fast_.TakeCalls();
  EXPECT_EQ(std::count(calls.begin(), calls.end(), "wait"), 2);
}

TEST_F(ManagerFastTest, TheFieldChooses) {
  MustCreate(Gre("gre0"));
  MustEdit([](EndpointConfig& c) { c.datapath = DatapathMode::kUser; });
  EXPECT_EQ(
      fast_.TakeCalls(),
      (Calls{"in 192.0.2.2 - -", "out " + ifindex_ + " -", "wait", "drop 1"}));
  EXPECT_FALSE(IsFast());
  EXPECT_EQ(View().datapath_reason, "datapath is user");
  MustEdit([](EndpointConfig& c) { c.datapath = DatapathMode::kBpf; });
  EXPECT_TRUE(IsFast());
}

TEST_F(ManagerFastTest, WhatItCanNotCarryHasAReason) {
  EndpointConfig config = Gre("gre0");
  config.encap.checksum = true;
  MustCreate(config);
  EXPECT_FALSE(IsFast());
  EXPECT_EQ(View().datapath_reason, "checksum is on");
  MustEdit([](EndpointConfig& c) { c.encap.checksum = false; });
  EXPECT_TRUE(IsFast());
  MustEdit([](EndpointConfig& c) { c.admin_up = false; });
  EXPECT_EQ(View().datapath_reason, "administratively down");
}

TEST_F(ManagerFastTest, ATunnelInUdpIsEnteredByItsPort) {
  const auto made = Create(GreInUdp("gre0"));
  ASSERT_TRUE(made.ok()) << made.status();
  const std::string device = std::to_string(made->tunnel.ifindex);
  EXPECT_EQ(
      fast_.TakeCalls(),
      (Calls{"use port 4754", "open " + device, "prepare 1 via 1 mtu 1500",
             "in 192.0.2.2:4754 - 1", "out " + device + " 1"}));
  EXPECT_TRUE(IsFast());
  // The same port; packets with a checksum are those of the workers.
  EndpointConfig summed = GreInUdp("gre1", "192.0.2.3");
  summed.encap.udp_zero_checksum = false;
  ASSERT_TRUE(Create(summed).ok());
  EXPECT_EQ(View("gre1").datapath_reason, "noudpcsum is not set");
  EXPECT_EQ(fast_.TakeCalls().front(), "use port 4754");
  MustEdit([](EndpointConfig& c) { c.encap.udp_port = 4000; });
  const Calls moved = fast_.TakeCalls();
  EXPECT_EQ(moved.front(), "use port 4000");
  EXPECT_EQ(std::count(moved.begin(), moved.end(), "leave port 4754"), 1);
  EXPECT_EQ(std::count(moved.begin(), moved.end(), "in 192.0.2.2:4000 - 2"), 1);
  ASSERT_TRUE(manager_->DeleteTunnel(call_, "gre0", {}).ok());
  ASSERT_TRUE(manager_->DeleteTunnel(call_, "gre1", {}).ok());
  const Calls gone = fast_.TakeCalls();
  EXPECT_EQ(std::count(gone.begin(), gone.end(), "leave port 4000"), 1);
  EXPECT_EQ(std::count(gone.begin(), gone.end(), "leave port 4754"), 1);
}

TEST_F(ManagerFastTest, OverIpv6ATunnelInUdpHasAChecksum) {
  EndpointConfig config = GreInUdp("gre0", "2001:db8::2");
  config.encap.local = Address("2001:db8::1");
  config.encap.udp_zero_checksum = false;
  MustCreate(config);
  EXPECT_EQ(View().datapath_reason, "transport is udp over IPv6");
  ASSERT_TRUE(manager_->DeleteTunnel(call_, "gre0", {}).ok());
  EXPECT_EQ(fast_.TakeCalls(),
            (Calls{"wait", "in 2001:db8::2:4754 - -",
                   "forget 2001:db8::2:4754 -", "wait", "leave port 4754"}));
}

TEST_F(ManagerFastTest, ADetachedTunnelIsCarriedByNobody) {
  MustCreate(Gre("gre0"));
  ASSERT_TRUE(manager_->Detach(call_, "gre0", {}).ok());
  EXPECT_FALSE(IsFast());
  EXPECT_EQ(View().datapath_reason, "detached by an operator");
  // A change does not attach it.
  MustEdit([](EndpointConfig& c) { c.encap.ttl = 9; });
  EXPECT_FALSE(IsFast());
  MustEdit([](EndpointConfig& c) { c.admin_up = false; });
  EXPECT_EQ(View().datapath_reason, "administratively down");
  MustEdit([](EndpointConfig& c) { c.admin_up = true; });
  EXPECT_EQ(View().datapath_reason, "detached by an operator");
  ASSERT_TRUE(manager_->Attach(call_, "gre0", {}).ok());
  EXPECT_TRUE(IsFast());
  EXPECT_EQ(View().datapath_reason, "");
}

TEST_F(ManagerFastTest, AKernelWithoutItIsAnErrorForBpfAlone) {
  fast_.SetUsable(MakeError(Reason::kMissingCapability, "no CAP_BPF"));
  MustCreate(Gre("gre0"));
  EXPECT_EQ(View().datapath_reason, "no CAP_BPF");
  const TunnelView before = View();
  const auto refused =
      Edit("gre0", [](EndpointConfig& c) { c.datapath = DatapathMode::kBpf; });
  EXPECT_EQ(GetReason(refused.status()), Reason::kMissingCapability);
  EXPECT_EQ(View().generation, before.generation);
  EXPECT_EQ(View().config.datapath, DatapathMode::kAuto);
  EndpointConfig other = Gre("gre1", "192.0.2.3");
  other.datapath = DatapathMode::kBpf;
  EXPECT_EQ(GetReason(Create(other).status()), Reason::kMissingCapability);
  EXPECT_FALSE(tun_.Exists("gre1"));
  EXPECT_TRUE(fast_.TakeCalls().empty());
}

TEST_F(ManagerFastTest, ARecordThatIsRefusedChangesNothing) {
  MustCreate(Gre("gre0"));
  fast_.SetPrepare(MakeError(Reason::kTunnelLimit, "no slot left"));
  EndpointConfig wanted = Gre("gre0");
  MustEdit([](EndpointConfig& c) { c.encap.ttl = 9; });
  EXPECT_FALSE(IsFast());
  EXPECT_EQ(View().datapath_reason, "no slot left");
  fast_.TakeCalls();
  const auto refused = Edit("gre0", [](EndpointConfig& c) {
    c.datapath = DatapathMode::kBpf;
    c.encap.remote = Address("192.0.2.3");
  });
  EXPECT_EQ(GetReason(refused.status()), Reason::kTunnelLimit);
  EXPECT_EQ(View().config.encap.remote, Address("192.0.2.2"));
  EXPECT_TRUE(fast_.TakeCalls().empty());
}

TEST_F(ManagerFastTest, TheOldKeyIsHeardWhileAnOverlapLasts) {
  MustCreate(Gre("gre0", "192.0.2.2", 1));
  ChangeOptions options;
  options.overlap = std::chrono::hours(1);
  ASSERT_TRUE(
      manager_
          ->UpdateTunnel(
              call_, "gre0",
              [](const EndpointConfig& now) -> absl::StatusOr<EndpointConfig> {
                EndpointConfig next = now;
                next.encap.input_key = next.encap.output_key = 2;
                return next;
              },
              options)
          .ok());
  const Calls begin = fast_.TakeCalls();
  ASSERT_GE(begin.size(), 2u);
  EXPECT_EQ(begin[0], "prepare 2 via 1 mtu 1500");
  EXPECT_EQ(begin[1], "in 192.0.2.2 2 2");
  for (const std::string& call : begin) {
    EXPECT_EQ(call.find("out"), std::string::npos) << call;
    EXPECT_NE(call, "in 192.0.2.2 1 -");
  }
  // The next change ends it: output turns, then the old key goes.
  ASSERT_TRUE(manager_->Pause(call_, "gre0", {}).ok());
  const Calls end = fast_.TakeCalls();
  const auto at = [&](const std::string& call) {
    const auto it = std::find(end.begin(), end.end(), call);
    EXPECT_NE(it, end.end()) << call;
    return it - end.begin();
  };
  EXPECT_LT(at("out " + ifindex_ + " 2"), at("in 192.0.2.2 1 -"));
  EXPECT_LT(at("in 192.0.2.2 1 -"), at("forget 192.0.2.2 1"));
  EXPECT_LT(at("forget 192.0.2.2 1"), at("drop 1"));
  EXPECT_EQ(end.back(), "wait");
}

TEST_F(ManagerFastTest, CountersAreSummedAndOutliveTheDevice) {
  MustCreate(Gre("gre0"));
  fast_.SetCounters({.transmit_packets = 3,
                     .transmit_bytes = 300,
                     .receive_packets = 5,
                     .receive_bytes = 500,
                     .send_errors = 1,
                     .inner_write_errors = 2,
                     .transmit_passed = 7,
                     .last_receive_ns = 1});
  const auto drops = [](const DropCounts& counts, encap::DropReason reason) {
    return counts[static_cast<size_t>(reason)];
  };
  const auto check = [&] {
    const TunnelCounters now = Counters();
    EXPECT_EQ(now.transmit_packets, 3u);
    EXPECT_EQ(now.transmit_bytes, 300u);
    EXPECT_EQ(now.transmit_passed, 7u);
    EXPECT_EQ(now.receive_packets, 5u);
    EXPECT_EQ(now.receive_bytes, 500u);
    EXPECT_EQ(drops(now.transmit_drops, encap::DropReason::kSendError), 1u);
    EXPECT_EQ(drops(now.receive_drops, encap::DropReason::kInnerWriteError),
              2u);
    ASSERT_TRUE(now.last_receive.has_value());
    EXPECT_LE(*now.last_receive, absl::Now());
  };
  check();
  links_.RemoveInterface(static_cast<uint32_t>(std::stoul(ifindex_)));
  ASSERT_TRUE(
      Eventually([&] { return View().oper_state == OperState::kFailed; }));
  EXPECT_FALSE(IsFast());
  check();
}

TEST_F(ManagerFastTest, ItFollowsRouteAndMtu) {
  MustCreate(Gre("gre0"));
  links_.SetRoute(Address("192.0.2.2"),
                  RouteInfo{1, "eth0", 1400, /*ethernet=*/true});
  const auto seen = [&](const std::string& wanted) {
    const Calls calls = fast_.TakeCalls();
    return std::find(calls.begin(), calls.end(), wanted) != calls.end();
  };
  EXPECT_TRUE(Eventually([&] { return seen("prepare 2 via 1 mtu 1400"); }));
  links_.SetRoute(Address("192.0.2.2"),
                  RouteInfo{6, "ppp0", 1400, /*ethernet=*/false});
  EXPECT_TRUE(Eventually([&] { return !IsFast(); }));
  EXPECT_EQ(View().datapath_reason, "the underlay is not Ethernet");
  links_.SetRoute(Address("192.0.2.2"), std::nullopt);
  EXPECT_TRUE(Eventually(
      [&] { return View().datapath_reason == "no route to the remote"; }));
  links_.SetRoute(Address("192.0.2.2"),
                  RouteInfo{7, "eth7", 1500, /*ethernet=*/true});
  EXPECT_TRUE(Eventually([&] { return IsFast(); }));
}

TEST_F(ManagerFastTest, ItFollowsIpsecPolicies) {
  MustCreate(Gre("gre0"));
  links_.SetIpsecPolicies(true);
  EXPECT_TRUE(Eventually([&] { return !IsFast(); }));
  EXPECT_EQ(View().datapath_reason, "IPsec policies are in force");
  links_.SetIpsecPolicies(false);
  EXPECT_TRUE(Eventually([&] { return IsFast(); }));
}

TEST_F(ManagerFastTest, ACaptureTakesItOutAndLetsItBack) {
  MustCreate(Gre("gre0"));
  const uint64_t generation = View().generation;
  auto capture = manager_->StartCapture(call_, "gre0", {.outer = true});
  ASSERT_TRUE(capture.ok()) << capture.status();
  EXPECT_EQ(
      fast_.TakeCalls(),
      (Calls{"in 192.0.2.2 - -", "out " + ifindex_ + " -", "drop 1", "wait"}));
  EXPECT_FALSE(IsFast());
  EXPECT_EQ(View().datapath_reason, "a capture runs");
  EXPECT_EQ(View().generation, generation);
  MustEdit([](EndpointConfig& c) { c.encap.ttl = 9; });
  EXPECT_FALSE(IsFast());
  capture->reset();
  EXPECT_TRUE(Eventually([&] { return IsFast(); }));
  EXPECT_EQ(View().datapath_reason, "");
}

TEST_F(ManagerFastTest, NothingIsLeftBehind) {
  MustCreate(Gre("gre0"));
  ASSERT_TRUE(manager_->DeleteTunnel(call_, "gre0", {}).ok());
  EXPECT_EQ(fast_.TakeCalls(), (Calls{"out " + ifindex_ + " -", "wait",
                                      "in 192.0.2.2 - -", "forget 192.0.2.2 -",
                                      "wait", "drop 1", "close " + ifindex_}));
  EXPECT_EQ(fast_.alive(), 0u);
  MustCreate(Gre("gre0"));
  manager_.reset();
  EXPECT_EQ(fast_.TakeCalls(),
            (Calls{"forget 192.0.2.2 -", "drop 2", "close " + ifindex_}));
  EXPECT_EQ(fast_.alive(), 0u);
}

}  // namespace
}  // namespace tunnel
