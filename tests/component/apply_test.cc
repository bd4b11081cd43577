// ApplyConfig, ConfirmApply and RevertApply over the real socket: all of it or
// none of it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/component/apply_fixture.h"
#include "tunnel/base/error.h"

namespace tunnel::ctl {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

TEST_F(ApplyTest, CreatesChangesAndPrunes) {
  ASSERT_EQ(ReasonOf(Apply(Wanted({Gre("a", 2), Gre("b", 3)}))), "OK");
  ASSERT_EQ(change_.changes_size(), 2);
  EXPECT_EQ(change_.changes(0).tunnel().name(), "a");
  EXPECT_EQ(change_.changes(0).action(), v1::CREATED);
  EXPECT_TRUE(change_.has_lock_wait());
  EXPECT_GT(change_.lock_hold().nanos() + change_.lock_hold().seconds(), 0);
  EXPECT_EQ(change_.etag(), List().etag());
  EXPECT_FALSE(change_.etag().empty());

  v1::Tunnel b = Gre("b", 3);
  b.set_ttl(9);
  ASSERT_EQ(ReasonOf(Apply(Wanted({b, Gre("c", 4)}))), "OK");
  EXPECT_EQ(Remotes(),
            (Pairs{{"a", "192.0.2.2"}, {"b", "192.0.2.3"}, {"c", "192.0.2.4"}}))
      << "without prune, a stays";
  ASSERT_EQ(change_.changes_size(), 2);
  EXPECT_EQ(change_.changes(0).action(), v1::UPDATED);
  ASSERT_EQ(change_.changes(0).changes_size(), 1);
  EXPECT_EQ(change_.changes(0).changes(0).field(), "ttl");
  EXPECT_EQ(change_.changes(0).tunnel().generation(), 2u);

  ASSERT_EQ(ReasonOf(Apply(Wanted({b}, true))), "OK");
  EXPECT_EQ(Remotes(), (Pairs{{"b", "192.0.2.3"}}));
  ASSERT_EQ(change_.changes_size(), 2);
  EXPECT_EQ(change_.changes(0).action(), v1::DELETED);
  EXPECT_EQ(change_.changes(0).tunnel().name(), "a");
  ASSERT_EQ(ReasonOf(Apply(Wanted({}, true))), "OK");
  EXPECT_EQ(List().tunnels_size(), 0);
  EXPECT_EQ(daemon_.tun().created(), daemon_.tun().destroyed());
}

TEST_F(ApplyTest, SecondTimeTouchesNothing) {
  const auto wanted = Wanted({Gre("a", 2), Gre("b", 3)}, true);
  ASSERT_EQ(ReasonOf(Apply(wanted)), "OK");
  const std::string before = State();
  ASSERT_EQ(ReasonOf(Apply(wanted)), "OK");
  EXPECT_TRUE(change_.no_op());
  EXPECT_EQ(change_.changes_size(), 0);
  // Generations, times, revision and etag included.
  EXPECT_EQ(State(), before);
}

TEST_F(ApplyTest, TwoTunnelsSwapTheirEndpoints) {
  ASSERT_EQ(ReasonOf(Apply(Wanted({Gre("a", 2), Gre("b", 3)}))), "OK");
  const auto before = List();
  ASSERT_EQ(ReasonOf(Apply(Wanted({Gre("a", 3), Gre("b", 2)}))), "OK");
  EXPECT_EQ(Remotes(), (Pairs{{"a", "192.0.2.3"}, {"b", "192.0.2.2"}}));
  const auto after = List();
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(after.tunnels(i).ifindex(), before.tunnels(i).ifindex());
    EXPECT_EQ(after.tunnels(i).generation(), 2u);
    EXPECT_EQ(after.tunnels(i).oper_state(), v1::OPER_UP);
  }
}

TEST_F(ApplyTest, AnErrorInTheThirdTunnelChangesNothing) {
  ASSERT_EQ(ReasonOf(Apply(Wanted({Gre("a", 2), Gre("z", 9)}))), "OK");
  const std::string before = State();
  const int created = daemon_.tun().created() - daemon_.tun().destroyed();
  const auto untouched = [&](const std::string& what) {
    EXPECT_EQ(State(), before) << what;
    EXPECT_EQ(daemon_.tun().created() - daemon_.tun().destroyed(), created)
        << what;
    EXPECT_EQ(change_.changes_size(), 0) << what;
  };
  // A field, a pair that another tunnel keeps, and a device that can not be
  // made once two others have been.
  v1::Tunnel bad = Gre("d", 5);
  bad.set_ttl(256);
  const auto with = [&](const v1::Tunnel& third) {
    return Wanted({Gre("a", 20), Gre("b", 3), third});
  };
  EXPECT_EQ(ReasonOf(Apply(with(bad))), "FIELD_INVALID");
  untouched("a field");
  const grpc::Status pair = Apply(with(Gre("d", 9)));
  EXPECT_EQ(ReasonOf(pair), "ENDPOINT_PAIR_IN_USE");
  EXPECT_EQ(InfoOf(pair).metadata().at("tunnel"), "z");
  untouched("a pair");
  daemon_.tun().FailOpen(2, MakeError(Reason::kFdLimit, "no more today"));
  EXPECT_EQ(ReasonOf(Apply(Wanted({Gre("a", 20), Gre("b", 3), Gre("d", 5)}))),
            "FD_LIMIT");
  untouched("a device");
  EXPECT_EQ(ReasonOf(Apply(Wanted({Gre("a", 20), Gre("b", 3), Gre("d", 5)}))),
            "OK");
}

TEST_F(ApplyTest, ListsEveryBadFieldOfEveryTunnel) {
  v1::Tunnel no_mode = Gre("b", 3);
  no_mode.clear_mode();
  v1::Tunnel bad = Gre("c", 4);
  bad.set_ttl(256);
  bad.add_addresses("10.0.0.1/30");
  bad.add_addresses("nonsense");
  auto request = Wanted({Gre("a", 2), no_mode, Gre("a", 5), bad});
  request.mutable_options()->set_request_id("me");
  request.mutable_options()->mutable_overlap()->set_seconds(1);
  request.mutable_options()->mutable_lock_timeout()->set_nanos(-1);
  request.mutable_confirm_within()->set_nanos(1);
  const grpc::Status status = Apply(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(BadFieldsOf(status),
              UnorderedElementsAre(
                  "confirm_within", "options.lock_timeout", "options.overlap",
                  "options.request_id", "tunnels[1].mode", "tunnels[2].name",
                  "tunnels[3].ttl", "tunnels[3].addresses[1]"));
  EXPECT_EQ(List().tunnels_size(), 0);
}

TEST_F(ApplyTest, NamesAFieldThatCanNotChangeAsTheRequestDoes) {
  ASSERT_EQ(ReasonOf(Apply(Wanted({Gre("a", 2), Gre("b", 3)}))), "OK");
  v1::Tunnel bridge = Gre("b", 3);
  bridge.set_mode(v1::GRETAP);
  EXPECT_THAT(BadFieldsOf(Apply(Wanted({Gre("a", 4), bridge}))),
              ElementsAre("tunnels[1].mode"));
  v1::ApplyConfigRequest request;
  auto& update = *request.add_operations()->mutable_update();
  update.mutable_tunnel()->set_name("b");
  update.mutable_tunnel()->set_mode(v1::GRETAP);
  EXPECT_THAT(BadFieldsOf(Apply(request)),
              ElementsAre("operations[0].update.tunnel.mode"));
  EXPECT_EQ(Remotes(), (Pairs{{"a", "192.0.2.2"}, {"b", "192.0.2.3"}}));
}

TEST_F(ApplyTest, WantsExactlyOneForm) {
  v1::ApplyConfigRequest request;
  EXPECT_THAT(BadFieldsOf(Apply(request)), ElementsAre("tunnels"));
  request.add_operations()->set_delete_("a");
  request.set_prune(true);
  EXPECT_THAT(BadFieldsOf(Apply(request)), ElementsAre("prune"));
  request.set_prune(false);
  *request.add_tunnels() = Gre("a", 2);
  EXPECT_THAT(BadFieldsOf(Apply(request)), ElementsAre("operations"));
}

// An answer of more bad fields than a gRPC client takes in still arrives.
TEST_F(ApplyTest, ThousandsOfBadFieldsAreStillAnAnswer) {
  v1::ApplyConfigRequest request;
  for (int i = 0; i < 4000; ++i) {
    v1::Tunnel tunnel = Gre(absl::StrCat("t", i), 2);
    tunnel.set_local(std::string(500, 'x'));
    *request.add_tunnels() = tunnel;
  }
  const grpc::Status status = Apply(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT)
      << status.error_message();
  const auto fields = BadFieldsOf(status);
  ASSERT_GE(fields.size(), 10u);
  EXPECT_EQ(fields.front(), "tunnels[0].local");
  EXPECT_EQ(fields.back(), "");  // says how many more there are
  request = Wanted({Gre("a", 2)});
  request.mutable_tunnels(0)->set_local(std::string(200'000, 'x'));
  EXPECT_THAT(BadFieldsOf(Apply(request)), ElementsAre("tunnels[0].local"));
}

TEST_F(ApplyTest, OperationsAreOneChangeInTheirOrder) {
  ASSERT_EQ(ReasonOf(Apply(Wanted({Gre("a", 2), Gre("b", 3)}))), "OK");
  v1::ApplyConfigRequest request;
  request.add_operations()->set_delete_("a");
  *request.add_operations()->mutable_create() = Gre("c", 2);  // a's pair
  auto& update = *request.add_operations()->mutable_update();
  update.mutable_tunnel()->set_name("b");
  update.mutable_tunnel()->set_key(7);
  update.mutable_update_mask()->add_paths("key");
  auto& second = *request.add_operations()->mutable_update();
  second.mutable_tunnel()->set_name("c");  // made two steps before
  second.mutable_tunnel()->set_ttl(3);
  ASSERT_EQ(ReasonOf(Apply(request)), "OK");
  EXPECT_EQ(Remotes(), (Pairs{{"b", "192.0.2.3"}, {"c", "192.0.2.2"}}));
  EXPECT_EQ(List().tunnels(0).key(), 7u);
  EXPECT_EQ(List().tunnels(1).ttl(), 3u);
  EXPECT_EQ(change_.changes_size(), 3);
}

TEST_F(ApplyTest, OperationsNameWhatIsWrong) {
  ASSERT_EQ(ReasonOf(Apply(Wanted({Gre("office", 2), Gre("b", 3)}))), "OK");
  const std::string before = State();
  v1::ApplyConfigRequest request;
  request.add_operations();
  request.add_operations()->mutable_create()->set_name("c");
  auto& update = *request.add_operations()->mutable_update();
  update.mutable_tunnel()->set_name("b");
  update.mutable_tunnel()->set_ttl(300);
  update.mutable_update_mask()->add_paths("ttl");
  update.mutable_update_mask()->add_paths("colour");
  EXPECT_THAT(BadFieldsOf(Apply(request)),
              UnorderedElementsAre("operations[0]", "operations[1].create.mode",
                                   "operations[1].create.local",
                                   "operations[1].create.remote",
                                   "operations[2].update.update_mask",
                                   "operations[2].update.tunnel.ttl"));
  request.Clear();
  *request.add_operations()->mutable_create() = Gre("c", 4);
  request.add_operations()->set_delete_("ofice");
  const grpc::Status missing = Apply(request);
  EXPECT_EQ(ReasonOf(missing), "TUNNEL_NOT_FOUND");
  EXPECT_EQ(InfoOf(missing).metadata().at("closest"), "office");
  EXPECT_EQ(InfoOf(missing).metadata().at("field"), "operations[1].delete");
  request.Clear();
  *request.add_operations()->mutable_create() = Gre("b", 4);
  EXPECT_EQ(ReasonOf(Apply(request)), "NAME_IN_USE");
  EXPECT_EQ(State(), before);
}

TEST_F(ApplyTest, ChecksTheEtagOfTheWholeAndOfEachTunnel) {
  ASSERT_EQ(ReasonOf(Apply(Wanted({Gre("a", 2)}))), "OK");
  const std::string first = change_.etag();
  const std::string etag_a = List().tunnels(0).etag();
  auto request = Wanted({Gre("b", 3)});
  request.mutable_options()->set_if_match(first);
  ASSERT_EQ(ReasonOf(Apply(request)), "OK");
  EXPECT_NE(change_.etag(), first);
  request.mutable_tunnels(0)->set_ttl(3);
  const grpc::Status status = Apply(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(ReasonOf(status), "ETAG_MISMATCH");
  // Counters and states are not in it, and the way back leads to it again.
  ASSERT_EQ(ReasonOf(Apply(Wanted({Gre("a", 2)}, true))), "OK");
  EXPECT_EQ(change_.etag(), first);
  auto one = Wanted({Gre("a", 5)});
  one.mutable_tunnels(0)->set_etag("\"other\"");
  const grpc::Status other = Apply(one);
  EXPECT_EQ(ReasonOf(other), "ETAG_MISMATCH");
  EXPECT_EQ(InfoOf(other).metadata().at("field"), "tunnels[0]");
  one.mutable_tunnels(0)->set_etag(etag_a);
  EXPECT_EQ(ReasonOf(Apply(one)), "OK");
}

TEST_F(ApplyTest, ValidateOnlyTellsTheWholePlanAndTouchesNothing) {
  ASSERT_EQ(ReasonOf(Apply(Wanted({Gre("a", 2), Gre("b", 3), Gre("c", 4)}))),
            "OK");
  const std::string before = State();
  const int created = daemon_.tun().created();
  auto request = Wanted({Gre("a", 3), Gre("b", 2), Gre("d", 5)}, true);
  request.mutable_options()->set_validate_only(true);
  request.mutable_confirm_within()->set_seconds(60);
  ASSERT_EQ(ReasonOf(Apply(request)), "OK");
  EXPECT_TRUE(change_.validated_only());
  std::map<std::string, v1::ChangeAction> plan;
  for (const auto& change : change_.changes()) {
    EXPECT_TRUE(change.validated_only());
    plan[change.tunnel().name()] = change.action();
  }
  EXPECT_EQ(plan,
            (std::map<std::string, v1::ChangeAction>{{"a", v1::UPDATED},
                                                     {"b", v1::UPDATED},
                                                     {"c", v1::DELETED},
                                                     {"d", v1::CREATED}}));
  EXPECT_EQ(change_.changes(0).changes(0).new_value(), "192.0.2.3");
  EXPECT_FALSE(change_.has_pending());
  EXPECT_FALSE(Lock().has_pending());
  EXPECT_EQ(State(), before);
  EXPECT_EQ(daemon_.tun().created(), created);
  // The same errors as without.
  *request.add_tunnels() = Gre("e", 5);
  EXPECT_EQ(ReasonOf(Apply(request)), "ENDPOINT_PAIR_IN_USE");
}

TEST_F(ApplyTest, TakesAsManyTunnelsAsTheDaemonDoes) {
  constexpr int kTunnels = 4096;
  v1::ApplyConfigRequest request;
  for (int i = 0; i < kTunnels; ++i) {
    v1::Tunnel tunnel = Gre(absl::StrCat("t", i), 2);
    tunnel.set_key(i);
    tunnel.set_queues(1);
    (*tunnel.mutable_labels())["site"] = std::string(40, 's');
    *request.add_tunnels() = tunnel;
  }
  request.mutable_options()->set_validate_only(true);
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  auto stub = v1::ConfigService::NewStub(daemon_.Connect(arguments));
  grpc::ClientContext context;
  v1::ConfigChange change;
  const grpc::Status status = stub->ApplyConfig(&context, request, &change);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(change.changes_size(), kTunnels);
}

}  // namespace
}  // namespace tunnel::ctl
