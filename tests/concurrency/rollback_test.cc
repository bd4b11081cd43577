// What a change leaves behind when it does not come to its end: nothing.
// Regression tests for defects that reviews of gif(4) and ipsecif(4) found: a
// destroy that was interrupted in its wait had taken half of the tunnel away; a
// change that failed came back with another configuration, or with the error of
// the way back; setting a tunnel to its own pair was refused as a duplicate.

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tests/concurrency/lab.h"
#include "tunnel/base/clock.h"
#include "tunnel/base/error.h"
#include "tunnel/sync/mutex.h"

namespace tunnel {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

using Result = absl::StatusOr<ChangeResult>;

class RollbackTest : public testing::Test {
 protected:
  RollbackTest() {
    lab_.wire.SetSink(
        [this](size_t, std::span<const uint8_t> packet, const SendRoute&) {
          MutexLock lock(mu_);
          sent_.emplace_back(packet.begin(), packet.end());
        });
  }

  Result Update(const std::string& name, const EndpointConfig& config,
                const CallContext& call = {}) {
    return lab_.manager->UpdateTunnel(
        call, name, [&](const EndpointConfig&) { return config; }, {});
  }

  // The next packet that `inject` makes a worker send; empty if none comes.
  std::vector<uint8_t> Sent(const std::function<void()>& inject) {
    {
      MutexLock lock(mu_);
      sent_.clear();
    }
    inject();
    for (const SteadyTime start = SteadyNow(); Since(start) < seconds(20);) {
      MutexLock lock(mu_);
      if (!sent_.empty()) return sent_[0];
    }
    return {};
  }

  // Packets go both ways with this configuration.
  void ExpectTraffic(const EndpointConfig& config) {
    const auto inner = InnerPacket(3, ++number_);
    const auto outer = Sent([&] { lab_.tun.Inject(config.name, 0, inner); });
    // What a peer of the same configuration would send, ends swapped.
    encap::EncapConfig mirrored = config.encap;
    std::swap(mirrored.local, mirrored.remote);
    std::swap(mirrored.input_key, mirrored.output_key);
    EXPECT_EQ(Headers(outer), Headers(FromPeer(mirrored, inner)));
    const auto reply = InnerPacket(4, ++number_);
    EXPECT_TRUE(lab_.wire.Deliver(FromPeer(config.encap, reply)));
    const auto taken = lab_.tun.Take(config.name, seconds(20));
    ASSERT_TRUE(taken.has_value()) << DropsText(*lab_.manager->Stats({}));
    EXPECT_EQ(taken->bytes, reply);
  }

  // Without IPv4 identification and header checksum, which change a packet.
  static std::vector<uint8_t> Headers(std::vector<uint8_t> packet) {
    if (packet.size() < 20) return {};
    packet[4] = packet[5] = packet[10] = packet[11] = 0;
    return packet;
  }

  // All of the tunnel that anybody can see.
  struct Sight {
    EndpointConfig config;
    std::string etag;
    uint64_t generation, revision;
    uint32_t mtu;
    bool up;
    uint32_t link_mtu, tx_queue_len;
    std::set<encap::IpPrefix> addresses;
    friend bool operator==(const Sight&, const Sight&) = default;
  };
  Sight Look(const std::string& name) {
    const TunnelView view = *lab_.manager->Get(name);
    const auto link = *lab_.links.GetInterface(view.ifindex);
    return {view.config,   view.etag,          view.generation,
            view.revision, view.effective_mtu, link.up,
            link.mtu,      link.tx_queue_len,  link.addresses};
  }

  Lab lab_{2};
  Mutex mu_;
  std::vector<std::vector<uint8_t>> sent_ ABSL_GUARDED_BY(mu_);
  uint32_t number_ = 0;
};

// Holds the configuration lock until it ends.
class LockHolder {
 public:
  LockHolder(TunnelManager& manager, const std::string& tunnel)
      : thread_(std::async(std::launch::async, [&manager, tunnel, this] {
          return manager.UpdateTunnel({}, tunnel,
                                      [this](const EndpointConfig& current) {
                                        held_.set_value();
                                        release_.get_future().wait();
                                        return current;
                                      },
                                      {});
        })) {
    held_.get_future().wait();
  }
  ~LockHolder() {
    release_.set_value();
    EXPECT_TRUE(thread_.get().ok());
  }

 private:
  std::promise<void> held_, release_;
  std::future<Result> thread_;
};

constexpr char kDelete[] = "the delete";  // the monitor may wait too

// The id of that call, once it waits for the lock.
uint64_t AwaitDelete(const TunnelManager& manager) {
  for (;;) {
    for (const LockParty& waiter : manager.LockInfo().waiters) {
      if (waiter.operation == kDelete) return waiter.id;
    }
    std::this_thread::yield();
  }
}

TEST_F(RollbackTest, InterruptedDeleteChangesNothing) {
  const EndpointConfig config = GreConfig("gre0", 1, 7);
  ASSERT_TRUE(lab_.manager->CreateTunnel({}, config, {}).ok());
  const Sight before = Look("gre0");
  const auto calls = lab_.links.calls();
  struct Way {
    Reason reason;
    std::function<void(CallContext&, ChangeOptions&)> prepare;
    std::function<void()> end;
  };
  std::stop_source stop;
  const std::vector<Way> ways = {
      {Reason::kCancelled,
       [&](CallContext& call, ChangeOptions&) {
         call.cancel = stop.get_token();
       },
       [&] { stop.request_stop(); }},
      {Reason::kDeadlineExceeded,
       [](CallContext& call, ChangeOptions&) {
         call.deadline = SteadyNow() + milliseconds(50);
       },
       [] {}},
      {Reason::kConfigLockBusy,
       [](CallContext&, ChangeOptions& options) {
         options.lock_timeout = milliseconds(50);
       },
       [] {}},
      {Reason::kConfigLockInterrupted, [](CallContext&, ChangeOptions&) {},
       [&] {
         EXPECT_TRUE(
             lab_.manager->InterruptLock(AwaitDelete(*lab_.manager)).ok());
       }},
  };
  for (const Way& way : ways) {
    CallContext call;
    call.operation = kDelete;
    ChangeOptions options;
    way.prepare(call, options);
    {
      LockHolder holder(*lab_.manager, "gre0");
      auto deleting = std::async(std::launch::async, [&] {
        return lab_.manager->DeleteTunnel(call, "gre0", options);
      });
      if (!call.deadline && !options.lock_timeout) AwaitDelete(*lab_.manager);
      way.end();
      EXPECT_EQ(GetReason(deleting.get().status()), way.reason);
      EXPECT_EQ(Look("gre0"), before);
      ExpectTraffic(config);
    }
    EXPECT_EQ(Look("gre0"), before);
    EXPECT_EQ(lab_.links.calls(), calls);
    ExpectTraffic(config);
  }
  EXPECT_TRUE(lab_.manager->DeleteTunnel({}, "gre0", {}).ok());
  EXPECT_FALSE(lab_.tun.Exists("gre0"));
}

// The change holds the lock and is ended before its commit line.
TEST_F(RollbackTest, InterruptedHolderChangesNothing) {
  const EndpointConfig config = GreConfig("gre0", 1, 7);
  ASSERT_TRUE(lab_.manager->CreateTunnel({}, config, {}).ok());
  const Sight before = Look("gre0");
  EndpointConfig next = GreConfig("gre0", 2, std::nullopt);
  next.mtu = 1300;
  std::stop_source stop;
  CallContext call;
  call.cancel = stop.get_token();
  for (const bool operator_ends : {true, false}) {
    const Result result = lab_.manager->UpdateTunnel(
        call, "gre0",
        [&](const EndpointConfig&) {
          if (operator_ends) {
            const uint64_t id = lab_.manager->LockInfo().holder->id;
            EXPECT_TRUE(lab_.manager->InterruptLock(id).ok());
          } else {
            stop.request_stop();
          }
          return next;
        },
        {});
    EXPECT_EQ(GetReason(result.status()), operator_ends
                                              ? Reason::kConfigLockInterrupted
                                              : Reason::kCancelled);
    EXPECT_EQ(Look("gre0"), before);
    ExpectTraffic(config);
  }
  // The pair that was asked for is free.
  EXPECT_TRUE(
      lab_.manager->CreateTunnel({}, GreConfig("gre1", 2, std::nullopt), {})
          .ok());
}

EndpointConfig Elaborate() {
  EndpointConfig config = GreConfig("gre0", 1, 7);
  config.mtu = 1400;
  config.txqueuelen = 200;
  config.addresses = {*encap::IpPrefix::Parse("10.9.0.1/30"),
                      *encap::IpPrefix::Parse("10.9.1.1/30")};
  return config;
}

absl::Status Injected(size_t step, const char* which = "cause") {
  return MakeError(Reason::kNetlinkError,
                   absl::StrCat("injected ", which, " at step ", step),
                   {{"step", absl::StrCat(step)}});
}

// Each request to the kernel fails once; then that one and the first of the way
// back. The answer is the first error.
TEST_F(RollbackTest, FailedCreateLeavesNothingAndReportsTheCause) {
  const EndpointConfig config = Elaborate();
  lab_.tun.FailOpen(1, Injected(0));
  EXPECT_EQ(lab_.manager->CreateTunnel({}, config, {}).status(), Injected(0));
  size_t step = 1;
  for (;; ++step) {
    ASSERT_LT(step, 50u);
    lab_.links.FailChange(step, Injected(step));
    const Result result = lab_.manager->CreateTunnel({}, config, {});
    if (result.ok()) break;
    EXPECT_EQ(result.status(), Injected(step));
    EXPECT_TRUE(lab_.manager->List().tunnels.empty());
    EXPECT_TRUE(lab_.tun.names().empty());
    EXPECT_TRUE(LockComesFree(*lab_.manager));
  }
  // MTU, queue length, two addresses and up.
  EXPECT_EQ(step - 1, 5u);
  ExpectTraffic(config);
}

TEST_F(RollbackTest, FailedUpdateRestoresAllAndReportsTheCause) {
  const EndpointConfig config = Elaborate();
  ASSERT_TRUE(lab_.manager->CreateTunnel({}, config, {}).ok());
  EndpointConfig next = GreConfig("gre0", 2, 9);
  next.mtu = 1300;
  next.txqueuelen = 100;
  next.addresses = {*encap::IpPrefix::Parse("10.9.1.1/30"),
                    *encap::IpPrefix::Parse("10.9.2.1/30")};
  const Sight before = Look("gre0");
  size_t step = 1;
  for (;; ++step) {
    ASSERT_LT(step, 50u);
    lab_.links.FailChange(step, Injected(step));
    const Result result = Update("gre0", next);
    if (result.ok()) break;
    EXPECT_EQ(result.status(), Injected(step));
    EXPECT_EQ(Look("gre0"), before) << "step " << step;
    ExpectTraffic(config);
    // The pair that was asked for is free again.
    EndpointConfig other = next;
    other.name = "gre1";
    other.addresses.clear();
    EXPECT_TRUE(lab_.manager->CreateTunnel({}, other, {}).ok());
    EXPECT_TRUE(lab_.manager->DeleteTunnel({}, "gre1", {}).ok());
  }
  // MTU, queue length, one address more; one less comes past the commit line
  // and is tried again.
  EXPECT_EQ(step - 1, 3u);
  EXPECT_EQ(lab_.links.GetInterface(lab_.manager->Get("gre0")->ifindex)
                ->addresses.size(),
            2u);
  ExpectTraffic(next);
}

TEST_F(RollbackTest, TheCauseIsReportedAlsoWhenTheWayBackFails) {
  ASSERT_TRUE(lab_.manager->CreateTunnel({}, Elaborate(), {}).ok());
  EndpointConfig next = Elaborate();
  next.mtu = 1300;
  next.txqueuelen = 100;
  lab_.links.FailChange(2, Injected(2));
  lab_.links.FailChange(3, Injected(3, "failure of the way back"));
  const Sight before = Look("gre0");
  EXPECT_EQ(Update("gre0", next).status(), Injected(2));
  EXPECT_EQ(Look("gre0").config, before.config);
  EXPECT_EQ(Look("gre0").generation, before.generation);
  ExpectTraffic(Elaborate());
}

// A refused move leaves the old pair at work; once the holder is gone the same
// move succeeds (t_gif ioctl).
TEST_F(RollbackTest, RefusedMoveGoesOnWithTheOldPair) {
  const EndpointConfig first = GreConfig("gre0", 1, std::nullopt);
  const EndpointConfig second = GreConfig("gre1", 2, std::nullopt);
  ASSERT_TRUE(lab_.manager->CreateTunnel({}, first, {}).ok());
  ASSERT_TRUE(lab_.manager->CreateTunnel({}, second, {}).ok());
  const Sight before = Look("gre0");
  EndpointConfig moved = second;
  moved.name = "gre0";
  const Result refused = Update("gre0", moved);
  ASSERT_EQ(GetReason(refused.status()), Reason::kEndpointPairInUse);
  EXPECT_EQ(GetErrorDetail(refused.status())->metadata.at("tunnel"), "gre1");
  EXPECT_EQ(Look("gre0"), before);
  ExpectTraffic(first);
  ExpectTraffic(second);
  ASSERT_TRUE(lab_.manager->DeleteTunnel({}, "gre1", {}).ok());
  EXPECT_TRUE(Update("gre0", moved).ok());
  ExpectTraffic(moved);
}

TEST_F(RollbackTest, SettingTheSamePairIsANoOp) {
  const EndpointConfig config = Elaborate();
  ASSERT_TRUE(lab_.manager->CreateTunnel({}, config, {}).ok());
  const Sight before = Look("gre0");
  const auto calls = lab_.links.calls();
  const Result result = Update("gre0", config);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->no_op);
  EXPECT_TRUE(result->changes.empty());
  EXPECT_FALSE(result->timing.pause.has_value());
  EXPECT_FALSE(result->timing.resume.has_value());
  EXPECT_EQ(Look("gre0"), before);
  EXPECT_EQ(lab_.links.calls(), calls);
  // The same pair with another field is a change, not a duplicate.
  EndpointConfig ttl = config;
  ttl.encap.ttl = 9;
  const Result changed = Update("gre0", ttl);
  ASSERT_TRUE(changed.ok()) << changed.status();
  EXPECT_FALSE(changed->no_op);
  ExpectTraffic(ttl);
}

}  // namespace
}  // namespace tunnel
