// tunnelctl as a process against a daemon in this one: requests and output.

#include <atomic>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "ctl/cli/calls_fixture.h"
#include "gmock/gmock.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"

namespace tunnel::ctl::cli {
namespace {

using ::testing::HasSubstr;

TEST_F(CallsTest, CreateSendsTheTunnelAndPrintsOneLine) {
  Seen<v1::CreateTunnelRequest> seen;
  daemon_.on_create = [&](auto&, const auto& request, auto* reply) {
    seen.Set(request);
    *reply->mutable_tunnel() = request.tunnel();
    reply->mutable_timing()->mutable_lock_wait()->set_nanos(2500000);
    return grpc::Status::OK;
  };
  const ProcessResult result =
      Run("create gre0 mode gre local 192.0.2.1 remote 192.0.2.2 key 0 "
          "address 10.9.0.1/30 --lock-timeout 1500ms label a=b");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out,
            "gre0: created gre 192.0.2.1 -> 192.0.2.2 key 0 (waited 2.5 ms for "
            "the lock)\n");
  EXPECT_EQ(result.err, "");
  EXPECT_TRUE(Is(seen.Get(), R"pb(
    tunnel {
      name: "gre0"
      mode: GRE
      local: "192.0.2.1"
      remote: "192.0.2.2"
      key: 0
      addresses: "10.9.0.1/30"
      labels { key: "a" value: "b" }
    }
    options { lock_timeout { seconds: 1 nanos: 500000000 } })pb"));
  EXPECT_THAT(seen.id(), ::testing::MatchesRegex(kUuid));
}

TEST_F(CallsTest, SetReportsWhatChangedAndWhatItCost) {
  Seen<v1::UpdateTunnelRequest> seen;
  daemon_.on_update = [&](auto&, const auto& request, auto* reply) {
    seen.Set(request);
    google::protobuf::TextFormat::ParseFromString(
        R"pb(tunnel { name: "gre0" key: 43 }
             changes { field: "key" old_value: "42" new_value: "43" }
             timing {
               pause { nanos: 200000 }
               disestablish { nanos: 300000 }
               detach { nanos: 100000 }
               attach { nanos: 100000 }
               establish { nanos: 300000 }
               resume { nanos: 200000 }
               packets_dropped: 0
             })pb",
        reply);
    return grpc::Status::OK;
  };
  const ProcessResult result = Run("set gre0 key 43 --if-match \"7\"");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out,
            "gre0: key 42 -> 43 (paused 1.2 ms, 0 packets dropped)\n");
  EXPECT_TRUE(Is(seen.Get(), R"pb(
    tunnel { name: "gre0" key: 43 }
    update_mask { paths: "key" }
    options { if_match: "\"7\"" })pb"));

  const ProcessResult json = Run("set gre0 key 43 --json");
  v1::TunnelChange change;
  ASSERT_TRUE(
      google::protobuf::util::JsonStringToMessage(json.out, &change).ok())
      << json.out;
  EXPECT_EQ(change.tunnel().key(), 43u);
  EXPECT_EQ(change.changes(0).old_value(), "42");
}

TEST_F(CallsTest, EachVerbCallsItsMethod) {
  std::mutex mu;
  std::string log;
  const auto note = [&](const std::string& text, const std::string& name,
                        v1::TunnelChange* reply) {
    const std::lock_guard<std::mutex> lock(mu);
    absl::StrAppend(&log, text, " ", name, "\n");
    reply->mutable_tunnel()->set_name(name);
    return grpc::Status::OK;
  };
  daemon_.on_pause = [&](auto&, const auto& request, auto* reply) {
    return note(absl::StrCat("pause ", request.max_duration().seconds()),
                request.name(), reply);
  };
  daemon_.on_resume = [&](auto&, const auto& request, auto* reply) {
    return note("resume", request.name(), reply);
  };
  daemon_.on_detach = [&](auto&, const auto& request, auto* reply) {
    return note("detach", request.name(), reply);
  };
  daemon_.on_attach = [&](auto&, const auto& request, auto* reply) {
    return note("attach", request.name(), reply);
  };
  daemon_.on_update = [&](auto&, const auto& request, auto* reply) {
    return note(absl::StrCat("update ", request.update_mask().paths(0), " ",
                             request.tunnel().admin_state()),
                request.tunnel().name(), reply);
  };
  EXPECT_EQ(Run("pause a max 5s").out, "a: paused\n");
  EXPECT_EQ(Run("resume a").out, "a: resumed\n");
  EXPECT_EQ(Run("detach b").out, "b: detached\n");
  EXPECT_EQ(Run("attach b").out, "b: attached\n");
  EXPECT_EQ(Run("up c").exit_code, 0);
  EXPECT_EQ(Run("down c").exit_code, 0);
  EXPECT_EQ(log,
            "pause 5 a\nresume a\ndetach b\nattach b\n"
            "update admin_state 1 c\nupdate admin_state 2 c\n");
}

TEST_F(CallsTest, DeleteGoesOnAfterAnUnknownTunnel) {
  Seen<v1::DeleteTunnelRequest> seen;
  daemon_.on_delete = [&](auto&, const auto& request, auto* reply) {
    seen.Set(request);
    if (request.name() == "b" && !request.allow_missing()) {
      return ErrorStatus(grpc::NOT_FOUND, "no tunnel 'b'", "TUNNEL_NOT_FOUND");
    }
    reply->mutable_tunnel()->set_name(request.name());
    reply->set_no_op(request.name() == "b");
    return grpc::Status::OK;
  };
  const ProcessResult result = Run("del a b c");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.out, "a: deleted\nc: deleted\n");
  EXPECT_THAT(result.err, HasSubstr("tunnelctl: no tunnel 'b'\n"));
  EXPECT_EQ(seen.count(), 3);

  const ProcessResult allowed = Run("delete a b --if-exists");
  EXPECT_EQ(allowed.exit_code, 0);
  EXPECT_EQ(allowed.out, "a: deleted\nb: does not exist\n");
  EXPECT_EQ(allowed.err, "");
}

TEST_F(CallsTest, ShowFollowsThePages) {
  daemon_.on_list = [](auto&, const auto& request, auto* reply) {
    const bool first = request.page_token().empty();
    reply->add_tunnels()->set_name(first ? "a" : "b");
    if (first) reply->set_next_page_token("more");
    return grpc::Status::OK;
  };
  EXPECT_EQ(Run("list -o name").out, "a\nb\n");
  EXPECT_EQ(Run("show --json").out, "[{\"name\":\"a\"},{\"name\":\"b\"}]\n");
  const ProcessResult bare = Run(std::vector<std::string>{"-j"});
  EXPECT_EQ(bare.out, "[{\"name\":\"a\"},{\"name\":\"b\"}]\n");
}

TEST_F(CallsTest, AnEmptyListIsNoError) {
  daemon_.on_list = [](auto&, const auto&, auto*) { return grpc::Status::OK; };
  const ProcessResult text = Run("show");
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_EQ(text.out, "");
  EXPECT_THAT(text.err, HasSubstr("no tunnels"));
  const ProcessResult json = Run("show --json");
  EXPECT_EQ(json.exit_code, 0);
  EXPECT_EQ(json.out, "[]\n");
  EXPECT_EQ(json.err, "");
}

TEST_F(CallsTest, ShowOfSeveralNamesShowsThoseThatExist) {
  daemon_.on_get = [](auto&, const auto& request, auto* reply) {
    if (request.name() == "b") {
      return ErrorStatus(grpc::NOT_FOUND, "no tunnel 'b'", "TUNNEL_NOT_FOUND",
                         {{"closest", "a"}});
    }
    reply->set_name(request.name());
    return grpc::Status::OK;
  };
  const ProcessResult result = Run("show a b c --json");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.out, "[{\"name\":\"a\"},{\"name\":\"c\"}]\n");
  EXPECT_THAT(result.err, HasSubstr("did you mean 'a'?"));
}

TEST_F(CallsTest, StatsAddsUpTheDropsOfBothDirections) {
  daemon_.on_stats = [](auto&, const auto& request, auto* reply) {
    auto* tunnel = reply->add_tunnels();
    tunnel->set_name(request.names(0));
    tunnel->set_receive_packets(5);
    (*tunnel->mutable_receive_drops())["queue_full"] = 2;
    (*tunnel->mutable_receive_drops())["key_mismatch"] = 1;
    (*tunnel->mutable_transmit_drops())["queue_full"] = 3;
    return grpc::Status::OK;
  };
  const ProcessResult result = Run("stats gre0 --json");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out,
            "[{\"name\":\"gre0\",\"receive_packets\":5,\"receive_bytes\":0,"
            "\"transmit_packets\":0,\"transmit_bytes\":0,\"transmit_passed\":0,"
            "\"receive_drops\":{\"key_mismatch\":1,\"queue_full\":2},"
            "\"transmit_drops\":{\"queue_full\":3},"
            "\"drops\":{\"key_mismatch\":1,\"queue_full\":5}}]\n");
}

TEST_F(CallsTest, LockShowAndInterrupt) {
  Seen<v1::InterruptConfigLockRequest> seen;
  daemon_.on_lock = [](auto&, const auto&, auto* reply) {
    reply->mutable_holder()->set_id(7);
    reply->mutable_holder()->set_operation("CreateTunnel gre0");
    reply->set_step("prepare");
    return grpc::Status::OK;
  };
  daemon_.on_interrupt = [&](auto&, const auto& request, auto*) {
    seen.Set(request);
    return grpc::Status::OK;
  };
  const ProcessResult shown = Run("lock show");
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(shown.out, HasSubstr("held by id 7 CreateTunnel gre0"));
  const ProcessResult interrupted = Run("lock interrupt 7");
  EXPECT_EQ(interrupted.exit_code, 0) << interrupted.err;
  EXPECT_EQ(interrupted.out, "interrupted 7\n");
  EXPECT_EQ(seen.Get().id(), 7u);
  EXPECT_EQ(Run("lock interrupt seven").exit_code, 2);
}

TEST_F(CallsTest, ResizeHandoff) {
  Seen<v1::ResizeHandoffRequest> seen;
  daemon_.on_resize = [&](auto&, const auto& request, auto* reply) {
    seen.Set(request);
    reply->set_packets(1024);
    reply->set_before(64);
    return grpc::Status::OK;
  };
  const ProcessResult result = Run("resize-handoff 1000");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "each ring holds 1024 packets, 64 before\n");
  EXPECT_EQ(seen.Get().packets(), 1000u);
  EXPECT_EQ(Run("resize-handoff many").exit_code, 2);
  EXPECT_EQ(Run("resize-handoff").exit_code, 2);
}

TEST_F(CallsTest, WatchAsksForTheEpochThatARevisionLacks) {
  Seen<v1::WatchTunnelsRequest> seen;
  daemon_.on_list = [](auto&, const auto&, auto* reply) {
    reply->set_epoch("run1");
    return grpc::Status::OK;
  };
  daemon_.on_watch = [&](auto&, const auto& request, auto&) {
    seen.Set(request);
    return ErrorStatus(grpc::OUT_OF_RANGE, "too old", "REVISION_EXPIRED");
  };
  EXPECT_EQ(Run("watch gre0 --since 12").exit_code, 75);
  EXPECT_TRUE(
      Is(seen.Get(), R"pb(names: "gre0" epoch: "run1" since_revision: 12)pb"));
  EXPECT_EQ(Run("watch --since other:13").exit_code, 75);
  EXPECT_TRUE(Is(seen.Get(), R"pb(epoch: "other" since_revision: 13)pb"));
  EXPECT_EQ(Run("watch --since soon").exit_code, 2);
}

TEST_F(CallsTest, TheTargetComesFromTheEnvironmentToo) {
  daemon_.on_list = [](auto&, const auto&, auto* reply) {
    reply->add_tunnels()->set_name("a");
    return grpc::Status::OK;
  };
  const ProcessResult result = RunProcess(
      {"list", "-o", "name"}, {"TUNNELCTL_TARGET=" + daemon_.target()});
  EXPECT_EQ(result.out, "a\n") << result.err;
}

TEST_F(CallsTest, ColorIsAskedForOrLeftOut) {
  daemon_.on_list = [](auto&, const auto&, auto* reply) {
    reply->add_tunnels()->set_oper_state(v1::OPER_UP);
    return grpc::Status::OK;
  };
  EXPECT_THAT(Run("show --color=always").out, HasSubstr("\033[32mUP\033[0m"));
  EXPECT_THAT(Run("show").out, ::testing::Not(HasSubstr("\033")));
}

TEST_F(CallsTest, AListThatIsLargeComesWhole) {
  daemon_.on_list = [](auto&, const auto&, auto* reply) {
    for (int i = 0; i < 20000; ++i) {
      auto* tunnel = reply->add_tunnels();
      tunnel->set_name(absl::StrCat("t", i));
      tunnel->set_oper_reason(std::string(300, 'x'));
    }
    return grpc::Status::OK;
  };
  const ProcessResult result = Run("show --json");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("\"t19999\""));
}

TEST_F(CallsTest, AReaderThatLeavesIsNoError) {
  daemon_.on_list = [](auto&, const auto&, auto* reply) {
    for (int i = 0; i < 20000; ++i) {
      reply->add_tunnels()->set_name(absl::StrCat("t", i));
    }
    return grpc::Status::OK;
  };
  Subprocess process({"--target", daemon_.target(), "list", "-o", "name"});
  ASSERT_TRUE(process.ReadUntil("t0\n"));
  process.CloseStdout();
  const ProcessResult result = process.Wait();
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
}

TEST_F(CallsTest, HelpVersionAndCompletionNeedNoDaemon) {
  const std::string nowhere = "--target=unix:/nonexistent/socket";
  for (const std::string command :
       {"help", "version", "completion bash", "help create", "create --help",
        "explain no_tunnel", "--help"}) {
    std::vector<std::string> args = absl::StrSplit(command, ' ');
    args.push_back(nowhere);
    const ProcessResult result = RunProcess(args);
    EXPECT_EQ(result.exit_code, 0) << command << result.err;
    EXPECT_NE(result.out, "") << command;
    EXPECT_EQ(result.err, "") << command;
  }
}

}  // namespace
}  // namespace tunnel::ctl::cli
