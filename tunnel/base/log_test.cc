#include "tunnel/base/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "tunnel/base/unique_fd.h"

namespace tunnel {
namespace {

const absl::Time kTime = absl::FromUnixMicros(1'767'323'045'678'901);

TEST(Log, FormatsText) {
  EXPECT_EQ(FormatLogLine(LogFormat::kText, kTime, LogLevel::kInfo,
                          "tunnel created", {{"tunnel", "gre0"}}),
            "2026-01-02T03:04:05.678901Z info tunnel created tunnel=gre0\n");
}

TEST(Log, OneRecordIsAlwaysOneLine) {
  EXPECT_EQ(FormatLogLine(LogFormat::kText, kTime, LogLevel::kError, "a\nb",
                          {{"k", "x y"},
                           {"q", "say \"hi\"\\"},
                           {"n", "1\n2\r\t"},
                           {"e", ""},
                           {"eq", "a=b"}}),
            "2026-01-02T03:04:05.678901Z error a\\nb k=\"x y\" "
            "q=\"say \\\"hi\\\"\\\\\" n=\"1\\n2\\u000d\\t\" e=\"\" "
            "eq=\"a=b\"\n");
}

TEST(Log, FormatsJson) {
  EXPECT_EQ(FormatLogLine(LogFormat::kJson, kTime, LogLevel::kWarning,
                          "a \"b\"", {{"k", "v\x01\xc3\xa9"}}),
            "{\"time\":\"2026-01-02T03:04:05.678901Z\",\"level\":\"warning\","
            "\"message\":\"a \\\"b\\\"\",\"k\":\"v\\u0001\xc3\xa9\"}\n");
}

TEST(Log, ParsesItsSettings) {
  EXPECT_EQ(ParseLogLevel("debug"), LogLevel::kDebug);
  EXPECT_EQ(ParseLogLevel("error"), LogLevel::kError);
  EXPECT_EQ(ParseLogLevel("loud"), std::nullopt);
  EXPECT_EQ(ParseLogFormat("json"), LogFormat::kJson);
  EXPECT_EQ(ParseLogFormat("text"), LogFormat::kText);
  EXPECT_EQ(ParseLogFormat(""), std::nullopt);
}

// What `write` puts on stderr.
template <typename F>
std::string CaptureStderr(F write) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  EXPECT_EQ(fcntl(write_end.get(), F_SETPIPE_SZ, 1 << 20), 1 << 20);
  UniqueFd saved(dup(STDERR_FILENO));
  EXPECT_EQ(dup2(write_end.get(), STDERR_FILENO), STDERR_FILENO);
  write();
  EXPECT_EQ(dup2(saved.get(), STDERR_FILENO), STDERR_FILENO);
  write_end.reset();
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(read_end.get(), buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

TEST(Log, LeavesOutWhatIsBelowTheLevel) {
  const std::string text = CaptureStderr([] {
    LogDebug("hidden");
    LogInfo("shown", {{"key", "1"}});
    SetLogLevel(LogLevel::kError);
    LogWarning("hidden");
    LogError("loud");
    SetLogLevel(LogLevel::kInfo);
  });
  EXPECT_NE(text.find("info shown key=1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("error loud\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("hidden"), std::string::npos) << text;
}

TEST(Log, LinesOfThreadsDoNotMix) {
  constexpr int kThreads = 4, kLines = 200;
  const std::string text = CaptureStderr([] {
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([t] {
        for (int i = 0; i < kLines; ++i) {
          LogInfo("line",
                  {{"text", std::string(50, static_cast<char>('a' + t))}});
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  ASSERT_EQ(lines.size(), kThreads * kLines + 1u);
  for (size_t i = 0; i + 1 < lines.size(); ++i) {
    const size_t at = lines[i].find("text=");
    ASSERT_NE(at, std::string::npos) << lines[i];
    const std::string value = lines[i].substr(at + 5);
    EXPECT_EQ(value, std::string(50, value[0]));
  }
}

}  // namespace
}  // namespace tunnel
