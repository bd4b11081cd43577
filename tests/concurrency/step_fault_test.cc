// Every call that a change makes to devices, links or the store fails once, in
// turn. Before the commit line the answer is that error and nothing has
// changed: not the tunnels, not the interfaces, not the store, not the devices.
// Past it the change is done all the same.

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tests/concurrency/faulty_platform.h"
#include "tests/concurrency/lab.h"
#include "tunnel/base/error.h"
#include "tunnel/memory_store.h"

namespace tunnel {
namespace {

using Change = std::function<absl::Status()>;

EndpointConfig Rich(const std::string& name, size_t remote, uint32_t key) {
  EndpointConfig config = GreConfig(name, remote, key);
  config.mtu = 1300 + key;
  config.txqueuelen = 100 + key;
  config.addresses = {
      *encap::IpPrefix::Parse(absl::StrCat("10.9.", key, ".1/30")),
      *encap::IpPrefix::Parse(absl::StrCat("10.8.", key, ".1/30"))};
  return config;
}

class StepFault : public testing::Test {
 protected:
  StepFault() {
    store_.on_commit = [](const StoreCommit&) { return FaultScript::Step(); };
  }
  TunnelManager& manager() { return *lab_.manager; }
  absl::Status Create(const EndpointConfig& config) {
    return manager().CreateTunnel({}, config, {}).status();
  }
  absl::Status Update(const EndpointConfig& config) {
    return manager()
        .UpdateTunnel({}, config.name,
                      [&](const EndpointConfig&) { return config; }, {})
        .status();
  }
  absl::Status Delete(const std::string& name) {
    return manager().DeleteTunnel({}, name, {}).status();
  }
  absl::Status Apply(const std::vector<EndpointConfig>& wanted) {
    return manager()
        .Apply({},
               [&](const TunnelManager::Configs&) {
                 TunnelManager::Configs all;
                 for (const EndpointConfig& c : wanted) all[c.name] = c;
                 return all;
               },
               {})
        .status();
  }

  // All that anybody can see.
  std::string Look() {
    std::string text;
    for (const TunnelView& t : manager().List().tunnels) {
      const auto link = lab_.links.GetInterface(t.ifindex);
      absl::StrAppend(&text, t.config.name, " ", t.etag, " ", t.generation, " ",
                      t.revision, " ", t.paused, t.detached, " mtu ", link->mtu,
                      " queue ", link->tx_queue_len, " up ", link->up, ":");
      for (const auto& address : link->addresses)
        absl::StrAppend(&text, " ", address.ToString());
      absl::StrAppend(&text, "\n");
    }
    for (const std::string& name : lab_.tun.names())
      absl::StrAppend(&text, "device ", name, "\n");
    for (const StoredTunnel& t : store_.Load().tunnels) {
      absl::StrAppend(&text, "stored ", t.config.name, " ", Etag(t.config), " ",
                      t.generation, " ", t.paused, t.detached, "\n");
    }
    return text;
  }

  // Fails the calls of `change` one by one; `undo` brings back what was before.
  // The number of calls before the commit line, which were those of the answer.
  size_t FailEach(const Change& change, const Change& undo) {
    size_t before_line = 0;
    for (size_t n = 1; n < 100; ++n) {
      const std::string before = Look();
      FaultScript::Arm(n);
      const absl::Status status = change();
      const bool fired = FaultScript::Disarm();
      if (!status.ok()) {
        EXPECT_TRUE(fired) << status;
        EXPECT_EQ(status, FaultScript::Error(n));
        EXPECT_EQ(Look(), before) << "call " << n;
        EXPECT_TRUE(LockComesFree(manager()));
        EXPECT_EQ(before_line, n - 1) << "a call past the commit line failed";
        before_line = n;
        continue;
      }
      EXPECT_NE(Look(), before);
      EXPECT_TRUE(undo().ok());
      if (!fired) return before_line;
    }
    ADD_FAILURE() << "there is no end of calls";
    return before_line;
  }

  MemoryStore store_;
  Lab lab_{2, 256, &store_};
};

TEST_F(StepFault, Create) {
  const EndpointConfig config = Rich("gre0", 1, 7);
  // Device, MTU, queue length, two addresses, up, store.
  EXPECT_EQ(
      FailEach([&] { return Create(config); }, [&] { return Delete("gre0"); }),
      7u);
}

TEST_F(StepFault, Update) {
  const EndpointConfig from = Rich("gre0", 1, 7), to = Rich("gre0", 2, 8);
  ASSERT_TRUE(Create(from).ok());
  // MTU, queue length, two addresses, store; addresses go past the line.
  EXPECT_EQ(FailEach([&] { return Update(to); },
                     [&] {
                       // An address that could not be deleted is still there.
                       EXPECT_TRUE(Delete("gre0").ok());
                       return Create(from);
                     }),
            5u);
}

TEST_F(StepFault, Delete) {
  const EndpointConfig config = Rich("gre0", 1, 7);
  ASSERT_TRUE(Create(config).ok());
  EXPECT_EQ(
      FailEach([&] { return Delete("gre0"); }, [&] { return Create(config); }),
      1u);  // the store
}

TEST_F(StepFault, PauseAndDetach) {
  ASSERT_TRUE(Create(Rich("gre0", 1, 7)).ok());
  EXPECT_EQ(FailEach([&] { return manager().Pause({}, "gre0", {}).status(); },
                     [&] { return manager().Resume({}, "gre0", {}).status(); }),
            1u);
  EXPECT_EQ(FailEach([&] { return manager().Detach({}, "gre0", {}).status(); },
                     [&] { return manager().Attach({}, "gre0", {}).status(); }),
            1u);
}

// A swap, a create and a delete in one transaction.
TEST_F(StepFault, Apply) {
  const std::vector<EndpointConfig> from = {Rich("a", 1, 7), Rich("b", 2, 8),
                                            Rich("c", 3, 9)};
  std::vector<EndpointConfig> to = {Rich("a", 2, 8), Rich("b", 1, 7),
                                    Rich("d", 3, 9)};
  // The swapped identities with the addresses of before.
  to[0].addresses = from[0].addresses;
  to[1].addresses = from[1].addresses;
  ASSERT_TRUE(Apply(from).ok());
  // MTU and queue length of a and b; six of d; store.
  EXPECT_EQ(FailEach([&] { return Apply(to); }, [&] { return Apply(from); }),
            11u);
}

// One tunnel may stay away, with the reason and with its identity; the others
// are there. What could be taken over but not set up leaves no device in the
// way of its name, and is made again by the next start.
TEST_F(StepFault, Restore) {
  ASSERT_TRUE(Apply({Rich("a", 1, 7), Rich("b", 2, 8), Rich("c", 3, 9)}).ok());
  lab_.manager.reset();
  store_.on_commit = nullptr;  // of devices and links alone
  size_t failures = 0;
  for (size_t n = 1;; ++n) {
    ASSERT_LT(n, 100u);
    MemoryTransportFactory wire;
    Platform platform{lab_.faulty_tun, wire, lab_.faulty_links};
    TunnelManager::Options options;
    options.workers = 2;
    options.store = &store_;
    lab_.manager = *TunnelManager::Create(options, platform);
    const StoredState state = store_.Load();
    FaultScript::Arm(n);
    const auto report = manager().Restore(state);
    const bool fired = FaultScript::Disarm();
    ASSERT_TRUE(report.ok()) << report.status();
    ASSERT_EQ(manager().List().tunnels.size(), 3u);
    EXPECT_EQ(report->failed.size(), fired ? 1u : 0u) << "call " << n;
    EXPECT_EQ(report->adopted.size() + report->remade.size(), fired ? 2u : 3u)
        << "call " << n;
    for (const auto& [name, status] : report->failed) {
      EXPECT_EQ(status, FaultScript::Error(n));
      EXPECT_EQ(manager().Get(name)->oper_state, OperState::kFailed);
    }
    for (const auto& [remote, key] : {std::pair(1, 7), {2, 8}, {3, 9}}) {
      EXPECT_EQ(GetReason(Create(GreConfig("other", remote, key))),
                Reason::kEndpointPairInUse);
    }
    EXPECT_GE(lab_.tun.names().size(), fired ? 2u : 3u);
    failures += fired;
    lab_.manager.reset();
    if (!fired) break;
  }
  EXPECT_GE(failures, 6u);  // adopt and inspect, three times
}

TEST(StepFaultStart, AnUnderlayThatDoesNotOpen) {
  MemoryTunFactory tun;
  MemoryTransportFactory wire;
  MemoryLinkControl links;
  Platform platform{tun, wire, links};
  TunnelManager::Options options;
  options.workers = 2;
  wire.FailOpen(FaultScript::Error(1));
  EXPECT_EQ(TunnelManager::Create(options, platform).status(),
            FaultScript::Error(1));
  EXPECT_TRUE(TunnelManager::Create(options, platform).ok());
}

}  // namespace
}  // namespace tunnel
