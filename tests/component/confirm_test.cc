// A configuration that awaits confirmation: kept, taken back, or going back by
// itself.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "tests/component/apply_fixture.h"

namespace tunnel::ctl {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using Clock = std::chrono::steady_clock;
using ConfirmTest = ApplyTest;

TEST_F(ConfirmTest, ConfirmationKeepsAndRevertGoesBack) {
  ASSERT_EQ(ReasonOf(Apply(Wanted({Gre("a", 2)}))), "OK");
  auto request = Wanted({Gre("a", 3), Gre("b", 4)});
  request.mutable_confirm_within()->set_seconds(600);
  ASSERT_EQ(ReasonOf(Apply(request)), "OK");
  ASSERT_TRUE(change_.has_pending());
  const std::string id = change_.pending().id();
  EXPECT_THAT(change_.pending().tunnels(), ElementsAre("a", "b"));
  EXPECT_EQ(Lock().pending().id(), id);
  EXPECT_LE(Lock().pending().remaining().seconds(), 600);
  EXPECT_GE(Lock().pending().remaining().seconds(), 500);

  // Every other mutation is refused, each with the reason.
  const auto refused = [](const grpc::Status& status) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_EQ(ReasonOf(status), "APPLY_PENDING");
  };
  refused(Apply(Wanted({Gre("c", 5)})));
  v1::TunnelChange change;
  const auto call = [&](auto method, auto message) {
    grpc::ClientContext context;
    refused((daemon_.tunnels().*method)(&context, message, &change));
  };
  using Stub = v1::TunnelService::Stub;
  call(&Stub::CreateTunnel, GreRequest("c", 5));
  v1::UpdateTunnelRequest update;
  update.mutable_tunnel()->set_name("a");
  update.mutable_tunnel()->set_ttl(3);
  call(&Stub::UpdateTunnel, update);
  v1::DeleteTunnelRequest remove;
  remove.set_name("a");
  call(&Stub::DeleteTunnel, remove);
  EXPECT_EQ(Remotes(), (Pairs{{"a", "192.0.2.3"}, {"b", "192.0.2.4"}}));

  EXPECT_EQ(ReasonOf(Confirm("another")), "INVALID_STATE");
  ASSERT_EQ(ReasonOf(Confirm(id)), "OK");
  EXPECT_FALSE(Lock().has_pending());
  EXPECT_EQ(ReasonOf(Confirm()), "INVALID_STATE");
  EXPECT_EQ(ReasonOf(Revert()), "INVALID_STATE");
  EXPECT_EQ(Remotes(), (Pairs{{"a", "192.0.2.3"}, {"b", "192.0.2.4"}}));

  auto again = Wanted({Gre("a", 2)}, true);
  again.mutable_confirm_within()->set_seconds(600);
  ASSERT_EQ(ReasonOf(Apply(again)), "OK");
  ASSERT_EQ(ReasonOf(Revert(change_.pending().id())), "OK");
  EXPECT_EQ(change_.changes_size(), 2);
  EXPECT_EQ(Remotes(), (Pairs{{"a", "192.0.2.3"}, {"b", "192.0.2.4"}}));
  EXPECT_EQ(ReasonOf(Apply(Wanted({Gre("c", 5)}))), "OK");
}

// The client is killed: nobody confirms, and its connection is gone.
TEST_F(ConfirmTest, GoesBackByItselfWhenTheClientIsGone) {
  ASSERT_EQ(ReasonOf(Apply(Wanted({Gre("a", 2)}))), "OK");
  const std::string before = List().etag();
  const auto start = Clock::now();
  {
    auto stub = v1::ConfigService::NewStub(daemon_.Connect());
    auto request = Wanted({Gre("a", 3), Gre("b", 4)}, true);
    request.mutable_confirm_within()->set_seconds(1);
    grpc::ClientContext context;
    v1::ConfigChange change;
    ASSERT_TRUE(stub->ApplyConfig(&context, request, &change).ok());
    EXPECT_EQ(change.changes_size(), 2);
  }
  ASSERT_TRUE(Await([&] { return !Lock().has_pending(); }));
  EXPECT_GE(Clock::now() - start, milliseconds(1000));
  EXPECT_EQ(Remotes(), (Pairs{{"a", "192.0.2.2"}}));
  EXPECT_EQ(List().etag(), before);
  EXPECT_EQ(ReasonOf(Confirm()), "INVALID_STATE");
  EXPECT_EQ(ReasonOf(Apply(Wanted({Gre("c", 5)}))), "OK");
}

}  // namespace
}  // namespace tunnel::ctl
