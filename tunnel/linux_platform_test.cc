#include "tunnel/linux_platform.h"

#include <linux/capability.h>

#include "gtest/gtest.h"
#include "tunnel/base/error.h"

namespace tunnel {
namespace {

constexpr uint64_t kAdmin = uint64_t{1} << CAP_NET_ADMIN;
constexpr uint64_t kRaw = uint64_t{1} << CAP_NET_RAW;

TEST(LinuxPlatformTest, NamesEachMissingCapability) {
  EXPECT_TRUE(CheckCapabilities(kAdmin | kRaw).ok());
  const auto missing = [](uint64_t effective) {
    const auto detail = GetErrorDetail(CheckCapabilities(effective));
    EXPECT_TRUE(detail && detail->reason == Reason::kMissingCapability);
    return detail ? detail->metadata.at("capability") : "";
  };
  EXPECT_EQ(missing(kRaw), "CAP_NET_ADMIN");
  EXPECT_EQ(missing(kAdmin), "CAP_NET_RAW");
  EXPECT_EQ(missing(~(kAdmin | kRaw)), "CAP_NET_ADMIN,CAP_NET_RAW");
}

}  // namespace
}  // namespace tunnel
