// The daemon's reasons, docs/errors.md and the table of tunnelctl agree.

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "ctl/cli/errors.h"
#include "gtest/gtest.h"
#include "tunnel/base/error.h"

namespace tunnel::ctl::cli {
namespace {

constexpr Reason kDaemonReasons[] = {
#define TUNNEL_X(id, name, code, text) Reason::k##id,
    TUNNEL_ERROR_REASONS(TUNNEL_X)
#undef TUNNEL_X
};

// Reason to its columns in docs/errors.md: code, exit code.
std::map<std::string, std::pair<std::string, int>> DocumentedReasons() {
  std::map<std::string, std::pair<std::string, int>> rows;
  std::ifstream in("docs/errors.md");
  EXPECT_TRUE(in.is_open());
  for (std::string line; std::getline(in, line);) {
    const std::vector<std::string> cells = absl::StrSplit(line, " | ");
    int exit_code = 0;
    if (cells.size() < 4 || !absl::SimpleAtoi(cells[2], &exit_code)) continue;
    rows[cells[0].substr(2)] = {cells[1], exit_code};
  }
  return rows;
}

TEST(Reasons, EachOfTheDaemonHasItsRowHere) {
  for (const Reason reason : kDaemonReasons) {
    const ReasonInfo* info = FindReason(ReasonName(reason));
    ASSERT_NE(info, nullptr) << ReasonName(reason);
    EXPECT_EQ(info->code, absl::StatusCodeToString(ReasonCode(reason)))
        << ReasonName(reason);
  }
}

TEST(Reasons, EachHasTheExitCodeThatIsDocumented) {
  const auto rows = DocumentedReasons();
  for (const Reason reason : kDaemonReasons) {
    const std::string name(ReasonName(reason));
    ASSERT_EQ(rows.count(name), 1u) << name;
    EXPECT_EQ(rows.at(name).first, FindReason(name)->code) << name;
    EXPECT_EQ(rows.at(name).second, FindReason(name)->exit_code) << name;
  }
}

}  // namespace
}  // namespace tunnel::ctl::cli
