// tunnelctl top as a process against a daemon in this one.

#include <signal.h>

#include <atomic>

#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "ctl/cli/calls_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tunnel::ctl::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class TopTest : public CallsTest {
 protected:
  // Each reading is a second and 500 packets of 100 bytes after the one before.
  TopTest() {
    daemon_.on_stats = [this](auto&, const auto& request, auto* reply) {
      seen_.Set(request);
      const uint64_t reading = static_cast<uint64_t>(seen_.count());
      auto* tunnel = reply->add_tunnels();
      tunnel->set_name("gre0");
      tunnel->set_receive_packets(500 * reading);
      tunnel->set_receive_bytes(50'000 * reading);
      reply->mutable_steady_time()->set_seconds(static_cast<int64_t>(reading));
      return grpc::Status::OK;
    };
  }

  Seen<v1::GetStatsRequest> seen_;
};

constexpr char kRow[] = "gre0           500       400k           0";

TEST_F(TopTest, OnceIsOneIntervalInPlainText) {
  const ProcessResult result = Run("top --once --interval 10ms gre0");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, ::testing::StartsWith(
                              "1.00 s: 1 tunnel, 500 packets/s in, 0 out, "));
  EXPECT_THAT(result.out, HasSubstr(kRow));
  EXPECT_THAT(result.out, Not(HasSubstr("\x1b")));
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(seen_.count(), 2);
  EXPECT_TRUE(Is(seen_.Get(), "names: 'gre0'"));
}

TEST_F(TopTest, CountBlocksAreApart) {
  const ProcessResult result = Run("top -n 3 -i 10ms");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const std::vector<std::string> blocks = absl::StrSplit(result.out, "\n\n");
  ASSERT_EQ(blocks.size(), 3u);
  for (const std::string& block : blocks) EXPECT_THAT(block, HasSubstr(kRow));
  EXPECT_EQ(seen_.count(), 4);
}

TEST_F(TopTest, JsonIsAnObjectALine) {
  const ProcessResult result = Run("top -n 2 -i 10ms --json");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const std::vector<std::string> lines =
      absl::StrSplit(result.out, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 2u);
  for (const std::string& line : lines) {
    EXPECT_THAT(line, HasSubstr("\"receive_bits_per_second\":400000.000"));
    EXPECT_THAT(line, ::testing::EndsWith("}"));
  }
}

TEST_F(TopTest, CtrlCEndsItWhileItWaits) {
  Subprocess process({"--target", daemon_.target(), "top", "-i", "1h"});
  while (seen_.count() < 1) absl::SleepFor(absl::Milliseconds(1));
  process.Signal(SIGINT);
  const ProcessResult result = process.Wait();
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err, "");
}

TEST_F(TopTest, EndsWithItsReader) {
  Subprocess process({"--target", daemon_.target(), "top", "-i", "10ms"});
  ASSERT_TRUE(process.ReadUntil("gre0"));
  process.CloseStdout();
  EXPECT_EQ(process.Wait().exit_code, 0);
}

TEST_F(TopTest, RefusesOptionsThatMakeNoSense) {
  EXPECT_EQ(Run("top --once -n 2").exit_code, 2);
  const ProcessResult result = Run("top -i 1ms");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("--interval '1ms' is below 10ms"));
  EXPECT_EQ(seen_.count(), 0);
}

class FailingTopTest : public CallsTest {
 protected:
  FailingTopTest() {
    daemon_.on_stats = [this](auto&, const auto&, auto* reply) {
      if (++readings_ == 2)
        return ErrorStatus(grpc::NOT_FOUND, "no tunnel 'gre0'",
                           "TUNNEL_NOT_FOUND");
      reply->add_tunnels()->set_name("gre0");
      return grpc::Status::OK;
    };
  }
  std::atomic<int> readings_{0};
};

TEST_F(FailingTopTest, ATunnelThatHasGoneIsAnError) {
  const ProcessResult result = Run("top -i 10ms gre0");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("no tunnel 'gre0'"));
}

}  // namespace
}  // namespace tunnel::ctl::cli
