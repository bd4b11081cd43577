#include "tunnel/bpf/receive_steering.h"

#include <unistd.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tunnel/netlink/netns_for_test.h"

namespace tunnel {
namespace {

using ::testing::HasSubstr;

TEST(CpuMaskTest, IsWhatTheKernelReads) {
  const int one[] = {0}, some[] = {0, 1, 3}, far[] = {31, 32, 70};
  EXPECT_EQ(CpuMask(one), "1");
  EXPECT_EQ(CpuMask(some), "b");
  EXPECT_EQ(CpuMask(far), "40,00000001,80000000");
}

TEST(CpuMaskTest, Ranges) {
  EXPECT_EQ(CpuRanges({2}), "2");
  EXPECT_EQ(CpuRanges({1, 0, 1}), "0-1");
  EXPECT_EQ(CpuRanges({8, 0, 1, 3, 2}), "0-3,8");
}

class ReceiveSteeringTest : public NetnsTest {
 protected:
  void SetUp() override {
    NetnsTest::SetUp();
    if (IsSkipped()) return;
    MakeVeth("va", "vb");
    device_ = IfIndex("va");
  }

  uint32_t device_ = 0;
  const int cpus_[1] = {0};
};

TEST_F(ReceiveSteeringTest, OnAndOff) {
  ReceiveSteering steering;
  EXPECT_EQ(steering.Set(device_, FastSteering::kOff, cpus_), "off");
  EXPECT_EQ(steering.Set(device_, FastSteering::kAuto, cpus_), "cpus 0");
  // Another object finds what the first one has set.
  ReceiveSteering second;
  EXPECT_EQ(second.Set(device_, FastSteering::kAuto, cpus_), "cpus 0");
  EXPECT_EQ(second.Set(device_, FastSteering::kOff, cpus_), "off");
  EXPECT_EQ(steering.Set(device_, FastSteering::kAuto, cpus_), "cpus 0");
}

TEST_F(ReceiveSteeringTest, OffAndOnWithAnotherCpu) {
  if (::sysconf(_SC_NPROCESSORS_CONF) < 2) GTEST_SKIP() << "needs two CPUs";
  ReceiveSteering steering;
  EXPECT_EQ(steering.Set(device_, FastSteering::kAuto, cpus_), "cpus 0");
  EXPECT_EQ(steering.Set(device_, FastSteering::kOff, cpus_), "off");
  const int other[] = {1};
  EXPECT_EQ(steering.Set(device_, FastSteering::kAuto, other), "cpus 1");
}

TEST_F(ReceiveSteeringTest, TheMaskOfSomebodyElseStays) {
  if (::sysconf(_SC_NPROCESSORS_CONF) < 2) GTEST_SKIP() << "needs two CPUs";
  ReceiveSteering steering;
  const int theirs[] = {1};
  EXPECT_EQ(steering.Set(device_, FastSteering::kOn, theirs), "cpus 1");
  EXPECT_EQ(steering.Set(device_, FastSteering::kAuto, cpus_),
            "off: rps_cpus was set to 2 by hand");
  EXPECT_EQ(steering.Set(device_, FastSteering::kOff, cpus_), "off");
  EXPECT_EQ(steering.Set(device_, FastSteering::kAuto, theirs), "cpus 1")
      << "it is still there";
  EXPECT_EQ(steering.Set(device_, FastSteering::kOn, cpus_), "cpus 0");
}

TEST_F(ReceiveSteeringTest, SaysWhyNot) {
  ReceiveSteering steering;
  EXPECT_EQ(steering.Set(12345, FastSteering::kAuto, cpus_),
            "off: the device is gone");
  const int nowhere[] = {100000};
  EXPECT_THAT(steering.Set(device_, FastSteering::kOn, nowhere),
              HasSubstr("can not be written"));
}

}  // namespace
}  // namespace tunnel
