// tunnelctl as a process: replies that are lost, and Ctrl-C during an apply.

#include <signal.h>

#include <atomic>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "ctl/cli/apply_fixture.h"
#include "gmock/gmock.h"

namespace tunnel::ctl::cli {
namespace {

using ::testing::HasSubstr;

// Without details UNAVAILABLE is of the transport: the reply was lost.
TEST_F(ApplyTest, ALostReplyIsAskedForOnceMoreUnderTheSameId) {
  std::vector<std::string> ids;  // calls come one after the other
  daemon_.on_update = [&](auto&, const auto& request, auto* reply) {
    ids.push_back(request.options().request_id());
    if (ids.size() == 1)
      return grpc::Status(grpc::UNAVAILABLE, "socket closed");
    reply->mutable_tunnel()->set_name("gre0");
    reply->set_replayed(true);
    return grpc::Status::OK;
  };
  const ProcessResult result = Run("set gre0 key 1");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "gre0: changed\n");
  EXPECT_THAT(result.err, HasSubstr("already done by an earlier call"));
  ASSERT_EQ(ids.size(), 2u);
  EXPECT_THAT(ids[0], ::testing::MatchesRegex(kUuid));
  EXPECT_EQ(ids[0], ids[1]);
}

TEST_F(ApplyTest, AReplyThatIsLostTwiceIsLeftToTheUser) {
  daemon_.on_apply = [&](auto&, const auto& request, auto*) {
    seen_.Set(request);
    return grpc::Status(grpc::UNAVAILABLE, "socket closed");
  };
  const ProcessResult result = Run("apply -f " + path_);
  EXPECT_EQ(result.exit_code, 69);
  EXPECT_EQ(seen_.count(), 2);
  EXPECT_THAT(result.err,
              HasSubstr("whether the change was made is not known"));
  EXPECT_THAT(result.err, HasSubstr("--request-id " + seen_.id()));
}

TEST_F(ApplyTest, AnErrorOfTheDaemonIsNotRetried) {
  daemon_.on_apply = [&](auto&, const auto& request, auto*) {
    seen_.Set(request);
    return ErrorStatus(grpc::UNAVAILABLE, "stopping", "SHUTTING_DOWN");
  };
  EXPECT_EQ(Run("apply -f " + path_).exit_code, 69);
  EXPECT_EQ(seen_.count(), 1);
}

// An apply that waits until the client leaves; afterwards the daemon has it, or
// has not.
class ApplyInterruptTest : public ApplyTest {
 protected:
  ApplyInterruptTest() {
    daemon_.on_lock = [this](auto&, const auto&, auto* reply) {
      if (pending_) {
        reply->mutable_pending()->set_id("p-1");
        reply->mutable_pending()->mutable_remaining()->set_seconds(20);
      }
      return grpc::Status::OK;
    };
    daemon_.on_apply = [this](auto& context, const auto& request, auto* reply) {
      if (request.options().validate_only()) {
        reply->set_no_op(made_);
        return grpc::Status::OK;
      }
      entered_.Notify();
      while (!context.IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
      return grpc::Status(grpc::CANCELLED, "left");
    };
  }

  ProcessResult Interrupted(std::vector<std::string> words) {
    words.insert(words.begin(),
                 {"--target", daemon_.target(), "apply", "-f", path_});
    Subprocess process(words);
    EXPECT_TRUE(entered_.WaitForNotificationWithTimeout(absl::Seconds(10)));
    process.Signal(SIGINT);
    return process.Wait();
  }

  absl::Notification entered_;
  std::atomic<bool> made_{false};
  std::atomic<bool> pending_{false};
};

TEST_F(ApplyInterruptTest, BeforeTheCommitNothingHasChanged) {
  const ProcessResult result = Interrupted({});
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_THAT(result.err, HasSubstr("interrupted, nothing changed"));
}

TEST_F(ApplyInterruptTest, AfterTheCommitItSaysThatItWasMade) {
  made_ = true;
  const ProcessResult result = Interrupted({});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.err, HasSubstr("after the commit: the change was made"));
}

TEST_F(ApplyInterruptTest, WhatAwaitsConfirmationGoesBackByItself) {
  pending_ = true;
  const ProcessResult result = Interrupted({"--confirm", "20s"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.err, HasSubstr("the change was made"));
  EXPECT_THAT(result.err, HasSubstr("p-1 goes back by itself in 20 s"));
  EXPECT_THAT(result.err, HasSubstr("tunnelctl confirm p-1"));
}

}  // namespace
}  // namespace tunnel::ctl::cli
