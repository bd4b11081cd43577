// Tunnels that a store brings back: the workers carry them at once, the fast
// path behind the start.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"
#include "tunnel/bpf/fake_fast_path.h"
#include "tunnel/manager_fixture.h"
#include "tunnel/memory_store.h"

namespace tunnel {
namespace {

constexpr char kJustStarted[] = "the daemon has just started";

class ManagerFastRestoreTest : public ManagerFixture {
 protected:
  ManagerFastRestoreTest() {
    manager_.reset();
    platform_.fast = &fast_;
    manager_ = StartWithStore(DatapathMode::kAuto);
  }
  ~ManagerFastRestoreTest() override {
    fast_.SetLoading(false);
    manager_.reset();
  }

  std::unique_ptr<TunnelManager> StartWithStore(DatapathMode datapath) {
    TunnelManager::Options options;
    options.workers = 2;
    options.max_tunnels = 64;
    options.store = &store_;
    options.datapath = datapath;
    auto manager = TunnelManager::Create(options, platform_);
    EXPECT_TRUE(manager.ok()) << manager.status();
    return *std::move(manager);
  }
  // With `loading` the programs are not there yet.
  void Restart(bool loading = false,
               DatapathMode datapath = DatapathMode::kAuto) {
    manager_.reset();
    fast_.TakeCalls();
    fast_.SetLoading(loading);
    manager_ = StartWithStore(datapath);
    const auto report = manager_->Restore(store_.Load());
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_TRUE(report->failed.empty());
  }
  TunnelView View(const std::string& name) {
    const auto view = manager_->Get(name);
    EXPECT_TRUE(view.ok()) << view.status();
    return view.value_or(TunnelView{});
  }
  std::string WhyUser(const std::string& name) {
    return View(name).datapath_reason;
  }
  bool IsFast(const std::string& name) {
    return View(name).datapath_in_use == DatapathMode::kBpf;
  }

  MemoryStore store_;
  FakeFastPath fast_;
};

TEST_F(ManagerFastRestoreTest, NothingWaitsForThePrograms) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  EndpointConfig asking = Gre("gre1", "192.0.2.3");
  asking.datapath = DatapathMode::kBpf;
  ASSERT_TRUE(Create(asking).ok());
  Restart(/*loading=*/true);
  EXPECT_EQ(WhyUser("gre0"), kJustStarted);
  EXPECT_EQ(WhyUser("gre1"), kJustStarted);
  // Nor does a change.
  ASSERT_TRUE(Edit("gre0", [](EndpointConfig& c) { c.encap.ttl = 9; }).ok());
  EXPECT_EQ(WhyUser("gre0"), kJustStarted);
  for (const std::string& call : fast_.TakeCalls()) {
    EXPECT_FALSE(call.starts_with("open ") || call.starts_with("prepare "))
        << call;
  }
  fast_.SetLoading(false);
  // Meanwhile others ask for the programs.
  ASSERT_TRUE(Create(Gre("gre2", "192.0.2.4")).ok());
  EXPECT_TRUE(Eventually([&] { return IsFast("gre0") && IsFast("gre1"); }));
  EXPECT_EQ(WhyUser("gre0"), "");
}

TEST_F(ManagerFastRestoreTest, AllOfManyGetThere) {
  constexpr int kTunnels = 40;
  for (int i = 0; i < kTunnels; ++i) {
    const std::string remote = absl::StrCat("192.0.2.", 100 + i);
    ASSERT_TRUE(Create(Gre(absl::StrCat("gre", i), remote.c_str())).ok());
  }
  Restart();
  EXPECT_TRUE(Eventually([&] {
    const auto tunnels = manager_->List().tunnels;
    return std::all_of(tunnels.begin(), tunnels.end(), [](const auto& t) {
      return t.datapath_in_use == DatapathMode::kBpf;
    });
  }));
  EXPECT_EQ(manager_->List().tunnels.size(), size_t{kTunnels});
}

TEST_F(ManagerFastRestoreTest, TheReasonIsTheTrueOneInTheEnd) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  EndpointConfig summed = Gre("gre1", "192.0.2.3");
  summed.encap.checksum = true;
  ASSERT_TRUE(Create(summed).ok());
  Restart();
  EXPECT_TRUE(Eventually([&] { return WhyUser("gre1") == "checksum is on"; }));
  fast_.SetUsable(MakeError(Reason::kMissingCapability, "no CAP_BPF"));
  Restart();
  EXPECT_TRUE(Eventually([&] { return WhyUser("gre0") == "no CAP_BPF"; }));
}

TEST_F(ManagerFastRestoreTest, ToldNotToItDoesNot) {
  ASSERT_TRUE(Create(Gre("gre0")).ok());
  Restart(/*loading=*/true, DatapathMode::kUser);
  EXPECT_EQ(WhyUser("gre0"), "the daemon is told --datapath=user");
}

}  // namespace
}  // namespace tunnel
