#include "tunnel/bpf/linux_fast_path.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>

#include "tunnel/base/error.h"
#include "tunnel/bpf/fast_path_for_test.h"

namespace tunnel {
namespace {

using encap::EncapConfig;
using encap::IpFamily;
using encap::Mode;
using encap::testing::Config;
using encap::testing::InnerV4;
using Via = Attachment::Via;

// What tc says of the filters of a device.
std::string Filters(const std::string& device, const std::string& hook) {
  const std::string command = "tc filter show dev " + device + " " + hook;
  FILE* pipe = popen(command.c_str(), "r");
  std::string text;
  char line[256];
  while (pipe != nullptr && fgets(line, sizeof(line), pipe) != nullptr)
    text += line;
  if (pipe != nullptr) pclose(pipe);
  return text;
}

class LinuxFastPathTest : public FastPathTest,
                          public ::testing::WithParamInterface<Via> {
 protected:
  const EncapConfig config_ = Config(Mode::kGre, IpFamily::kV4);

  uint64_t Sent() { return tunnel_->Read().transmit_packets; }
  uint64_t Passed() { return tunnel_->Read().transmit_passed; }
};

INSTANTIATE_TEST_SUITE_P(Hooks, LinuxFastPathTest,
                         ::testing::Values(Via::kTcx, Via::kClsact));

TEST_P(LinuxFastPathTest, NothingIsSentAfterOutputHasBeenTakenOut) {
  Use(GetParam());
  const auto entry = Enter(config_);
  std::atomic<bool> stop = false;
  std::thread flood([&] {
    cpu_set_t all;
    std::memset(&all, 0xff, sizeof(all));
    EXPECT_EQ(sched_setaffinity(0, sizeof(all), &all), 0);
    while (!stop.load(std::memory_order_relaxed)) SendInner(InnerV4());
  });
  for (int i = 0; i < 20; ++i) {
    const uint64_t before = Sent();
    while (Sent() == before) std::this_thread::yield();
    tunnel_->SetOutput(nullptr);
    path_->Wait();
    const uint64_t after = Sent();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_EQ(Sent(), after);
    tunnel_->SetOutput(entry.get());
    Turn();
  }
  stop.store(true, std::memory_order_relaxed);
  flood.join();
  Leave(config_);
}

TEST_P(LinuxFastPathTest, AChangeTakesEffectWithTheNextPacket) {
  Use(GetParam());
  const auto first = Enter(config_);
  EncapConfig other = config_;
  other.output_key = 5;
  auto second = tunnel_->Prepare(Record(other, 1500));
  ASSERT_TRUE(second.ok()) << second.status();
  SendInner(InnerV4());
  EXPECT_EQ(ReceiveOuter().size(), InnerV4().size() + 24);
  tunnel_->SetOutput(second->get());
  SendInner(InnerV4());
  EXPECT_EQ(ReceiveOuter().size(), InnerV4().size() + 28);
  EXPECT_EQ(Sent(), 2U);
  Leave(config_);
}

TEST_P(LinuxFastPathTest, TurnsWhenTheUserPathIsDone) {
  Use(GetParam());
  auto entry = tunnel_->Prepare(Record(config_, 1500));
  ASSERT_TRUE(entry.ok()) << entry.status();
  tunnel_->SetOutput(entry->get());
  const auto out = [&] { return tunnel_->Turn(FastDirection::kOut); };
  EXPECT_FALSE(out().turned);
  const uint64_t before = out().passed;
  SendInner(InnerV4());
  SendInner(InnerV4());
  EXPECT_EQ(out().passed, before + 2);
  tunnel_->SetDone(FastDirection::kOut, before + 1);
  SendInner(InnerV4());
  EXPECT_EQ(out().passed, before + 3) << "one was still on its way";
  EXPECT_FALSE(out().turned);
  EXPECT_EQ(Sent(), 0U);
  tunnel_->SetDone(FastDirection::kOut, before + 3);
  EXPECT_FALSE(out().turned) << "the next packet turns it";
  SendInner(InnerV4());
  EXPECT_TRUE(out().turned);
  EXPECT_EQ(out().passed, before + 3);
  EXPECT_EQ(Sent(), 1U);
  // Another record goes on; a pause begins anew.
  tunnel_->SetOutput(entry->get());
  EXPECT_TRUE(out().turned);
  tunnel_->SetOutput(nullptr);
  EXPECT_TRUE(out().turned) << "there is nothing to turn to";
  tunnel_->SetOutput(entry->get());
  EXPECT_FALSE(out().turned);
  EXPECT_TRUE(tunnel_->Turn(FastDirection::kIn).turned);
  SetInputs(config_, entry->get());
  EXPECT_FALSE(tunnel_->Turn(FastDirection::kIn).turned);
  Leave(config_);
}

TEST_P(LinuxFastPathTest, NothingIsLeftBehind) {
  Use(GetParam());
  auto entry = Enter(config_);
  const bool filters = GetParam() == Via::kClsact;
  EXPECT_EQ(Filters("u0", "ingress").find("tunneld_decap") != std::string::npos,
            filters);
  EXPECT_EQ(Filters("t0", "egress").find("tunneld_encap") != std::string::npos,
            filters);
  Leave(config_);
  entry.reset();
  tunnel_.reset();
  path_.reset();
  EXPECT_EQ(Filters("u0", "ingress"), "");
  EXPECT_EQ(Filters("t0", "egress"), "");
}

TEST_P(LinuxFastPathTest, ItWorksAgainAfterADeviceHasGone) {
  Use(GetParam());
  auto entry = Enter(config_);
  Leave(config_);
  Ip("link del u0");
  auto refused = tunnel_->Prepare(Record(config_, 1500));
  if (refused.ok()) {  // the hook is held by the entry before
    refused->reset();
  }
  entry.reset();
  refused = tunnel_->Prepare(Record(config_, 1500));
  EXPECT_EQ(GetReason(refused.status()), Reason::kDeviceNotFound);
}

TEST_F(LinuxFastPathTest, TheNextDaemonRemovesWhatAKilledOneHasLeft) {
  Use(Via::kClsact);
  const pid_t child = fork();
  if (child == 0) {
    // Ends without removing its filter.
    LinuxFastPath path(Via::kClsact);
    const auto lost = path.Open(IfIndex("u0"), 1);
    _exit(lost.ok() ? 0 : 1);
  }
  int status = 1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  EXPECT_NE(Filters("u0", "egress"), "");
  tunnel_.reset();
  path_ = std::make_unique<LinuxFastPath>();
  ASSERT_TRUE(path_->Usable().ok());
  EXPECT_EQ(Filters("u0", "egress"), "");
}

TEST_F(LinuxFastPathTest, FiltersOfOthersStay) {
  ASSERT_EQ(std::system("tc qdisc add dev u0 clsact && tc filter add dev u0 "
                        "ingress prio 1 bpf bytecode '1,6 0 0 0'"),
            0);
  const std::string before = Filters("u0", "ingress");
  ASSERT_NE(before, "");
  Use(Via::kClsact);
  auto entry = Enter(config_);
  EXPECT_NE(Filters("u0", "ingress"), before);
  Leave(config_);
  entry.reset();
  tunnel_.reset();
  path_ = std::make_unique<LinuxFastPath>();
  ASSERT_TRUE(path_->Usable().ok());
  EXPECT_EQ(Filters("u0", "ingress"), before);
}

TEST_F(LinuxFastPathTest, RecordsAreUsedAgain) {
  Use(Via::kBest);
  const auto entry = Enter(config_);  // keeps the underlay attached
  for (int i = 0; i < kFpMaxSlots + 100; ++i)
    ASSERT_TRUE(tunnel_->Prepare(Record(config_, 1500)).ok()) << i;
  SendInner(InnerV4());
  EXPECT_EQ(ReceiveOuter().size(), InnerV4().size() + 24);
  Leave(config_);
}

TEST_F(LinuxFastPathTest, WithoutCapabilityItSaysSo) {
  const pid_t child = fork();
  if (child == 0) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3]{};
    if (syscall(SYS_capset, &header, none) != 0) _exit(2);
    const absl::Status status = LinuxFastPath().Usable();
    _exit(GetReason(status) == Reason::kMissingCapability ? 0 : 1);
  }
  int status = 1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace tunnel
