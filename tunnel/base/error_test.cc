#include "tunnel/base/error.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/cord.h"

namespace tunnel {
namespace {

const std::vector<Reason>& AllReasons() {
  static const auto* reasons = new std::vector<Reason>{
#define TUNNEL_X(id, name, code, text) Reason::k##id,
      TUNNEL_ERROR_REASONS(TUNNEL_X)
#undef TUNNEL_X
  };
  return *reasons;
}

TEST(Error, EachReasonHasNameCodeAndText) {
  std::set<std::string> names;
  for (Reason reason : AllReasons()) {
    const std::string name(ReasonName(reason));
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_EQ(ParseReason(name), reason);
    EXPECT_NE(ReasonCode(reason), absl::StatusCode::kOk);
    EXPECT_NE(ReasonCode(reason), absl::StatusCode::kUnknown);
    EXPECT_NE(ReasonCode(reason), absl::StatusCode::kInternal);
    EXPECT_FALSE(ReasonText(reason).empty());
  }
  EXPECT_EQ(ParseReason("NO_SUCH_REASON"), std::nullopt);
  EXPECT_EQ(ParseReason(""), std::nullopt);
}

TEST(Error, CarriesReasonMetadataAndViolations) {
  const std::map<std::string, std::string> metadata = {
      {"tunnel", "gre0"}, {"odd", "3:x,\n\"="}, {"empty", ""}};
  const std::vector<FieldViolation> violations = {
      {"mtu", "1; want 68 to 65535 bytes"}, {"name", std::string("a\0b", 3)}};
  const absl::Status status =
      MakeError(Reason::kFieldInvalid, "tunnel: bad", metadata, violations);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(status.message()), "tunnel: bad");
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->reason, Reason::kFieldInvalid);
  EXPECT_EQ(detail->metadata, metadata);
  ASSERT_EQ(detail->violations.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(detail->violations[i].field, violations[i].field);
    EXPECT_EQ(detail->violations[i].description, violations[i].description);
  }
}

TEST(Error, OtherStatusesHaveNoDetail) {
  EXPECT_FALSE(GetErrorDetail(absl::OkStatus()).has_value());
  EXPECT_FALSE(GetReason(absl::NotFoundError("x")).has_value());
}

TEST(Error, RefusesADamagedPayload) {
  for (const char* payload :
       {"", "x", "99999999999999999999:a", "5:abc", "3:abc", "13:FIELD_INVALID",
        "13:FIELD_INVALID1:1", "13:FIELD_INVALID1:11:a", "13:FIELD_INVALID1:0",
        "13:FIELD_INVALID1:01:1", "13:FIELD_INVALID1:02:-1"}) {
    absl::Status status = absl::InvalidArgumentError("x");
    status.SetPayload("tunneld/error_detail", absl::Cord(payload));
    EXPECT_FALSE(GetErrorDetail(status).has_value()) << payload;
  }
}

}  // namespace
}  // namespace tunnel
