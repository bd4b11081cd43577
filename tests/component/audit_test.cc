// The audit log: one line for each mutation, whatever came of it.

#include "ctl/audit.h"

#include <grpcpp/client_context.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/component/daemon.h"

namespace tunnel::ctl {
namespace {

using Line = std::map<std::string, std::string>;

// The fields of each audit line, quotes removed.
std::vector<Line> AuditLines(const std::string& text) {
  std::vector<Line> lines;
  for (const absl::string_view row : absl::StrSplit(text, '\n')) {
    const size_t at = row.find(" audit ");
    if (at == absl::string_view::npos) continue;
    Line line;
    std::string key, value;
    bool in_value = false, quoted = false;
    for (const char c : std::string(row.substr(at + 7)) + " ") {
      if (c == '"') {
        quoted = !quoted;
      } else if (c == '=' && !in_value) {
        in_value = true;
      } else if (c == ' ' && !quoted) {
        line[key] = value;
        key.clear();
        value.clear();
        in_value = false;
      } else {
        (in_value ? value : key) += c;
      }
    }
    lines.push_back(line);
  }
  return lines;
}

class AuditTest : public ::testing::Test {
 protected:
  static DaemonOptions Options() {
    DaemonOptions options;
    options.manager.on_own_change = AuditOwnChange;
    return options;
  }

  // The lines that `calls` leaves.
  template <typename Calls>
  std::vector<Line> Record(const Calls& calls) {
    testing::internal::CaptureStderr();
    calls();
    return AuditLines(testing::internal::GetCapturedStderr());
  }
  template <typename Calls>
  Line RecordOne(const Calls& calls) {
    std::vector<Line> lines = Record(calls);
    EXPECT_EQ(lines.size(), 1u);
    return lines.empty() ? Line() : lines[0];
  }

  std::string Create(v1::CreateTunnelRequest request) {
    grpc::ClientContext context;
    v1::TunnelChange change;
    return ReasonOf(daemon_.tunnels().CreateTunnel(&context, request, &change));
  }
  std::string SetTtl(uint32_t ttl) {
    grpc::ClientContext context;
    v1::TunnelChange change;
    v1::UpdateTunnelRequest request;
    request.mutable_tunnel()->set_name("a");
    request.mutable_tunnel()->set_ttl(ttl);
    return ReasonOf(daemon_.tunnels().UpdateTunnel(&context, request, &change));
  }
  std::string Apply(const v1::ApplyConfigRequest& request) {
    grpc::ClientContext context;
    v1::ConfigChange change;
    return ReasonOf(daemon_.config().ApplyConfig(&context, request, &change));
  }

  TestDaemon daemon_{Options()};
};

TEST_F(AuditTest, SaysWhoDidWhatToWhichGeneration) {
  auto request = GreRequest("a", 2);
  const std::string id = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
  request.mutable_options()->set_request_id(id);
  Line line = RecordOne([&] { EXPECT_EQ(Create(request), "OK"); });
  const std::map<std::string, std::string> wanted = {
      {"operation", "CreateTunnel a"},
      {"uid", absl::StrCat(getuid())},
      {"pid", absl::StrCat(getpid())},
      {"request_id", id},
      {"result", "ok"},
      {"code", "OK"},
      {"changed", "yes"},
      {"generation_before", "0"},
      {"generation_after", "1"}};
  for (const auto& [key, value] : wanted) EXPECT_EQ(line[key], value) << key;
  int64_t took = 0, wait = 0, hold = 0;
  EXPECT_TRUE(absl::SimpleAtoi(line["took_us"], &took));
  EXPECT_TRUE(absl::SimpleAtoi(line["lock_wait_us"], &wait));
  EXPECT_TRUE(absl::SimpleAtoi(line["hold_us"], &hold));
  EXPECT_GT(hold, 0);
  EXPECT_LE(wait + hold, took);

  line = RecordOne([&] { EXPECT_EQ(Create(request), "OK"); });
  EXPECT_EQ(line["replayed"], "yes");
  EXPECT_EQ(line["changed"], "no");
  line = RecordOne([&] { EXPECT_EQ(SetTtl(9), "OK"); });
  EXPECT_EQ(line["generation_before"], "1");
  EXPECT_EQ(line["generation_after"], "2");
  line = RecordOne([&] { EXPECT_EQ(SetTtl(9), "OK"); });
  EXPECT_EQ(line["changed"], "no");
  EXPECT_EQ(line["generation_before"], "2");
  EXPECT_EQ(line["generation_after"], "2");
  line = RecordOne([&] {
    grpc::ClientContext context;
    v1::DeleteTunnelRequest remove;
    remove.set_name("a");
    v1::TunnelChange change;
    EXPECT_TRUE(daemon_.tunnels().DeleteTunnel(&context, remove, &change).ok());
  });
  EXPECT_EQ(line["operation"], "DeleteTunnel a");
  EXPECT_EQ(line["generation_before"], "2");
  EXPECT_EQ(line["generation_after"], "0");
}

TEST_F(AuditTest, RefusedOnesToo) {
  EXPECT_EQ(Create(GreRequest("a", 2)), "OK");
  Line line = RecordOne([&] { EXPECT_EQ(SetTtl(300), "FIELD_INVALID"); });
  EXPECT_EQ(line["result"], "FIELD_INVALID");
  EXPECT_EQ(line["code"], "INVALID_ARGUMENT");
  EXPECT_NE(line["error"].find("ttl"), std::string::npos);
  auto bad = GreRequest("a", 3);
  bad.mutable_options()->set_request_id(std::string(5000, 'x'));
  line = RecordOne([&] { EXPECT_EQ(Create(bad), "FIELD_INVALID"); });
  EXPECT_EQ(line["request_id"].size(), 64u);
  EXPECT_EQ(line.count("hold_us"), 0u) << "it never had the lock";
  // Reads leave none.
  EXPECT_TRUE(Record([&] {
                grpc::ClientContext context;
                v1::ListTunnelsResponse list;
                EXPECT_TRUE(
                    daemon_.tunnels().ListTunnels(&context, {}, &list).ok());
              }).empty());
}

TEST_F(AuditTest, ManyTunnelsInOneLineAndTheWayBack) {
  v1::ApplyConfigRequest request;
  *request.add_tunnels() = GreRequest("a", 2).tunnel();
  EXPECT_EQ(Apply(request), "OK");
  request.mutable_tunnels(0)->set_ttl(3);
  *request.add_tunnels() = GreRequest("b", 3).tunnel();
  request.mutable_confirm_within()->set_seconds(1);
  std::vector<Line> lines = Record([&] {
    EXPECT_EQ(Apply(request), "OK");
    EXPECT_EQ(SetTtl(9), "APPLY_PENDING");
    const auto limit =
        std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (daemon_.manager().Pending() &&
           std::chrono::steady_clock::now() < limit) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    // It is written after the lock is free again.
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  });
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0]["operation"], "ApplyConfig 2");
  EXPECT_EQ(lines[0]["tunnels"], "a:1>2,b:0>1");
  EXPECT_EQ(lines[1]["result"], "APPLY_PENDING");
  EXPECT_EQ(lines[2]["operation"], "RevertApply (not confirmed)");
  EXPECT_EQ(lines[2]["result"], "ok");
  EXPECT_EQ(lines[2]["tunnels"], "a:2>3,b:1>0");
  EXPECT_EQ(lines[2]["pid"], absl::StrCat(getpid()));

  // What does not fit into a line goes on in the next.
  v1::ApplyConfigRequest many;
  for (int i = 0; i < 300; ++i) {
    v1::Tunnel tunnel = GreRequest(absl::StrCat("t", i), 9).tunnel();
    tunnel.set_key(i);
    tunnel.set_queues(1);
    *many.add_tunnels() = tunnel;
  }
  lines = Record([&] { EXPECT_EQ(Apply(many), "OK"); });
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["part"], "1/2");
  EXPECT_EQ(lines[1]["part"], "2/2");
  const std::vector<std::string> first =
      absl::StrSplit(lines[0]["tunnels"], ',');
  const std::vector<std::string> second =
      absl::StrSplit(lines[1]["tunnels"], ',');
  EXPECT_EQ(first.size() + second.size(), 300u);
}

}  // namespace
}  // namespace tunnel::ctl
