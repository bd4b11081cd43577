#include "encap/drop_reason.h"

#include <gtest/gtest.h>

#include <set>

namespace encap {
namespace {

TEST(DropReasonTest, NamesAreUniqueAndParseBack) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < kDropReasonCount; ++i) {
    const auto reason = static_cast<DropReason>(i);
    const std::string_view name = DropReasonName(reason);
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_EQ(ParseDropReason(name), reason);
    EXPECT_FALSE(kDropReasonInfo[i].text.empty());
    for (const char c : name) {
      EXPECT_TRUE((c >= 'a' && c <= 'z') || c == '_') << name;
    }
  }
  EXPECT_EQ(ParseDropReason("no_such_reason"), std::nullopt);
}

// The names are part of the outside contract: metrics and scripts hold them.
TEST(DropReasonTest, ListIsTheClosedListOfTheContract) {
  const std::set<std::string_view> contract = {"none",
                                               "truncated",
                                               "bad_ip_header",
                                               "bad_version",
                                               "bad_outer_checksum",
                                               "bad_gre_checksum",
                                               "no_tunnel",
                                               "unsupported_flags",
                                               "unknown_protocol",
                                               "key_missing",
                                               "key_unexpected",
                                               "key_mismatch",
                                               "wrong_source",
                                               "martian_source",
                                               "ecn_illegal",
                                               "out_of_order",
                                               "ttl_expired",
                                               "recursion",
                                               "too_big",
                                               "reassembly_failed",
                                               "queue_full",
                                               "paused",
                                               "down",
                                               "no_route",
                                               "send_error",
                                               "inner_write_error"};
  std::set<std::string_view> names;
  for (const DropReasonInfo& info : kDropReasonInfo) names.insert(info.name);
  EXPECT_EQ(names, contract);
}

}  // namespace
}  // namespace encap
