// What tests of whole commands share: tunnelctl as a process against a daemon
// in this one, and what that daemon has seen.

#ifndef CTL_CLI_CALLS_FIXTURE_H_
#define CTL_CLI_CALLS_FIXTURE_H_

#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "ctl/cli/fake_daemon.h"
#include "ctl/cli/subprocess.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

namespace tunnel::ctl::cli {

// RFC 4122, version 4.
inline constexpr char kUuid[] =
    "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";

// What the hooks have seen last, guarded by its mutex. The request id, another
// one for each call, is kept apart.
template <typename Request>
class Seen {
 public:
  void Set(Request request) {
    const std::lock_guard<std::mutex> lock(mu_);
    if constexpr (requires { request.mutable_options(); }) {
      id_ = request.options().request_id();
      request.mutable_options()->clear_request_id();
      if (request.options().ByteSizeLong() == 0) request.clear_options();
    }
    request_ = std::move(request);
    ++count_;
  }
  Request Get() const {
    const std::lock_guard<std::mutex> lock(mu_);
    return request_;
  }
  std::string id() const {
    const std::lock_guard<std::mutex> lock(mu_);
    return id_;
  }
  int count() const {
    const std::lock_guard<std::mutex> lock(mu_);
    return count_;
  }

 private:
  mutable std::mutex mu_;
  Request request_;
  std::string id_;
  int count_ = 0;
};

template <typename Message>
::testing::AssertionResult Is(const Message& got, const std::string& wanted) {
  Message expected;
  if (!google::protobuf::TextFormat::ParseFromString(wanted, &expected)) {
    return ::testing::AssertionFailure() << "bad text proto: " << wanted;
  }
  google::protobuf::util::MessageDifferencer differencer;
  std::string report;
  differencer.ReportDifferencesToString(&report);
  if (differencer.Compare(expected, got)) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << report;
}

class CallsTest : public ::testing::Test {
 protected:
  ProcessResult Run(std::vector<std::string> args) {
    args.insert(args.begin(), {"--target", daemon_.target()});
    return RunProcess(args);
  }
  ProcessResult Run(const std::string& line) {
    return Run(std::vector<std::string>(absl::StrSplit(line, ' ')));
  }

  FakeDaemon daemon_;
};

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_CALLS_FIXTURE_H_
