// request_id: a repetition gets the first outcome and does nothing.

#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/component/daemon.h"
#include "tunnel/base/error.h"

namespace tunnel::ctl {
namespace {

using ::testing::ElementsAre;

std::string Uuid(int n) {
  return absl::StrFormat("f81d4fae-7dec-11d0-a765-%012x", n);
}

class RequestIdTest : public ::testing::Test {
 protected:
  using Stub = v1::TunnelService::Stub;

  template <typename Request>
  grpc::Status Call(grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                 const Request&,
                                                 v1::TunnelChange*),
                    Request request, const std::string& id) {
    request.mutable_options()->set_request_id(id);
    change_.Clear();
    grpc::ClientContext context;
    return (daemon_.tunnels().*method)(&context, request, &change_);
  }
  grpc::Status Create(const std::string& name, int host,
                      const std::string& id) {
    return Call(&Stub::CreateTunnel, GreRequest(name, host), id);
  }
  grpc::Status SetTtl(uint32_t ttl, const std::string& id) {
    v1::UpdateTunnelRequest request;
    request.mutable_tunnel()->set_name("t");
    request.mutable_tunnel()->set_ttl(ttl);
    return Call(&Stub::UpdateTunnel, request, id);
  }
  v1::ListTunnelsResponse List() {
    grpc::ClientContext context;
    v1::ListTunnelsResponse response;
    EXPECT_TRUE(daemon_.tunnels().ListTunnels(&context, {}, &response).ok());
    return response;
  }

  TestDaemon daemon_;
  v1::TunnelChange change_;
};

TEST_F(RequestIdTest, RepetitionGetsTheFirstOutcome) {
  ASSERT_EQ(ReasonOf(Create("t", 2, Uuid(1))), "OK");
  EXPECT_FALSE(change_.replayed());
  const v1::Tunnel first = change_.tunnel();
  const std::string state = List().SerializeAsString();
  ASSERT_EQ(ReasonOf(Create("t", 2, Uuid(1))), "OK");
  EXPECT_TRUE(change_.replayed());
  EXPECT_EQ(change_.action(), v1::CREATED);
  EXPECT_EQ(change_.tunnel().etag(), first.etag());
  EXPECT_EQ(change_.tunnel().ifindex(), first.ifindex());
  EXPECT_EQ(change_.tunnel().generation(), 1u);
  EXPECT_EQ(List().SerializeAsString(), state);
  // The letters of a UUID have no case.
  ASSERT_EQ(ReasonOf(Create("t", 2, absl::AsciiStrToUpper(Uuid(1)))), "OK");
  EXPECT_TRUE(change_.replayed());
  // Without the id it is what it was: a name that is taken.
  EXPECT_EQ(ReasonOf(Create("t", 2, "")), "NAME_IN_USE");
}

TEST_F(RequestIdTest, OutcomeStaysThatOfTheFirstCall) {
  ASSERT_EQ(ReasonOf(Create("t", 2, "")), "OK");
  ASSERT_EQ(ReasonOf(SetTtl(7, Uuid(1))), "OK");
  ASSERT_EQ(ReasonOf(SetTtl(8, Uuid(2))), "OK");
  ASSERT_EQ(ReasonOf(SetTtl(7, Uuid(1))), "OK");
  EXPECT_TRUE(change_.replayed());
  EXPECT_EQ(change_.tunnel().ttl(), 7u);
  EXPECT_EQ(List().tunnels(0).ttl(), 8u);
  v1::DeleteTunnelRequest remove;
  remove.set_name("t");
  ASSERT_EQ(ReasonOf(Call(&Stub::DeleteTunnel, remove, Uuid(3))), "OK");
  ASSERT_EQ(ReasonOf(Create("t", 3, "")), "OK");
  ASSERT_EQ(ReasonOf(Call(&Stub::DeleteTunnel, remove, Uuid(3))), "OK");
  EXPECT_TRUE(change_.replayed());
  EXPECT_EQ(change_.action(), v1::DELETED);
  EXPECT_EQ(List().tunnels_size(), 1) << "a new tunnel of that name stays";
}

TEST_F(RequestIdTest, AnotherRequestIsRefused) {
  ASSERT_EQ(ReasonOf(Create("t", 2, Uuid(1))), "OK");
  for (const grpc::Status& status :
       {Create("t", 3, Uuid(1)), SetTtl(7, Uuid(1))}) {
    EXPECT_EQ(ReasonOf(status), "FIELD_INVALID");
    EXPECT_THAT(BadFieldsOf(status), ElementsAre("options.request_id"));
  }
  // How long to wait for the lock is no part of what is asked.
  v1::CreateTunnelRequest request = GreRequest("t", 2);
  request.mutable_options()->mutable_lock_timeout()->set_seconds(3);
  EXPECT_EQ(ReasonOf(Call(&Stub::CreateTunnel, request, Uuid(1))), "OK");
  EXPECT_TRUE(change_.replayed());
  EXPECT_EQ(List().tunnels(0).ttl(), 64u);
}

TEST_F(RequestIdTest, HasToBeAUuid) {
  for (const char* id : {"1", "f81d4fae-7dec-11d0-a765-00a0c91e6bf",
                         "f81d4fae-7dec-11d0-a765-00a0c91e6bfg",
                         "f81d4fae07dec-11d0-a765-00a0c91e6bf6",
                         "{f81d4fae-7dec-11d0-a765-00a0c91e6b}"}) {
    const grpc::Status status = Create("t", 2, id);
    EXPECT_THAT(BadFieldsOf(status), ElementsAre("options.request_id")) << id;
  }
  EXPECT_EQ(List().tunnels_size(), 0);
}

TEST_F(RequestIdTest, WhatFailedOrWasOnlyCheckedIsNotRemembered) {
  daemon_.tun().FailOpen(1, MakeError(Reason::kFdLimit, "no device today"));
  EXPECT_EQ(ReasonOf(Create("t", 2, Uuid(1))), "FD_LIMIT");
  v1::CreateTunnelRequest check = GreRequest("t", 2);
  check.mutable_options()->set_validate_only(true);
  EXPECT_EQ(ReasonOf(Call(&Stub::CreateTunnel, check, Uuid(1))), "OK");
  EXPECT_EQ(ReasonOf(Create("t", 2, Uuid(1))), "OK");
  EXPECT_FALSE(change_.replayed());
  EXPECT_EQ(List().tunnels_size(), 1);
}

TEST_F(RequestIdTest, OverlapBelongsToUpdateAlone) {
  v1::CreateTunnelRequest create = GreRequest("t", 2);
  create.mutable_options()->mutable_overlap()->set_seconds(1);
  EXPECT_THAT(BadFieldsOf(Call(&Stub::CreateTunnel, create, "")),
              ElementsAre("options.overlap"));
  ASSERT_EQ(ReasonOf(Create("t", 2, "")), "OK");
  v1::UpdateTunnelRequest update;
  update.mutable_tunnel()->set_name("t");
  update.mutable_tunnel()->set_ttl(9);
  for (const int seconds : {0, 3601}) {
    update.mutable_options()->mutable_overlap()->set_seconds(seconds);
    EXPECT_THAT(BadFieldsOf(Call(&Stub::UpdateTunnel, update, "")),
                ElementsAre("options.overlap"));
  }
  create.mutable_options()->clear_overlap();
  create.mutable_options()->set_if_match("\"x\"");
  EXPECT_THAT(BadFieldsOf(Call(&Stub::CreateTunnel, create, "")),
              ElementsAre("options.if_match"));
}

// 16 clients send one request at once: one effect, 16 times the same answer.
TEST_F(RequestIdTest, DuplicatesAtOnceHaveOneEffect) {
  constexpr int kClients = 16;
  ASSERT_EQ(ReasonOf(Create("t", 2, "")), "OK");
  for (int round = 0; round < 10; ++round) {
    v1::UpdateTunnelRequest request;
    request.mutable_tunnel()->set_name("t");
    request.mutable_tunnel()->set_ttl(100 + round);
    request.mutable_options()->set_request_id(Uuid(100 + round));
    std::vector<std::future<v1::TunnelChange>> calls;
    for (int i = 0; i < kClients; ++i) {
      calls.push_back(std::async(std::launch::async, [&] {
        auto stub = v1::TunnelService::NewStub(daemon_.Connect());
        grpc::ClientContext context;
        v1::TunnelChange change;
        EXPECT_EQ(ReasonOf(stub->UpdateTunnel(&context, request, &change)),
                  "OK");
        return change;
      }));
    }
    int done = 0;
    for (auto& call : calls) {
      const v1::TunnelChange change = call.get();
      done += change.replayed() ? 0 : 1;
      EXPECT_FALSE(change.no_op());
      EXPECT_EQ(change.tunnel().generation(), 2u + round);
    }
    EXPECT_EQ(done, 1);
    EXPECT_EQ(List().tunnels(0).generation(), 2u + round);
  }
}

TEST_F(RequestIdTest, ApplyIsReplayedWhileItAwaitsConfirmation) {
  v1::ApplyConfigRequest request;
  *request.add_tunnels() = GreRequest("a", 2).tunnel();
  request.mutable_confirm_within()->set_seconds(600);
  request.mutable_options()->set_request_id(Uuid(1));
  v1::ConfigChange first, second;
  grpc::ClientContext one, two;
  ASSERT_EQ(ReasonOf(daemon_.config().ApplyConfig(&one, request, &first)),
            "OK");
  ASSERT_EQ(ReasonOf(daemon_.config().ApplyConfig(&two, request, &second)),
            "OK");
  EXPECT_FALSE(first.replayed());
  EXPECT_TRUE(second.replayed());
  ASSERT_TRUE(second.has_pending());
  EXPECT_EQ(second.pending().id(), first.pending().id());
  ASSERT_EQ(second.changes_size(), 1);
  EXPECT_EQ(second.changes(0).action(), v1::CREATED);
}

}  // namespace
}  // namespace tunnel::ctl
