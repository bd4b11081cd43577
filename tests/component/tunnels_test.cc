// TunnelService and TelemetryService, call by call.

#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/component/daemon.h"
#include "tunnel/base/error.h"

namespace tunnel::ctl {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

class TunnelsTest : public ::testing::Test {
 protected:
  using Stub = v1::TunnelService::Stub;

  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                 const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(20));
    return (daemon_.tunnels().*method)(&context, request, response);
  }

  grpc::Status Create(const v1::CreateTunnelRequest& request) {
    change_.Clear();
    return Call(&Stub::CreateTunnel, request, &change_);
  }
  grpc::Status Update(const v1::UpdateTunnelRequest& request) {
    change_.Clear();
    return Call(&Stub::UpdateTunnel, request, &change_);
  }
  grpc::Status Delete(const std::string& name, bool allow_missing = false) {
    v1::DeleteTunnelRequest request;
    request.set_name(name);
    request.set_allow_missing(allow_missing);
    change_.Clear();
    return Call(&Stub::DeleteTunnel, request, &change_);
  }
  grpc::Status Get(const std::string& name, v1::Tunnel* tunnel) {
    v1::GetTunnelRequest request;
    request.set_name(name);
    return Call(&Stub::GetTunnel, request, tunnel);
  }
  v1::ListTunnelsResponse List(int page_size = 0,
                               const std::string& token = "") {
    v1::ListTunnelsRequest request;
    request.set_page_size(page_size);
    request.set_page_token(token);
    v1::ListTunnelsResponse response;
    const grpc::Status status = Call(&Stub::ListTunnels, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  v1::Tunnel MustGet(const std::string& name) {
    v1::Tunnel tunnel;
    const grpc::Status status = Get(name, &tunnel);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return tunnel;
  }

  TestDaemon daemon_;
  v1::TunnelChange change_;  // of the last mutation
};

TEST_F(TunnelsTest, CreatesShowsChangesAndDeletes) {
  v1::CreateTunnelRequest request = GreRequest("gre0");
  request.mutable_tunnel()->set_key(42);
  ASSERT_EQ(ReasonOf(Create(request)), "OK");
  EXPECT_EQ(change_.tunnel().name(), "gre0");
  EXPECT_EQ(change_.tunnel().key(), 42u);
  EXPECT_EQ(change_.tunnel().generation(), 1u);
  EXPECT_GT(change_.tunnel().ifindex(), 0u);
  EXPECT_TRUE(change_.timing().has_lock_wait());
  EXPECT_TRUE(daemon_.tun().Exists("gre0"));

  const v1::Tunnel shown = MustGet("gre0");
  EXPECT_EQ(shown.oper_state(), v1::OPER_UP) << shown.oper_reason();
  EXPECT_EQ(shown.ttl(), 64u);
  EXPECT_EQ(shown.effective_mtu(), 1500u - 28u);

  v1::UpdateTunnelRequest update;
  update.mutable_tunnel()->set_name("gre0");
  update.mutable_tunnel()->set_ttl(9);
  ASSERT_EQ(ReasonOf(Update(update)), "OK");
  ASSERT_EQ(change_.changes_size(), 1);
  EXPECT_EQ(change_.changes(0).field(), "ttl");
  EXPECT_EQ(change_.tunnel().key(), 42u);
  EXPECT_EQ(change_.tunnel().generation(), 2u);
  EXPECT_EQ(change_.tunnel().ifindex(), shown.ifindex());
  EXPECT_FALSE(change_.no_op());
  ASSERT_EQ(ReasonOf(Update(update)), "OK");
  EXPECT_TRUE(change_.no_op());
  EXPECT_EQ(change_.changes_size(), 0);

  update.mutable_tunnel()->clear_ttl();
  update.mutable_update_mask()->add_paths("key");
  ASSERT_EQ(ReasonOf(Update(update)), "OK");
  EXPECT_FALSE(MustGet("gre0").has_key());

  ASSERT_EQ(ReasonOf(Delete("gre0")), "OK");
  EXPECT_EQ(change_.tunnel().name(), "gre0");
  v1::Tunnel gone;
  EXPECT_EQ(ReasonOf(Get("gre0", &gone)), "TUNNEL_NOT_FOUND");
  EXPECT_FALSE(daemon_.tun().Exists("gre0"));
}

TEST_F(TunnelsTest, ListsByNameInPages) {
  for (const int host : {5, 3, 4, 2, 6}) {
    ASSERT_EQ(ReasonOf(Create(GreRequest(absl::StrCat("t", host), host))),
              "OK");
  }
  const v1::ListTunnelsResponse all = List();
  ASSERT_EQ(all.tunnels_size(), 5);
  EXPECT_TRUE(all.next_page_token().empty());
  EXPECT_FALSE(all.epoch().empty());
  std::vector<std::string> names;
  std::string token;
  do {
    const v1::ListTunnelsResponse page = List(2, token);
    EXPECT_LE(page.tunnels_size(), 2);
    for (const auto& tunnel : page.tunnels()) names.push_back(tunnel.name());
    token = page.next_page_token();
  } while (!token.empty());
  EXPECT_THAT(names, ElementsAre("t2", "t3", "t4", "t5", "t6"));
}

TEST_F(TunnelsTest, HoldsAndReleases) {
  ASSERT_EQ(ReasonOf(Create(GreRequest("gre0"))), "OK");
  v1::PauseTunnelRequest pause;
  pause.set_name("gre0");
  ASSERT_EQ(ReasonOf(Call(&Stub::PauseTunnel, pause, &change_)), "OK");
  EXPECT_EQ(MustGet("gre0").oper_state(), v1::OPER_PAUSED);
  EXPECT_TRUE(MustGet("gre0").paused());
  v1::ResumeTunnelRequest resume;
  resume.set_name("gre0");
  ASSERT_EQ(ReasonOf(Call(&Stub::ResumeTunnel, resume, &change_)), "OK");
  EXPECT_EQ(MustGet("gre0").oper_state(), v1::OPER_UP);
  v1::DetachEndpointRequest detach;
  detach.set_name("gre0");
  ASSERT_EQ(ReasonOf(Call(&Stub::DetachEndpoint, detach, &change_)), "OK");
  EXPECT_EQ(MustGet("gre0").oper_state(), v1::OPER_DETACHED);
  EXPECT_EQ(ReasonOf(Create(GreRequest("gre1"))), "ENDPOINT_PAIR_IN_USE");
  v1::AttachEndpointRequest attach;
  attach.set_name("gre0");
  ASSERT_EQ(ReasonOf(Call(&Stub::AttachEndpoint, attach, &change_)), "OK");
  EXPECT_EQ(MustGet("gre0").oper_state(), v1::OPER_UP);
}

TEST_F(TunnelsTest, PauseEndsByItselfAfterMaxDuration) {
  ASSERT_EQ(ReasonOf(Create(GreRequest("gre0"))), "OK");
  v1::PauseTunnelRequest pause;
  pause.set_name("gre0");
  pause.mutable_max_duration()->set_nanos(50'000'000);
  ASSERT_EQ(ReasonOf(Call(&Stub::PauseTunnel, pause, &change_)), "OK");
  EXPECT_TRUE(change_.tunnel().paused());
  const auto limit = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (MustGet("gre0").paused() && std::chrono::steady_clock::now() < limit) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(MustGet("gre0").oper_state(), v1::OPER_UP);
}

TEST_F(TunnelsTest, ListsAllBadFieldsAtOnce) {
  v1::CreateTunnelRequest request = GreRequest("gre0");
  request.mutable_tunnel()->clear_mode();
  request.mutable_tunnel()->set_local("nonsense");
  request.mutable_tunnel()->set_ttl(256);
  request.mutable_tunnel()->set_mtu(1);
  request.mutable_options()->mutable_lock_timeout()->set_seconds(-1);
  const grpc::Status status = Create(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ReasonOf(status), "UNKNOWN_MODE");
  EXPECT_THAT(BadFieldsOf(status),
              UnorderedElementsAre("mode", "local", "ttl", "mtu",
                                   "options.lock_timeout"));
  EXPECT_EQ(List().tunnels_size(), 0);
}

TEST_F(TunnelsTest, SaysWhoHasTheNameOrThePair) {
  ASSERT_EQ(ReasonOf(Create(GreRequest("gre0"))), "OK");
  grpc::Status status = Create(GreRequest("gre0", 3));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(ReasonOf(status), "NAME_IN_USE");
  status = Create(GreRequest("gre1"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  const google::rpc::ErrorInfo info = InfoOf(status);
  EXPECT_EQ(info.reason(), "ENDPOINT_PAIR_IN_USE");
  EXPECT_EQ(info.metadata().at("tunnel"), "gre0");
  EXPECT_EQ(info.metadata().at("local"), "192.0.2.1");
  EXPECT_EQ(info.metadata().at("remote"), "192.0.2.2");
  EXPECT_EQ(info.metadata().count("key"), 1u);
  // Key 0 is another identity than no key.
  v1::CreateTunnelRequest with_key = GreRequest("gre1");
  with_key.mutable_tunnel()->set_key(0);
  EXPECT_EQ(ReasonOf(Create(with_key)), "OK");
}

TEST_F(TunnelsTest, NamesTheClosestTunnel) {
  ASSERT_EQ(ReasonOf(Create(GreRequest("office"))), "OK");
  v1::Tunnel tunnel;
  const grpc::Status status = Get("ofice", &tunnel);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(InfoOf(status).metadata().at("closest"), "office");
  EXPECT_EQ(ReasonOf(Get("", &tunnel)), "FIELD_INVALID");
  EXPECT_EQ(ReasonOf(Delete("ofice")), "TUNNEL_NOT_FOUND");
  EXPECT_EQ(ReasonOf(Delete("ofice", true)), "OK");
  EXPECT_TRUE(change_.no_op());
  EXPECT_EQ(List().tunnels_size(), 1);
}

TEST_F(TunnelsTest, ChecksTheEtagInBothPlaces) {
  ASSERT_EQ(ReasonOf(Create(GreRequest("gre0"))), "OK");
  const std::string first = change_.tunnel().etag();
  ASSERT_FALSE(first.empty());
  v1::UpdateTunnelRequest update;
  update.mutable_tunnel()->set_name("gre0");
  update.mutable_tunnel()->set_ttl(9);
  update.mutable_options()->set_if_match(first);
  ASSERT_EQ(ReasonOf(Update(update)), "OK");
  EXPECT_NE(change_.tunnel().etag(), first);
  update.mutable_tunnel()->set_ttl(10);
  const grpc::Status status = Update(update);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(ReasonOf(status), "ETAG_MISMATCH");
  update.clear_options();
  update.mutable_tunnel()->set_etag(first);
  EXPECT_EQ(ReasonOf(Update(update)), "ETAG_MISMATCH");
  update.mutable_options()->set_if_match("\"other\"");
  EXPECT_EQ(ReasonOf(Update(update)), "FIELD_INVALID");
  EXPECT_EQ(MustGet("gre0").ttl(), 9u);
}

TEST_F(TunnelsTest, ValidateOnlyHasNoEffect) {
  v1::CreateTunnelRequest request = GreRequest("gre0");
  request.mutable_options()->set_validate_only(true);
  ASSERT_EQ(ReasonOf(Create(request)), "OK");
  EXPECT_TRUE(change_.validated_only());
  EXPECT_EQ(List().tunnels_size(), 0);
  EXPECT_EQ(daemon_.tun().created(), daemon_.tun().destroyed());
  request.clear_options();
  ASSERT_EQ(ReasonOf(Create(request)), "OK");
  v1::CreateTunnelRequest twin = GreRequest("gre1");
  twin.mutable_options()->set_validate_only(true);
  EXPECT_EQ(ReasonOf(Create(twin)), "ENDPOINT_PAIR_IN_USE");

  const std::string before = MustGet("gre0").SerializeAsString();
  v1::UpdateTunnelRequest update;
  update.mutable_tunnel()->set_name("gre0");
  update.mutable_tunnel()->set_remote("192.0.2.77");
  update.mutable_options()->set_validate_only(true);
  ASSERT_EQ(ReasonOf(Update(update)), "OK");
  EXPECT_EQ(change_.changes_size(), 1);
  EXPECT_EQ(change_.tunnel().remote(), "192.0.2.77");
  EXPECT_EQ(MustGet("gre0").SerializeAsString(), before);
}

TEST_F(TunnelsTest, UnknownMaskPathIsNamed) {
  ASSERT_EQ(ReasonOf(Create(GreRequest("gre0"))), "OK");
  v1::UpdateTunnelRequest update;
  update.mutable_tunnel()->set_name("gre0");
  update.mutable_update_mask()->add_paths("colour");
  const grpc::Status status = Update(update);
  EXPECT_EQ(ReasonOf(status), "FIELD_INVALID");
  EXPECT_THAT(BadFieldsOf(status), ElementsAre("update_mask"));
  EXPECT_NE(status.error_message().find("colour"), std::string::npos);
}

TEST_F(TunnelsTest, PlatformErrorsKeepTheirReason) {
  for (const Reason reason :
       {Reason::kTunUnavailable, Reason::kMissingCapability, Reason::kFdLimit,
        Reason::kKernelFeatureMissing}) {
    daemon_.tun().FailOpen(1, MakeError(reason, "no device today"));
    EXPECT_EQ(ReasonOf(Create(GreRequest("gre0"))),
              std::string(ReasonName(reason)));
    EXPECT_EQ(List().tunnels_size(), 0);
  }
  EXPECT_EQ(ReasonOf(Create(GreRequest("gre0"))), "OK");
}

TEST_F(TunnelsTest, ReadsCounters) {
  ASSERT_EQ(ReasonOf(Create(GreRequest("gre0"))), "OK");
  v1::GetStatsRequest request;
  v1::GetStatsResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(daemon_.telemetry().GetStats(&context, request, &response).ok());
  ASSERT_EQ(response.tunnels_size(), 1);
  EXPECT_EQ(response.tunnels(0).name(), "gre0");
  EXPECT_EQ(response.workers_size(), 2);
  EXPECT_GT(response.read_time().seconds(), 0);
  request.add_names("nope");
  grpc::ClientContext again;
  EXPECT_EQ(ReasonOf(daemon_.telemetry().GetStats(&again, request, &response)),
            "TUNNEL_NOT_FOUND");
}

TEST(TunnelLimitTest, IsTold) {
  DaemonOptions options;
  options.manager.max_tunnels = 1;
  TestDaemon daemon(options);
  v1::TunnelChange change;
  grpc::ClientContext first, second;
  ASSERT_TRUE(
      daemon.tunnels().CreateTunnel(&first, GreRequest("a", 2), &change).ok());
  const grpc::Status status =
      daemon.tunnels().CreateTunnel(&second, GreRequest("b", 3), &change);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonOf(status), "TUNNEL_LIMIT");
}

}  // namespace
}  // namespace tunnel::ctl
