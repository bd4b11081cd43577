#include "ctl/status_map.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "ctl/faults.h"
#include "proto/google/rpc/error_details.pb.h"
#include "proto/google/rpc/status.pb.h"
#include "tunnel/base/error.h"

namespace tunnel::ctl {
namespace {

const std::vector<Reason>& AllReasons() {
  static const auto* all = new std::vector<Reason>{
#define TUNNEL_X(id, name, code, text) Reason::k##id,
      TUNNEL_ERROR_REASONS(TUNNEL_X)
#undef TUNNEL_X
  };
  return *all;
}

struct Details {
  std::vector<google::rpc::ErrorInfo> infos;
  std::vector<google::rpc::BadRequest> bad_requests;
  std::vector<google::rpc::RetryInfo> retries;
};

Details Unpack(const grpc::Status& status) {
  google::rpc::Status rpc;
  EXPECT_TRUE(rpc.ParseFromString(status.error_details()));
  EXPECT_EQ(rpc.code(), static_cast<int>(status.error_code()));
  EXPECT_EQ(rpc.message(), status.error_message());
  Details out;
  for (const auto& any : rpc.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::BadRequest bad;
    google::rpc::RetryInfo retry;
    if (any.UnpackTo(&info)) {
      out.infos.push_back(info);
    } else if (any.UnpackTo(&bad)) {
      out.bad_requests.push_back(bad);
    } else if (any.UnpackTo(&retry)) {
      out.retries.push_back(retry);
    } else {
      ADD_FAILURE() << "unexpected detail " << any.type_url();
    }
  }
  return out;
}

TEST(StatusMapTest, EachReasonHasOneErrorInfoAndItsCode) {
  for (const Reason reason : AllReasons()) {
    const std::string name(ReasonName(reason));
    const grpc::Status status = ToGrpcStatus(
        MakeError(reason, "what is wrong", {{"tunnel", "gre0"}, {"n", "7"}}));
    EXPECT_EQ(static_cast<int>(status.error_code()),
              static_cast<int>(ReasonCode(reason)))
        << name;
    EXPECT_NE(status.error_code(), grpc::StatusCode::UNKNOWN) << name;
    EXPECT_NE(status.error_code(), grpc::StatusCode::INTERNAL) << name;
    EXPECT_NE(status.error_code(), grpc::StatusCode::OK) << name;
    EXPECT_EQ(status.error_message(), "what is wrong");
    const Details details = Unpack(status);
    ASSERT_EQ(details.infos.size(), 1u) << name;
    EXPECT_EQ(details.infos[0].reason(), name);
    EXPECT_EQ(details.infos[0].domain(), "tunneld");
    EXPECT_EQ(details.infos[0].metadata().at("tunnel"), "gre0");
    EXPECT_EQ(details.infos[0].metadata().at("n"), "7");
    const bool invalid =
        ReasonCode(reason) == absl::StatusCode::kInvalidArgument;
    EXPECT_EQ(details.bad_requests.size(), invalid ? 1u : 0u) << name;
    EXPECT_EQ(details.retries.size(),
              reason == Reason::kConfigLockBusy ? 1u : 0u)
        << name;
  }
}

TEST(StatusMapTest, BadRequestListsAllViolations) {
  Faults faults;
  faults.AddInvalid("ttl", "0; want 1 to 255");
  faults.AddInvalid("mtu", "1; want more");
  const Details details = Unpack(ToGrpcStatus(faults.ToStatus()));
  ASSERT_EQ(details.bad_requests.size(), 1u);
  ASSERT_EQ(details.bad_requests[0].field_violations_size(), 2);
  EXPECT_EQ(details.bad_requests[0].field_violations(0).field(), "ttl");
  EXPECT_EQ(details.bad_requests[0].field_violations(1).description(),
            "1; want more");
}

TEST(StatusMapTest, RetryDelayIsPositive) {
  const Details details =
      Unpack(ToGrpcStatus(MakeError(Reason::kConfigLockBusy, "busy")));
  ASSERT_EQ(details.retries.size(), 1u);
  EXPECT_GT(details.retries[0].retry_delay().seconds(), 0);
}

TEST(StatusMapTest, OkHasNoDetails) {
  const grpc::Status status = ToGrpcStatus(absl::OkStatus());
  EXPECT_TRUE(status.ok());
  EXPECT_TRUE(status.error_details().empty());
}

TEST(StatusMapTest, StatusWithoutReasonStillHasAnErrorInfo) {
  const Details details = Unpack(ToGrpcStatus(absl::NotFoundError("gone")));
  ASSERT_EQ(details.infos.size(), 1u);
  EXPECT_EQ(details.infos[0].reason(), "NOT_FOUND");
}

TEST(FaultsTest, MergeLeavesOutFieldsThatAreKnownAsBad) {
  Faults faults;
  faults.AddInvalid("local", "not an address");
  faults.Merge(MakeError(
      Reason::kFamilyMismatch, "m", {},
      {{"local", "missing"}, {"remote", "first"}, {"remote", "second"}}));
  const auto detail = GetErrorDetail(faults.ToStatus());
  ASSERT_TRUE(detail);
  EXPECT_EQ(detail->reason, Reason::kFieldInvalid);
  ASSERT_EQ(detail->violations.size(), 3u);
  EXPECT_EQ(detail->violations[0].description, "not an address");
  EXPECT_EQ(detail->violations[2].description, "second");
}

// ---- docs/errors.md ----

int WantedExitCode(Reason reason) {
  switch (reason) {
    case Reason::kEtagMismatch:
      return 4;
    case Reason::kConfigLockQueueFull:
      return 75;
    default:
      break;
  }
  switch (ReasonCode(reason)) {
    case absl::StatusCode::kInvalidArgument:
      return 2;
    case absl::StatusCode::kNotFound:
      return 3;
    case absl::StatusCode::kAlreadyExists:
      return 4;
    case absl::StatusCode::kUnavailable:
      return 69;
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kOutOfRange:
      return 75;
    case absl::StatusCode::kPermissionDenied:
      return 77;
    case absl::StatusCode::kCancelled:
      return 130;
    default:
      return 1;
  }
}

// Clients take in 8 KiB of trailers; base64 makes three bytes four.
TEST(StatusMapTest, FitsIntoTheTrailersWhateverIsWrong) {
  std::vector<FieldViolation> violations;
  for (int i = 0; i < 4000; ++i) {
    violations.push_back(
        {"tunnels[" + std::to_string(i) + "].local", std::string(3000, 'x')});
  }
  const std::string text = std::string(1023, 'm') + "\xc3\xa4" + "end";
  const grpc::Status status = ToGrpcStatus(
      MakeError(Reason::kFieldInvalid, text,
                {{"a", std::string(5000, 'a')}, {"b", std::string(5000, 'b')}},
                violations));
  EXPECT_LT(status.error_message().size() +
                (status.error_details().size() + 2) / 3 * 4,
            7 * 1024u);
  const Details details = Unpack(status);
  // Not cut within a character.
  EXPECT_EQ(status.error_message(), std::string(1023, 'm') + "...");
  ASSERT_EQ(details.bad_requests.size(), 1u);
  const auto& fields = details.bad_requests[0].field_violations();
  ASSERT_GT(fields.size(), 8);
  EXPECT_EQ(fields[0].field(), "tunnels[0].local");
  EXPECT_EQ(fields[fields.size() - 1].field(), "");
  EXPECT_EQ(fields[fields.size() - 1].description(),
            std::to_string(4000 - (fields.size() - 1)) + " more fields");
}

// Cells of each row of the table, by reason.
std::map<std::string, std::vector<std::string>> ReadErrorTable() {
  std::ifstream file("docs/errors.md");
  EXPECT_TRUE(file.good());
  std::map<std::string, std::vector<std::string>> rows;
  for (std::string line; std::getline(file, line);) {
    std::vector<std::string> cells = absl::StrSplit(line, " | ");
    if (cells.size() != 5 || cells[0].substr(0, 2) != "| ") continue;
    const std::string reason = cells[0].substr(2);
    if (reason == "reason") continue;
    EXPECT_TRUE(rows.emplace(reason, cells).second) << reason << " twice";
  }
  return rows;
}

TEST(ErrorTableTest, HasOneRightRowForEachReason) {
  auto rows = ReadErrorTable();
  for (const Reason reason : AllReasons()) {
    const std::string name(ReasonName(reason));
    const auto row = rows.find(name);
    ASSERT_NE(row, rows.end()) << name << " has no row in docs/errors.md";
    EXPECT_EQ(row->second[1], absl::StatusCodeToString(ReasonCode(reason)))
        << name;
    int exit_code = 0;
    ASSERT_TRUE(absl::SimpleAtoi(row->second[2], &exit_code)) << name;
    EXPECT_EQ(exit_code, WantedExitCode(reason)) << name;
    EXPECT_GT(row->second[3].size(), 10u) << name;
    EXPECT_GT(row->second[4].size(), 5u) << name;
    rows.erase(row);
  }
  EXPECT_TRUE(rows.empty()) << rows.begin()->first << " is no reason";
}

}  // namespace
}  // namespace tunnel::ctl
