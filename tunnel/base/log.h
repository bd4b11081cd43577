// Log lines of the control path: to stderr, one write(2) a line, text or JSON.
//
//   LogInfo("tunnel created", {{"tunnel", name}, {"took_us", "812"}});
//
// Any thread may call. Never called on the packet path: a write may block.

#ifndef TUNNEL_BASE_LOG_H_
#define TUNNEL_BASE_LOG_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace tunnel {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kText, kJson };

// "debug", "info", "warning", "error"; "text", "json".
std::optional<LogLevel> ParseLogLevel(absl::string_view name);
std::optional<LogFormat> ParseLogFormat(absl::string_view name);

// Lines below `level` are not written; kInfo at first.
void SetLogLevel(LogLevel level);
// kText at first.
void SetLogFormat(LogFormat format);

struct LogField {
  absl::string_view key;  // lower_snake_case
  std::string value;
};

void Log(LogLevel level, absl::string_view message,
         absl::Span<const LogField> fields = {});

inline void LogDebug(absl::string_view message,
                     absl::Span<const LogField> fields = {}) {
  Log(LogLevel::kDebug, message, fields);
}
inline void LogInfo(absl::string_view message,
                    absl::Span<const LogField> fields = {}) {
  Log(LogLevel::kInfo, message, fields);
}
inline void LogWarning(absl::string_view message,
                       absl::Span<const LogField> fields = {}) {
  Log(LogLevel::kWarning, message, fields);
}
inline void LogError(absl::string_view message,
                     absl::Span<const LogField> fields = {}) {
  Log(LogLevel::kError, message, fields);
}

// The line as it is written, newline included. `time` is shown in UTC.
//   text: 2026-01-02T03:04:05.678901Z info tunnel created tunnel=gre0
//   json: {"time":"...","level":"info","message":"...","tunnel":"gre0"}
// A value with a blank, a quote, '=' or a control character is quoted and
// escaped in text, so that one record is always one line.
std::string FormatLogLine(LogFormat format, absl::Time time, LogLevel level,
                          absl::string_view message,
                          absl::Span<const LogField> fields);

}  // namespace tunnel

#endif  // TUNNEL_BASE_LOG_H_
