#include "ctl/cli/errors.h"

#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/google/rpc/error_details.pb.h"
#include "proto/google/rpc/status.pb.h"

namespace tunnel::ctl::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

TEST(Reasons, AreUniqueAndComplete) {
  std::set<std::string> names;
  for (const ReasonInfo& info : Reasons()) {
    EXPECT_TRUE(names.insert(std::string(info.reason)).second) << info.reason;
    EXPECT_FALSE(info.text.empty()) << info.reason;
    EXPECT_FALSE(info.next_step.empty()) << info.reason;
    EXPECT_NE(info.exit_code, kExitOk) << info.reason;
    bool known = false;
    for (int code = 1; code <= 16; ++code) known |= CodeName(code) == info.code;
    EXPECT_TRUE(known) << info.code;
  }
}

TEST(ExitCode, TheReasonGoesBeforeTheStatusCode) {
  CallError error;
  error.code = 10;  // ABORTED
  error.reason = "ETAG_MISMATCH";
  EXPECT_EQ(ExitCode(error), kExitConflict);
  error.reason = "CONFIG_LOCK_BUSY";
  EXPECT_EQ(ExitCode(error), kExitTryAgain);
  error.reason = "OF_A_LATER_DAEMON";
  EXPECT_EQ(ExitCode(error), kExitTryAgain);
  EXPECT_EQ(ExitCode(CallError()), kExitOk);
}

TEST(ExitCode, EachStatusCodeHasOneOfTheContract) {
  const int wanted[] = {0, 75, 1,  2, 75, 3,  4, 77, 1,
                        1, 75, 75, 1, 1,  69, 1, 77};
  for (int code = 0; code <= 16; ++code) {
    CallError error;
    error.code = code;
    EXPECT_EQ(ExitCode(error), wanted[code]) << CodeName(code);
  }
  EXPECT_EQ(CodeName(0), "OK");
  EXPECT_EQ(CodeName(16), "UNAUTHENTICATED");
  EXPECT_EQ(CodeName(17), "CODE_17");
  EXPECT_EQ(CodeName(-1), "CODE_-1");
}

TEST(FromStatus, UnpacksTheDetails) {
  google::rpc::ErrorInfo info;
  info.set_reason("NAME_IN_USE");
  (*info.mutable_metadata())["tunnel"] = "gre0";
  google::rpc::BadRequest bad;
  bad.add_field_violations()->set_field("name");
  google::rpc::RetryInfo retry;  // not one of ours: passed over
  google::rpc::Status status;
  status.add_details()->PackFrom(retry);
  status.add_details()->PackFrom(info);
  status.add_details()->PackFrom(bad);
  const CallError error = FromStatus(6, "taken", status.SerializeAsString());
  EXPECT_EQ(error.code, 6);
  EXPECT_EQ(error.reason, "NAME_IN_USE");
  EXPECT_EQ(error.message, "taken");
  EXPECT_THAT(error.metadata, ElementsAre(Pair("tunnel", "gre0")));
  ASSERT_EQ(error.field_violations.size(), 1u);
  EXPECT_EQ(error.field_violations[0].field, "name");
}

TEST(FromStatus, SurvivesWhatIsNoStatus) {
  const CallError garbage = FromStatus(13, "", "\xff\xff\xff garbage");
  EXPECT_EQ(garbage.code, 13);
  EXPECT_EQ(garbage.message, "INTERNAL");
  EXPECT_EQ(garbage.reason, "");
  EXPECT_EQ(FromStatus(4, "late", "").reason, "DEADLINE_EXCEEDED");
}

TEST(ErrorText, HasMessageFieldsAndNextStep) {
  CallError error;
  error.code = 6;
  error.reason = "ENDPOINT_PAIR_IN_USE";
  error.message = "in use";
  error.metadata = {{"tunnel", "gre7"}};
  error.field_violations = {{"local", "bad"}, {"remote", "worse"}};
  EXPECT_EQ(ErrorText(error),
            "tunnelctl: in use\n"
            "  local: bad\n"
            "  remote: worse\n"
            "  look at the holder with 'tunnelctl show gre7'; another key or "
            "address makes the identity unique\n");
  error.metadata.clear();
  EXPECT_THAT(ErrorText(error), HasSubstr("'tunnelctl show TUNNEL'"));
  error.metadata = {{"closest", "gre0"}};
  EXPECT_THAT(ErrorText(error), HasSubstr("did you mean 'gre0'?"));
}

TEST(ErrorText, SaysEachFieldOnce) {
  CallError error;
  error.code = 3;
  error.field_violations = {{"ttl", "300; want 1 to 255"}, {"mtu", "10"}};
  error.message = "2 fields are wrong: ttl: 300; want 1 to 255; mtu: 10";
  EXPECT_EQ(ErrorText(error),
            "tunnelctl: 2 fields are wrong\n  ttl: 300; want 1 to 255\n"
            "  mtu: 10\n");
  error.field_violations.pop_back();
  error.message = "ttl: 300; want 1 to 255";
  EXPECT_EQ(ErrorText(error),
            "tunnelctl: a field is wrong\n  ttl: 300; want 1 to 255\n");
}

TEST(ErrorText, SuggestsTheClosestNameOnce) {
  CallError error;
  error.code = kCodeNotFound;
  error.reason = "TUNNEL_NOT_FOUND";
  error.metadata = {{"closest", "gre0"}};
  error.message = "no tunnel is named \"gre9\"; did you mean \"gre0\"?";
  EXPECT_EQ(ErrorText(error),
            "tunnelctl: no tunnel is named \"gre9\"; did you mean \"gre0\"?\n"
            "  'tunnelctl list -o name' prints the names\n");
}

TEST(ErrorJson, IsOneObject) {
  CallError error = UsageError("a \"b\"\n\x01\xff", "do c");
  error.metadata = {{"k", "v"}};
  error.field_violations = {{"f", "d"}};
  EXPECT_EQ(ErrorJson(error, false),
            "{\"code\":\"INVALID_ARGUMENT\",\"reason\":\"USAGE\","
            "\"message\":\"a \\\"b\\\"\\n\\u0001\\ufffd\","
            "\"metadata\":{\"k\":\"v\"},"
            "\"field_violations\":[{\"field\":\"f\",\"description\":\"d\"}],"
            "\"next_step\":\"do c\",\"exit_code\":2}\n");
}

}  // namespace
}  // namespace tunnel::ctl::cli
