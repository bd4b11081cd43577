// tunnelctl as a process: Ctrl-C, deadlines, streams. Times are generous, since
// the machine may be loaded; what is printed must be true in any case.

#include <signal.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "ctl/cli/fake_daemon.h"
#include "ctl/cli/subprocess.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tunnel::ctl::cli {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Minutes(1);

// Until the client has gone.
void AwaitCancel(const grpc::ServerContext& context) {
  const absl::Time end = absl::Now() + kPatience;
  while (!context.IsCancelled() && absl::Now() < end) {
    absl::SleepFor(absl::Milliseconds(1));
  }
}

void SetNow(google::protobuf::Timestamp* time) {
  const absl::Time now = absl::Now();
  time->set_seconds(absl::ToUnixSeconds(now));
  time->set_nanos(static_cast<int32_t>(
      (now - absl::FromUnixSeconds(time->seconds())) / absl::Nanoseconds(1)));
}

class InterruptTest : public ::testing::Test {
 protected:
  InterruptTest() {
    daemon_.on_lock = [](auto&, const auto&, auto*) {
      return grpc::Status::OK;
    };
    daemon_.on_get = [this](auto&, const auto& request, auto* reply) {
      reply->set_name(request.name());
      reply->mutable_update_time()->set_seconds(1);
      if (changed_) SetNow(reply->mutable_update_time());
      return grpc::Status::OK;
    };
    // Waits for the lock until the client leaves.
    daemon_.on_update = [this](auto& context, const auto&, auto*) {
      entered_.Notify();
      AwaitCancel(context);
      cancelled_.Notify();
      return grpc::Status(grpc::CANCELLED, "left");
    };
  }

  std::vector<std::string> SetCommand() const {
    return {"--target", daemon_.target(), "set", "gre0", "key", "1"};
  }

  // Written by the threads of the server, so they outlive it.
  absl::Notification entered_;
  absl::Notification cancelled_;
  std::atomic<bool> changed_{false};
  FakeDaemon daemon_;
};

TEST_F(InterruptTest, CtrlCCancelsTheCallAndNothingChanges) {
  Subprocess process(SetCommand());
  ASSERT_TRUE(entered_.WaitForNotificationWithTimeout(kPatience));
  process.Signal(SIGINT);
  const ProcessResult result = process.Wait();
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("tunnelctl: interrupted, nothing changed"));
  ASSERT_TRUE(cancelled_.WaitForNotificationWithTimeout(kPatience));
}

TEST_F(InterruptTest, CtrlCAfterTheCommitTellsThatTheChangeWasMade) {
  Subprocess process(SetCommand());
  ASSERT_TRUE(entered_.WaitForNotificationWithTimeout(kPatience));
  changed_ = true;
  process.Signal(SIGINT);
  const ProcessResult result = process.Wait();
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "gre0: changed\n");
  EXPECT_THAT(result.err, HasSubstr("the change was made"));
}

TEST_F(InterruptTest, ItWaitsUntilItsWorkHasLeftTheLock) {
  std::atomic<int> polls{0};
  std::atomic<pid_t> pid{0};
  daemon_.on_lock = [&](auto&, const auto&, auto* reply) {
    // It commits while it is looked at, and is gone from the lock after that.
    if (++polls < 5) {
      reply->mutable_holder()->set_pid(pid);
    } else {
      changed_ = true;
    }
    return grpc::Status::OK;
  };
  Subprocess process(SetCommand());
  pid = process.pid();
  ASSERT_TRUE(entered_.WaitForNotificationWithTimeout(kPatience));
  process.Signal(SIGINT);
  const ProcessResult result = process.Wait();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "gre0: changed\n");
  EXPECT_EQ(polls, 5);
}

TEST_F(InterruptTest, AnOutcomeThatCanNotBeSeenIsCalledUnknown) {
  daemon_.on_lock = [](auto&, const auto&, auto*) {
    return grpc::Status(grpc::INTERNAL, "broken");
  };
  Subprocess process(SetCommand());
  ASSERT_TRUE(entered_.WaitForNotificationWithTimeout(kPatience));
  process.Signal(SIGINT);
  const ProcessResult result = process.Wait();
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_THAT(result.err,
              HasSubstr("whether the change was made is not known"));
}

TEST_F(InterruptTest, ASecondCtrlCEndsAtOnce) {
  absl::Notification looking;
  absl::Notification done;
  daemon_.on_lock = [&](auto& context, const auto&, auto*) {
    looking.Notify();
    AwaitCancel(context);
    return grpc::Status::OK;
  };
  Subprocess process(SetCommand());
  ASSERT_TRUE(entered_.WaitForNotificationWithTimeout(kPatience));
  process.Signal(SIGINT);
  ASSERT_TRUE(looking.WaitForNotificationWithTimeout(kPatience));
  process.Signal(SIGINT);
  const ProcessResult result = process.Wait();
  EXPECT_EQ(result.exit_code, 130);
  // The look is not waited for, so nothing is said of it.
  EXPECT_EQ(result.err.find("is not known"), std::string::npos) << result.err;
}

TEST_F(InterruptTest, TheDeadlineIsTryAgain) {
  std::vector<std::string> args = SetCommand();
  args.insert(args.end(), {"--wait", "100ms"});
  const ProcessResult result = RunProcess(args);
  EXPECT_EQ(result.exit_code, 75);
  EXPECT_THAT(result.err, HasSubstr("deadline exceeded, nothing changed"));
}

TEST_F(InterruptTest, CtrlCEndsAReadToo) {
  daemon_.on_stats = [this](auto& context, const auto&, auto*) {
    entered_.Notify();
    AwaitCancel(context);
    return grpc::Status::OK;
  };
  Subprocess process({"stats", "--json", "--target", daemon_.target()});
  ASSERT_TRUE(entered_.WaitForNotificationWithTimeout(kPatience));
  process.Signal(SIGINT);
  const ProcessResult result = process.Wait();
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_THAT(result.err, HasSubstr("\"reason\":\"INTERRUPTED\""));
}

class WatchTest : public ::testing::Test {
 protected:
  WatchTest() {
    daemon_.on_watch = [](auto& context, const auto&, auto& writer) {
      v1::WatchTunnelsResponse event;
      event.set_epoch("run1");
      event.set_revision(7);
      event.mutable_added()->set_name("gre0");
      writer.Write(event);
      event.mutable_synced();
      writer.Write(event);
      event.set_deleted("gre0");
      while (!context.IsCancelled()) {
        event.set_revision(event.revision() + 1);
        writer.Write(event);
        absl::SleepFor(absl::Milliseconds(5));
      }
      return grpc::Status::OK;
    };
  }

  FakeDaemon daemon_;
};

TEST_F(WatchTest, EachEventIsThereAtOnceAndCtrlCGives130) {
  Subprocess process({"watch", "--target", daemon_.target()});
  EXPECT_TRUE(process.ReadUntil("7 SYNCED epoch run1\n"));
  EXPECT_TRUE(process.ReadUntil("DELETED gre0\n"));
  process.Signal(SIGINT);
  const ProcessResult result = process.Wait();
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_THAT(result.out, ::testing::StartsWith("7 ADDED gre0 "));
  EXPECT_EQ(result.err, "");
}

TEST_F(WatchTest, JsonIsOneObjectALine) {
  Subprocess process({"watch", "--json", "--target", daemon_.target()});
  EXPECT_TRUE(process.ReadUntil(
      "{\"epoch\":\"run1\",\"revision\":\"7\",\"added\":{\"name\":\"gre0\"}}\n"
      "{\"epoch\":\"run1\",\"revision\":\"7\",\"synced\":{}}\n"));
  process.Signal(SIGINT);
  EXPECT_EQ(process.Wait().exit_code, 130);
}

TEST_F(WatchTest, EndsQuietlyWhenItsReaderLeaves) {
  Subprocess process({"watch", "--target", daemon_.target()});
  ASSERT_TRUE(process.ReadUntil("SYNCED"));
  process.CloseStdout();
  const ProcessResult result = process.Wait();
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
}

}  // namespace
}  // namespace tunnel::ctl::cli
