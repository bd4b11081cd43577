// Proof that the tests find what they are there to find: the same programs with
// a defect switched on must fail, and for the reason that the defect gives.

#include "tunnel/base/fault.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <vector>

namespace tunnel {
namespace {

// Paths of the programs.
std::string g_torture_test, g_ring_test, g_handoff_test;

struct Outcome {
  int status = 0;  // of waitpid()
  std::string output;
};

// Some seconds of load; a defect may also make the program hang, which it finds
// by itself.
Outcome RunWith(const std::string& program, Fault fault, int load_seconds) {
  const std::string command =
      "TORTURE_SEED=1 TORTURE_SECONDS=" + std::to_string(load_seconds) +
      " TUNNELD_FAULT=" + std::string(FaultName(fault)) + " timeout -k 5 400 " +
      program + " 2>&1";
  Outcome outcome;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return outcome;
  std::array<char, 4096> buffer;
  for (size_t n; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    outcome.output.append(buffer.data(), n);
  }
  outcome.status = pclose(pipe);
  return outcome;
}

constexpr char kTsan[] = "ThreadSanitizer: ";
constexpr char kNotInForce[] = "not in force";
constexpr char kTwoSenders[] = "identity that another tunnel sends with";
constexpr char kAfterPause[] = "sent while the tunnel was paused";
constexpr char kNotStored[] = "configuration that the store does not have";
constexpr char kTwoHolders[] = " twice: ";
constexpr char kLink[] = "the interface differs from its configuration";
constexpr char kGoneOn[] = "has gone on after its interrupt";
constexpr char kNumber[] = "sequence number ";
constexpr char kDisorder[] = "items out of order";
constexpr char kItemsLost[] = "items lost or doubled";
constexpr char kLostWakeUp[] = "lost wake-up";
constexpr char kFlowDisorder[] = "flows out of order";
constexpr char kNotWritten[] = "not written yet";

struct Case {
  Fault fault;
  // What it is found as: one of these.
  std::vector<std::string> signs;
  // At most: a machine that has much else to do comes to few changes.
  int load_seconds = 240;
};

std::vector<Case> Cases() {
  return {
      {Fault::kNoGracePeriod, {kTsan, kNotInForce, kAfterPause}},
      {Fault::kPauseWithoutWait, {kTsan, kAfterPause, kNotInForce}},
      {Fault::kPublishBeforePause, {kNumber, kTwoSenders, kAfterPause}},
      {Fault::kDetachSkipped, {"received while the tunnel was detached"}},
      {Fault::kDisestablishWithoutWait, {kTsan}},
      {Fault::kReclaimWithoutGrace, {kTsan}},
      {Fault::kNumbersNotCarried, {kNumber}},
      {Fault::kSectionEndsEarly, {kTsan, kAfterPause, kNotInForce}},
      // Shows when the load has ended and packets are still there.
      {Fault::kResumeWithoutUnpark, {"waited in vain: keepers have sent"}, 3},
      {Fault::kResumeForgetsPause, {kAfterPause}},
      {Fault::kVariantEditedInPlace,
       {kTsan, "are of different configurations", kNotInForce}},
      {Fault::kCheckOwnTunnelOnly, {kTwoHolders}},
      // It looks under a lock of its own first, which an interrupt may end.
      {Fault::kCheckBeforeLock, {kTwoHolders, "at once", kGoneOn}},
      {Fault::kNoRollback, {kLink}},
      {Fault::kRollbackOverwritesCause, {": want injected at call "}},
      {Fault::kKeyNotGivenBack, {"which had not it", kTsan}},
      {Fault::kStoreAfterSteps, {kNotStored}},
      {Fault::kStoreOneByOne, {"the store holds "}},
      {Fault::kSwapOneByOne, {kTwoSenders, kTwoHolders}},
      {Fault::kInterruptedWaiterProceeds, {"s.holder == node_.get()", kTsan}},
      {Fault::kLockLostOnCancel, {"stalled: no call has returned"}},
      {Fault::kFifoBroken, {"the lock has gone to "}},
      {Fault::kInterruptPastCommit, {kGoneOn}},
      {Fault::kLeaveRelaxed, {kTsan}},
      {Fault::kSnapshotRelaxed, {kTsan}},
      {Fault::kRingPushRelaxed, {kTsan}},
      {Fault::kRingPopRelaxed, {kTsan}},
      {Fault::kRingResizeRelaxed, {kTsan}},
      {Fault::kRingResizeEarly, {kDisorder, kItemsLost}},
      {Fault::kMpscPublishRelaxed, {kTsan}},
      {Fault::kMpscFreeRelaxed, {kTsan}},
      {Fault::kMpscSealMissed, {kDisorder, kItemsLost}},
      {Fault::kWakeRingFirst, {kLostWakeUp}},
      {Fault::kWakeLookFirst, {kLostWakeUp}},
      {Fault::kHandoffDoneRelaxed, {kTsan}},
      {Fault::kHandoffNotAwaited, {kTsan, kNotWritten}},
      {Fault::kHandoffUnsettled, {kFlowDisorder}},
  };
}

// The test that has to find it.
const std::string& ProgramFor(Fault fault) {
  if (fault >= Fault::kHandoffDoneRelaxed) return g_handoff_test;
  return fault >= Fault::kRingPushRelaxed ? g_ring_test : g_torture_test;
}

class SeededFault : public testing::TestWithParam<Case> {};

TEST_P(SeededFault, IsFoundAsWhatItIs) {
  if (!kSeededFaults) GTEST_SKIP() << "faults exist with --config=tsan only";
  const Case& test = GetParam();
  const Outcome outcome =
      RunWith(ProgramFor(test.fault), test.fault, test.load_seconds);
  EXPECT_FALSE(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 0);
  // Without a fault there is no report of ThreadSanitizer, so one is always its
  // work: a fault may leave something dangling that a thread meets before the
  // judge sees what it was made for.
  const auto shows = [&](const std::string& sign) {
    return outcome.output.find(sign) != std::string::npos;
  };
  EXPECT_TRUE(shows(kTsan) ||
              std::any_of(test.signs.begin(), test.signs.end(), shows))
      << outcome.output;
}

INSTANTIATE_TEST_SUITE_P(All, SeededFault, testing::ValuesIn(Cases()),
                         [](const testing::TestParamInfo<Case>& info) {
                           return std::string(FaultName(info.param.fault));
                         });

TEST(SeededFaults, EachHasACase) {
  const std::vector<Case> cases = Cases();
  EXPECT_EQ(cases.size(), static_cast<size_t>(kLastFault));
  for (const Case& a : cases) {
    EXPECT_EQ(std::count_if(cases.begin(), cases.end(),
                            [&](const Case& b) { return a.fault == b.fault; }),
              1)
        << FaultName(a.fault);
  }
}

}  // namespace
}  // namespace tunnel

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 4) {
    std::fprintf(stderr,
                 "usage: fault_test TORTURE_TEST RING_TEST HANDOFF_TEST\n");
    return 2;
  }
  tunnel::g_torture_test = argv[1];
  tunnel::g_ring_test = argv[2];
  tunnel::g_handoff_test = argv[3];
  return RUN_ALL_TESTS();
}
