// Proof that the torture test finds what it is there to find: the same program
// with a defect switched on must fail.

#include "tunnel/base/fault.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

namespace tunnel {
namespace {

std::string g_torture_test;  // path of the program

struct Outcome {
  int status = 0;  // of waitpid()
  std::string output;
};

// At most half a minute of load; a defect may also make the program hang.
Outcome RunWith(Fault fault) {
  const std::string command =
      "TORTURE_SECONDS=30 TUNNELD_FAULT=" + std::string(FaultName(fault)) +
      " timeout -k 5 150 " + g_torture_test + " 2>&1";
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

bool Contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

TEST(SeededFault, MissingGracePeriodIsFound) {
  if (!kSeededFaults) GTEST_SKIP() << "faults exist with --config=tsan only";
  const Outcome outcome = RunWith(Fault::kNoGracePeriod);
  EXPECT_FALSE(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 0);
  // Found as what it is, and not by some timeout.
  EXPECT_TRUE(Contains(outcome.output, "ThreadSanitizer: ") ||
              Contains(outcome.output, "not in force") ||
              Contains(outcome.output, "sent while the tunnel was paused"))
      << outcome.output;
}

TEST(SeededFault, PublishingBeforeThePauseIsFound) {
  if (!kSeededFaults) GTEST_SKIP() << "faults exist with --config=tsan only";
  const Outcome outcome = RunWith(Fault::kPublishBeforePause);
  EXPECT_FALSE(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 0);
  // The new contexts number packets from 0 before the old numbers are taken
  // over.
  EXPECT_TRUE(Contains(outcome.output, "sequence number") ||
              Contains(outcome.output, "sent while the tunnel was paused"))
      << outcome.output;
}

}  // namespace
}  // namespace tunnel

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 2) {
    std::fprintf(stderr, "usage: fault_test TORTURE_TEST\n");
    return 2;
  }
  tunnel::g_torture_test = argv[1];
  return RUN_ALL_TESTS();
}
