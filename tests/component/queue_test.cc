// The lock's queue when it is full: 256 ApplyConfig calls wait, one more is
// sent away, and each that is cancelled leaves at once.

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/component/daemon.h"
#include "tests/concurrency/latency.h"

namespace tunnel::ctl {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;
using std::chrono::nanoseconds;

constexpr size_t kWaiters = 256;
constexpr size_t kCallsAConnection = 64;  // the server allows 100 streams

// One call whose answer is awaited in a completion queue.
struct AsyncApply {
  grpc::ClientContext context;
  v1::ConfigChange change;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1::ConfigChange>> reader;
};

class QueueTest : public ::testing::Test {
 protected:
  static v1::ApplyConfigRequest Wanted(int host) {
    v1::ApplyConfigRequest request;
    *request.add_tunnels() = GreRequest(absl::StrCat("t", host), 2).tunnel();
    request.mutable_tunnels(0)->set_key(host);
    return request;
  }

  std::unique_ptr<AsyncApply> Start(size_t i) {
    if (stubs_.size() <= i / kCallsAConnection) {
      stubs_.push_back(v1::ConfigService::NewStub(daemon_.Connect()));
    }
    auto call = std::make_unique<AsyncApply>();
    call->reader = stubs_[i / kCallsAConnection]->AsyncApplyConfig(
        &call->context, Wanted(static_cast<int>(i)), &queue_);
    call->reader->Finish(&call->change, &call->status, call.get());
    return call;
  }
  // The next call that ends.
  AsyncApply* Next() {
    void* tag = nullptr;
    bool ok = false;
    EXPECT_TRUE(queue_.Next(&tag, &ok) && ok);
    return static_cast<AsyncApply*>(tag);
  }
  ConfigLockInfo LockInfo() { return daemon_.manager().LockInfo(); }
  // It sleeps between two looks at the lock: who looks without a pause keeps
  // the lock's mutex from those who must leave.
  static bool Await(const std::function<bool()>& condition) {
    const auto limit = Clock::now() + std::chrono::minutes(1);
    while (!condition()) {
      if (Clock::now() > limit) return false;
      std::this_thread::sleep_for(microseconds(100));
    }
    return true;
  }

  // From the cancel in the client to the empty place in the daemon's queue.
  nanoseconds Leave(AsyncApply& waiter) {
    const size_t others = LockInfo().waiters.size() - 1;
    const auto start = Clock::now();
    waiter.context.TryCancel();
    EXPECT_TRUE(Await([&] { return LockInfo().waiters.size() == others; }));
    return Clock::now() - start;
  }
  // A call that waits for nothing, there and back.
  nanoseconds RoundTrip() {
    grpc::ClientContext context;
    v1::ListTunnelsResponse reply;
    const auto start = Clock::now();
    EXPECT_TRUE(daemon_.tunnels().ListTunnels(&context, {}, &reply).ok());
    EXPECT_EQ(reply.tunnels_size(), 0) << "nobody has changed anything";
    return Clock::now() - start;
  }

  TestDaemon daemon_;
  std::vector<std::unique_ptr<v1::ConfigService::Stub>> stubs_;
  grpc::CompletionQueue queue_;
};

TEST_F(QueueTest, IsBoundedAndACancelledWaiterLeavesAtOnce) {
  daemon_.gate().Shut();
  auto holder = Start(0);
  daemon_.gate().AwaitArrival();
  std::vector<std::unique_ptr<AsyncApply>> waiters;
  for (size_t i = 1; i <= kWaiters; ++i) waiters.push_back(Start(i));
  ASSERT_TRUE(Await([&] { return LockInfo().waiters.size() == kWaiters; }));

  auto late = Start(kWaiters + 1);
  ASSERT_EQ(Next(), late.get());
  EXPECT_EQ(late->status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonOf(late->status), "CONFIG_LOCK_QUEUE_FULL");

  // The others stay where they are, and so does the holder.
  const uint64_t holder_id = LockInfo().holder->id;
  Latencies leave, round_trip;
  for (size_t i = 0; i < kWaiters / 2; ++i) {
    round_trip.push_back(RoundTrip());
    leave.push_back(Leave(*waiters[i]));
    ASSERT_EQ(Next(), waiters[i].get());
    EXPECT_EQ(waiters[i]->status.error_code(), grpc::StatusCode::CANCELLED);
    const ConfigLockInfo info = LockInfo();
    ASSERT_EQ(info.waiters.size(), kWaiters - i - 1);
    ASSERT_TRUE(info.holder && info.holder->id == holder_id);
  }
  std::printf(
      "a cancelled waiter leaves in %.2f ms (p99 %.2f); a round trip takes "
      "%.2f ms (p99 %.2f)\n",
      Milliseconds(Median(leave)), Milliseconds(Percentile99(leave)),
      Milliseconds(Median(round_trip)), Milliseconds(Percentile99(round_trip)));
  EXPECT_LE(Median(leave), 20 * Median(round_trip));

  daemon_.gate().OpenGate();
  for (size_t i = 0; i < kWaiters / 2 + 1; ++i) {
    EXPECT_EQ(ReasonOf(Next()->status), "OK");
  }
  EXPECT_EQ(daemon_.manager().List().tunnels.size(), kWaiters / 2 + 1);
  // What is counted when it is taken and when it is given back agrees while
  // nobody has it; the monitor looks at the new tunnels now.
  ConfigLockInfo info;
  ASSERT_TRUE(Await([&] {
    info = LockInfo();
    return !info.holder.has_value();
  }));
  EXPECT_EQ(info.wait.total(), info.acquired_total);
  EXPECT_EQ(info.hold.total(), info.acquired_total);
}

}  // namespace
}  // namespace tunnel::ctl
