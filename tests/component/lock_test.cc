// The configuration lock, as callers meet it: waiting, leaving, being sent
// away.

#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/component/daemon.h"

namespace tunnel::ctl {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

class LockTest : public ::testing::Test {
 protected:
  explicit LockTest(DaemonOptions options = {}) : daemon_(options) {}

  struct Call {
    std::unique_ptr<grpc::ClientContext> context;
    std::future<grpc::Status> status;
    v1::TunnelChange change;
  };

  // Sends CreateTunnel from a thread of its own.
  std::unique_ptr<Call> Create(const std::string& name, int host,
                               milliseconds deadline = milliseconds(60'000),
                               milliseconds lock_timeout = milliseconds(-1)) {
    auto call = std::make_unique<Call>();
    call->context = std::make_unique<grpc::ClientContext>();
    call->context->set_deadline(std::chrono::system_clock::now() + deadline);
    v1::CreateTunnelRequest request = GreRequest(name, host);
    if (lock_timeout.count() >= 0) {
      auto& timeout = *request.mutable_options()->mutable_lock_timeout();
      timeout.set_seconds(lock_timeout.count() / 1000);
      timeout.set_nanos(lock_timeout.count() % 1000 * 1'000'000);
    }
    call->status =
        std::async(std::launch::async, [this, request, raw = call.get()] {
          return daemon_.tunnels().CreateTunnel(raw->context.get(), request,
                                                &raw->change);
        });
    return call;
  }

  // A change that holds the lock until the gate opens.
  std::unique_ptr<Call> Hold() {
    daemon_.gate().Shut();
    auto holder = Create("holder", 200);
    daemon_.gate().AwaitArrival();
    return holder;
  }

  v1::ConfigLockState Lock() {
    grpc::ClientContext context;
    v1::ConfigLockState state;
    EXPECT_TRUE(daemon_.config().GetConfigLock(&context, {}, &state).ok());
    return state;
  }

  // False when it does not come true within a minute.
  bool Await(const std::function<bool()>& condition) {
    const auto limit = Clock::now() + std::chrono::minutes(1);
    while (!condition()) {
      if (Clock::now() > limit) return false;
      std::this_thread::sleep_for(milliseconds(1));
    }
    return true;
  }
  bool AwaitWaiters(int n) {
    return Await([&] { return Lock().waiters_size() == n; });
  }

  grpc::Status Interrupt(uint64_t id) {
    grpc::ClientContext context;
    v1::InterruptConfigLockRequest request;
    request.set_id(id);
    v1::InterruptConfigLockResponse response;
    return daemon_.config().InterruptConfigLock(&context, request, &response);
  }

  std::vector<std::string> Names() {
    grpc::ClientContext context;
    v1::ListTunnelsResponse response;
    EXPECT_TRUE(daemon_.tunnels().ListTunnels(&context, {}, &response).ok());
    std::vector<std::string> names;
    for (const auto& tunnel : response.tunnels())
      names.push_back(tunnel.name());
    return names;
  }

  TestDaemon daemon_;
};

TEST_F(LockTest, ShowsHolderStepAndWaitersInOrder) {
  auto holder = Hold();
  auto first = Create("first", 2);
  ASSERT_TRUE(AwaitWaiters(1));
  auto second = Create("second", 3);
  ASSERT_TRUE(AwaitWaiters(2));
  const v1::ConfigLockState state = Lock();
  EXPECT_EQ(state.holder().operation(), "CreateTunnel holder");
  EXPECT_EQ(state.holder().uid(), getuid());
  EXPECT_EQ(state.holder().pid(), getpid());
  EXPECT_EQ(state.step(), "prepare");
  EXPECT_EQ(state.waiters(0).operation(), "CreateTunnel first");
  EXPECT_EQ(state.waiters(1).operation(), "CreateTunnel second");
  daemon_.gate().OpenGate();
  EXPECT_EQ(ReasonOf(holder->status.get()), "OK");
  EXPECT_EQ(ReasonOf(first->status.get()), "OK");
  EXPECT_EQ(ReasonOf(second->status.get()), "OK");
  EXPECT_GT(second->change.timing().lock_wait().nanos() +
                second->change.timing().lock_wait().seconds(),
            0);
  // The monitor may hold it for a moment.
  EXPECT_TRUE(Await([&] { return !Lock().has_holder(); }));
}

TEST_F(LockTest, CancelledWaiterLeavesAtOnceAndReadsGoOn) {
  auto holder = Hold();
  auto waiter = Create("waiter", 2);
  ASSERT_TRUE(AwaitWaiters(1));
  EXPECT_TRUE(Names().empty());  // reads do not wait for the lock
  waiter->context->TryCancel();
  EXPECT_EQ(waiter->status.get().error_code(), grpc::StatusCode::CANCELLED);
  ASSERT_TRUE(AwaitWaiters(0));  // queue_test measures how soon
  daemon_.gate().OpenGate();
  EXPECT_EQ(ReasonOf(holder->status.get()), "OK");
  EXPECT_EQ(Names(), std::vector<std::string>{"holder"});
}

TEST_F(LockTest, ExpiredWaiterLeaves) {
  auto holder = Hold();
  const auto start = Clock::now();
  auto waiter = Create("waiter", 2, milliseconds(200));
  EXPECT_EQ(waiter->status.get().error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  ASSERT_TRUE(AwaitWaiters(0));
  EXPECT_GE(Clock::now() - start, milliseconds(190));
  daemon_.gate().OpenGate();
  EXPECT_EQ(ReasonOf(holder->status.get()), "OK");
  EXPECT_EQ(Names(), std::vector<std::string>{"holder"});
}

// The client has its CANCELLED before the daemon knows of it, and nothing tells
// the test when that is: a try in which the gate opened too soon is made again
// with more patience. A daemon that does not heed the cancel fails every one.
TEST_F(LockTest, CancelledHolderGivesTheChangeUp) {
  bool given_up = false;
  for (int patience_ms = 20; !given_up && patience_ms <= 1280;
       patience_ms *= 2) {
    auto holder = Hold();
    holder->context->TryCancel();
    EXPECT_EQ(holder->status.get().error_code(), grpc::StatusCode::CANCELLED);
    std::this_thread::sleep_for(milliseconds(patience_ms));
    daemon_.gate().OpenGate();
    ASSERT_TRUE(Await([&] { return !Lock().has_holder(); }));
    given_up = Names().empty();
    if (!given_up) {
      grpc::ClientContext context;
      v1::DeleteTunnelRequest request;
      request.set_name("holder");
      v1::TunnelChange change;
      ASSERT_TRUE(
          daemon_.tunnels().DeleteTunnel(&context, request, &change).ok());
    }
  }
  EXPECT_TRUE(given_up);
  EXPECT_TRUE(Await(
      [&] { return daemon_.tun().created() == daemon_.tun().destroyed(); }));
}

TEST_F(LockTest, LockTimeoutNamesTheHolder) {
  auto holder = Hold();
  auto waiter = Create("waiter", 2, milliseconds(60'000), milliseconds(50));
  const grpc::Status status = waiter->status.get();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED);
  const google::rpc::ErrorInfo info = InfoOf(status);
  EXPECT_EQ(info.reason(), "CONFIG_LOCK_BUSY");
  EXPECT_NE(info.metadata().at("holder").find("CreateTunnel holder"),
            std::string::npos);
  EXPECT_EQ(info.metadata().count("held_ms"), 1u);
  daemon_.gate().OpenGate();
  EXPECT_EQ(ReasonOf(holder->status.get()), "OK");
}

TEST_F(LockTest, OperatorSendsAWaiterAndAHolderAway) {
  auto holder = Hold();
  auto waiter = Create("waiter", 2);
  ASSERT_TRUE(AwaitWaiters(1));
  const v1::ConfigLockState state = Lock();
  EXPECT_EQ(ReasonOf(Interrupt(state.waiters(0).id())), "OK");
  EXPECT_EQ(ReasonOf(waiter->status.get()), "CONFIG_LOCK_INTERRUPTED");
  const grpc::Status unknown = Interrupt(state.waiters(0).id());
  EXPECT_EQ(unknown.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ReasonOf(unknown), "LOCK_PARTY_NOT_FOUND");
  EXPECT_EQ(ReasonOf(Interrupt(state.holder().id())), "OK");
  daemon_.gate().OpenGate();
  EXPECT_EQ(ReasonOf(holder->status.get()), "CONFIG_LOCK_INTERRUPTED");
  EXPECT_TRUE(Names().empty());
  EXPECT_EQ(Lock().interrupted_total(), 2u);
}

TEST_F(LockTest, ShutdownSendsWaitersAway) {
  auto holder = Hold();
  auto waiter = Create("waiter", 2);
  ASSERT_TRUE(AwaitWaiters(1));
  auto stopped = std::async(std::launch::async, [&] { daemon_.Stop(); });
  const grpc::Status status = waiter->status.get();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReasonOf(status), "SHUTTING_DOWN");
  daemon_.gate().OpenGate();
  stopped.get();
  holder->status.get();
}

class FullLockTest : public LockTest {
 protected:
  static DaemonOptions Options() {
    DaemonOptions options;
    options.manager.max_lock_waiters = 2;
    options.server.max_changes = 5;
    return options;
  }
  FullLockTest() : LockTest(Options()) {}
};

TEST_F(FullLockTest, RefusesWhatIsAboveTheBounds) {
  auto holder = Hold();
  std::vector<std::unique_ptr<Call>> waiters;
  for (int i = 0; i < 2; ++i) {
    waiters.push_back(Create(absl::StrCat("w", i), 2 + i));
    ASSERT_TRUE(AwaitWaiters(i + 1));
  }
  const grpc::Status status = Create("late", 50)->status.get();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonOf(status), "CONFIG_LOCK_QUEUE_FULL");
  daemon_.gate().OpenGate();
  EXPECT_EQ(ReasonOf(holder->status.get()), "OK");
  for (auto& waiter : waiters) {
    EXPECT_EQ(ReasonOf(waiter->status.get()), "OK");
  }
}

class SmallPoolTest : public LockTest {
 protected:
  static DaemonOptions Options() {
    DaemonOptions options;
    options.server.max_changes = 2;
    return options;
  }
  SmallPoolTest() : LockTest(Options()) {}
};

TEST_F(SmallPoolTest, RefusesAChangeThatHasNoThread) {
  auto holder = Hold();
  auto waiter = Create("waiter", 2);
  ASSERT_TRUE(AwaitWaiters(1));
  EXPECT_EQ(ReasonOf(Create("late", 50)->status.get()),
            "CONFIG_LOCK_QUEUE_FULL");
  daemon_.gate().OpenGate();
  EXPECT_EQ(ReasonOf(holder->status.get()), "OK");
  EXPECT_EQ(ReasonOf(waiter->status.get()), "OK");
}

}  // namespace
}  // namespace tunnel::ctl
