// tunnelctl as a process: whole configurations.

#include "absl/strings/str_cat.h"
#include "ctl/cli/apply_fixture.h"
#include "gmock/gmock.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"

namespace tunnel::ctl::cli {
namespace {

using ::testing::HasSubstr;

constexpr char kPlanText[] =
    "+ gre0 gre 192.0.2.1 -> 192.0.2.2 key 0\n"
    "    ttl 9\n"
    "~ gif0\n"
    "    remote 192.0.2.3 -> 192.0.2.2\n"
    "    ttl 64 -> inherit\n"
    "- old sit 192.0.2.1 -> 192.0.2.9\n";

TEST_F(ApplyTest, SendsTheFileAndPrintsWhatChanged) {
  AnswerPlan("lock_hold { nanos: 3200000 }");
  const ProcessResult result =
      Run("apply -f " + path_ + " --lock-timeout 2s --if-match E");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  std::string wanted = kPlanText;
  wanted.replace(wanted.find("~ gif0\n"), 7,
                 "~ gif0 (paused 1.2 ms, 3 packets dropped)\n");
  EXPECT_EQ(result.out, wanted);
  EXPECT_EQ(result.err, "1 created, 1 changed, 1 deleted in 3.2 ms\n");
  EXPECT_TRUE(Is(seen_.Get(), R"pb(
    tunnels {
      name: "gre0"
      mode: GRE
      local: "192.0.2.1"
      remote: "192.0.2.2"
      key: 0
    }
    tunnels {
      name: "gif0"
      mode: GIF
      local: "192.0.2.1"
      remote: "192.0.2.2"
      ttl_inherit: true
    }
    prune: true
    options {
      lock_timeout { seconds: 2 }
      if_match: "E"
    })pb"));
  EXPECT_THAT(seen_.id(), ::testing::MatchesRegex(kUuid));
}

TEST_F(ApplyTest, DryRunAndDiffPrintTheSamePlan) {
  AnswerPlan("");
  daemon_.on_apply = [inner = daemon_.on_apply](
                         auto& context, const auto& request, auto* reply) {
    const grpc::Status status = inner(context, request, reply);
    reply->mutable_changes(1)->clear_timing();
    return status;
  };
  const ProcessResult dry = Run("apply -f " + path_ + " --dry-run");
  EXPECT_EQ(dry.exit_code, 0);
  EXPECT_EQ(dry.out, kPlanText);
  EXPECT_EQ(dry.err, "dry run: 1 created, 1 changed, 1 deleted\n");
  EXPECT_TRUE(seen_.Get().options().validate_only());
  EXPECT_EQ(seen_.id(), "") << "nothing is made that could be made twice";
  const ProcessResult diff = Run("diff -f " + path_);
  EXPECT_EQ(diff.exit_code, 1);
  EXPECT_EQ(diff.out, kPlanText);
  EXPECT_EQ(diff.err, "");
  EXPECT_TRUE(seen_.Get().options().validate_only());
  const ProcessResult json = Run("diff --json -f " + path_);
  EXPECT_EQ(json.exit_code, 1);
  v1::ConfigChange change;
  ASSERT_TRUE(
      google::protobuf::util::JsonStringToMessage(json.out, &change).ok());
  EXPECT_EQ(change.changes_size(), 3);
}

TEST_F(ApplyTest, NothingToChangeSaysSo) {
  daemon_.on_apply = [](auto&, const auto& request, auto* reply) {
    reply->set_no_op(true);
    reply->set_validated_only(request.options().validate_only());
    reply->add_changes()->mutable_tunnel()->set_name("gre0");
    return grpc::Status::OK;
  };
  const ProcessResult apply = Run("apply -f " + path_);
  EXPECT_EQ(apply.exit_code, 0);
  EXPECT_EQ(apply.out, "");
  EXPECT_EQ(apply.err, "nothing to change\n");
  const ProcessResult diff = Run("diff -f " + path_);
  EXPECT_EQ(diff.exit_code, 0);
  EXPECT_EQ(diff.out + diff.err, "");
}

TEST_F(ApplyTest, ABadFileIsNeverSent) {
  AnswerPlan("");
  Write("[[tunnel]]\nname = \"a\"\nmod = \"gre\"\nttl = 0\n");
  for (const char* verb : {"apply", "diff", "validate"}) {
    const ProcessResult result = Run(absl::StrCat(verb, " -f ", path_));
    EXPECT_EQ(result.exit_code, 78) << verb;
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, HasSubstr(path_ + ":3:1: unknown word 'mod'; did "
                                              "you mean 'mode'?\n"));
    EXPECT_THAT(result.err, HasSubstr(path_ + ":4:7: ttl: 0; want 1 to 255"));
  }
  EXPECT_EQ(seen_.count(), 0);
  const ProcessResult json = Run("apply --json -f " + path_);
  google::protobuf::Struct object;
  ASSERT_TRUE(
      google::protobuf::util::JsonStringToMessage(json.err, &object).ok());
  EXPECT_EQ(object.fields().at("reason").string_value(), "CONFIG_FILE_INVALID");
  EXPECT_EQ(object.fields().at("exit_code").number_value(), 78);
  EXPECT_EQ(Run("apply -f /nonexistent/file").exit_code, 78);
  EXPECT_EQ(Run("apply").exit_code, 2);
}

TEST_F(ApplyTest, ErrorsOfTheDaemonGetTheirLine) {
  daemon_.on_apply = [](auto&, const auto&, auto*) {
    return ErrorStatus(grpc::INVALID_ARGUMENT, "2 fields are wrong",
                       "FIELD_INVALID", {},
                       {{"tunnels[1].ttl", "is not to my taste"},
                        {"tunnels[0].queues", "4; it has 2"}});
  };
  const ProcessResult fields = Run("apply -f " + path_);
  EXPECT_EQ(fields.exit_code, 78);
  EXPECT_EQ(fields.err,
            absl::StrCat("tunnelctl: ", path_, " has 2 errors\n  ", path_,
                         ":13:7: 'gif0' ttl: is not to my taste\n  ", path_,
                         ":2:1: 'gre0' queues: 4; it has 2\n  correct the "
                         "lines that are named; docs/config_file.md has every "
                         "word\n"));
  FakeDaemon other;
  other.on_apply = [](auto&, const auto&, auto*) {
    return ErrorStatus(grpc::ALREADY_EXISTS, "name \"gif0\" is taken",
                       "NAME_IN_USE", {{"name", "gif0"}});
  };
  const ProcessResult name =
      RunProcess({"--target", other.target(), "apply", "-f", path_});
  EXPECT_EQ(name.exit_code, 4);
  EXPECT_THAT(name.err, HasSubstr(path_ + ":8:1: 'gif0': name \"gif0\" is "
                                          "taken\n"));
}

TEST_F(ApplyTest, ConfirmTellsWhatToRun) {
  AnswerPlan(
      "pending { id: 'p-1' remaining { seconds: 30 } tunnels: 'gif0' "
      "tunnels: 'gre0' }");
  const ProcessResult result = Run("apply -f " + path_ + " --confirm 30s");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(seen_.Get().confirm_within().seconds(), 30);
  EXPECT_THAT(result.err,
              HasSubstr("p-1 goes back by itself in 30 s (gif0 gre0) unless it "
                        "is confirmed\n  keep it: tunnelctl confirm p-1\n  go "
                        "back now: tunnelctl revert p-1\n"));
  Seen<v1::ConfirmApplyRequest> confirmed;
  Seen<v1::RevertApplyRequest> reverted;
  FakeDaemon other;
  other.on_confirm = [&](auto&, const auto& request, auto*) {
    confirmed.Set(request);
    if (request.id() == "x") {
      return ErrorStatus(grpc::FAILED_PRECONDITION, "it is p-1",
                         "INVALID_STATE");
    }
    return grpc::Status::OK;
  };
  other.on_revert = [&](auto&, const auto& request, auto* reply) {
    reverted.Set(request);
    google::protobuf::TextFormat::ParseFromString(kPlan, reply);
    return grpc::Status::OK;
  };
  const auto run = [&](std::vector<std::string> args) {
    args.insert(args.begin(), {"--target", other.target()});
    return RunProcess(args);
  };
  EXPECT_EQ(run({"confirm", "p-1"}).out, "confirmed\n");
  EXPECT_EQ(confirmed.Get().id(), "p-1");
  EXPECT_EQ(run({"confirm"}).exit_code, 0);
  EXPECT_EQ(confirmed.Get().id(), "");
  const ProcessResult wrong = run({"confirm", "x"});
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_THAT(wrong.err, HasSubstr("tunnelctl lock show"));
  const ProcessResult back = run({"revert", "p-1", "--dry-run"});
  EXPECT_EQ(back.exit_code, 0);
  EXPECT_THAT(back.out, HasSubstr("- old sit"));
  EXPECT_EQ(reverted.Get().id(), "p-1");
  EXPECT_TRUE(reverted.Get().options().validate_only());
}

TEST_F(ApplyTest, PendingRefusesAndSaysHowToGoOn) {
  daemon_.on_update = [](auto&, const auto&, auto*) {
    return ErrorStatus(grpc::FAILED_PRECONDITION, "p-1 awaits confirmation",
                       "APPLY_PENDING", {{"id", "p-1"}});
  };
  const ProcessResult result = Run("set gre0 key 1");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("'tunnelctl confirm p-1'"));
  EXPECT_THAT(result.err, HasSubstr("'tunnelctl revert p-1'"));
}

TEST_F(ApplyTest, ValidateSaysWhatWasChecked) {
  AnswerPlan("");
  const ProcessResult both = Run("validate -f " + path_);
  EXPECT_EQ(both.exit_code, 0) << both.err;
  EXPECT_EQ(both.out, path_ +
                          ": valid, 2 tunnels; the daemon agrees (1 created, "
                          "1 changed, 1 deleted)\n");
  EXPECT_TRUE(seen_.Get().options().validate_only());
  const ProcessResult offline = Run("validate --offline -f " + path_);
  EXPECT_THAT(offline.out, HasSubstr("the file alone was checked"));
  EXPECT_EQ(seen_.count(), 1);
  const ProcessResult alone = RunProcess(
      {"validate", "-f", path_, "--target", "unix:/nonexistent/socket"});
  EXPECT_EQ(alone.exit_code, 0);
  EXPECT_THAT(alone.out, HasSubstr("the file alone was checked (no daemon at"));
  const ProcessResult json = RunProcess(
      {"validate", "-f", path_, "--json", "--target", "unix:/nonexistent/s"});
  EXPECT_EQ(json.out, absl::StrCat("{\"file\":\"", path_,
                                   "\",\"tunnels\":2,\"checked_by_daemon\":"
                                   "false}\n"));
  // /dev/null is the standard input of these processes.
  const ProcessResult empty = RunProcess({"validate", "-f", "-", "--offline"});
  EXPECT_EQ(
      empty.out,
      "stdin: valid, 0 tunnels; the file alone was checked (--offline)\n");
}

TEST_F(ApplyTest, ShowAsTomlIsAFileForApply) {
  daemon_.on_list = [](auto&, const auto&, auto* reply) {
    google::protobuf::TextFormat::ParseFromString(
        R"pb(name: "gre0"
             mode: GRE
             local: "192.0.2.1"
             remote: "192.0.2.2"
             key: 0
             ttl: 64
             df: DF_ON
             ecn: ECN_NORMAL
             admin_state: ADMIN_UP
             oper_state: OPER_UP
             ifindex: 3)pb",
        reply->add_tunnels());
    return grpc::Status::OK;
  };
  const ProcessResult shown = Run("show -o toml");
  EXPECT_EQ(shown.out,
            "[[tunnel]]\nname = \"gre0\"\nmode = \"gre\"\nlocal = "
            "\"192.0.2.1\"\nremote = \"192.0.2.2\"\nkey = 0\n");
  Write(shown.out);
  EXPECT_EQ(RunProcess({"validate", "--offline", "-f", path_}).exit_code, 0);
}

TEST_F(ApplyTest, MetricsArePrintedAsTheyCome) {
  daemon_.on_metrics = [](auto&, const auto&, auto* reply) {
    reply->set_text("tunnel_up{tunnel=\"a\"} 1\n");
    return grpc::Status::OK;
  };
  EXPECT_EQ(Run("metrics").out, "tunnel_up{tunnel=\"a\"} 1\n");
  EXPECT_EQ(Run("metrics --json").out,
            "{\"text\":\"tunnel_up{tunnel=\\\"a\\\"} 1\\n\"}\n");
}

TEST_F(ApplyTest, SetTakesAnOverlap) {
  Seen<v1::UpdateTunnelRequest> seen;
  daemon_.on_update = [&](auto&, const auto& request, auto*) {
    seen.Set(request);
    return grpc::Status::OK;
  };
  EXPECT_EQ(Run("set gre0 remote 192.0.2.9 --overlap 2s").exit_code, 0);
  EXPECT_EQ(seen.Get().options().overlap().seconds(), 2);
  EXPECT_EQ(Run("set gre0 local dev:eth0 --request-id me").exit_code, 0);
  EXPECT_EQ(seen.Get().tunnel().local(), "dev:eth0");
  EXPECT_EQ(seen.id(), "me");
  EXPECT_EQ(Run("delete a b --request-id me").exit_code, 2);
}

}  // namespace
}  // namespace tunnel::ctl::cli
