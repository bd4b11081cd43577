#include "ctl/text/suggest.h"

#include "gtest/gtest.h"

namespace tunnel::ctl {
namespace {

TEST(EditDistance, CountsEdits) {
  EXPECT_EQ(EditDistance("", ""), 0u);
  EXPECT_EQ(EditDistance("", "abc"), 3u);
  EXPECT_EQ(EditDistance("abc", ""), 3u);
  EXPECT_EQ(EditDistance("key", "key"), 0u);
  EXPECT_EQ(EditDistance("kye", "key"), 1u) << "neighbours swapped";
  EXPECT_EQ(EditDistance("remot", "remote"), 1u);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3u);
}

TEST(Nearest, IsNearOrNothing) {
  const std::vector<absl::string_view> known = {"key", "ikey", "remote",
                                                "txqueuelen"};
  EXPECT_EQ(Nearest("remoet", known), "remote");
  EXPECT_EQ(Nearest("ke", known), "key");
  EXPECT_EQ(Nearest("txq", known), "txqueuelen") << "the beginning of a word";
  EXPECT_EQ(Nearest("encaplimit", known), "");
  EXPECT_EQ(Nearest("", known), "");
  EXPECT_EQ(Nearest("x", {}), "");
  EXPECT_EQ(Nearest(std::string(1000, 'k'), known), "");
}

TEST(DidYouMean, IsAClauseOrNothing) {
  EXPECT_EQ(DidYouMean("kay", {"key"}), "; did you mean 'key'?");
  EXPECT_EQ(DidYouMean("zzzzzz", {"key"}), "");
}

}  // namespace
}  // namespace tunnel::ctl
