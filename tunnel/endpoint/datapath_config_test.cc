#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "encap/address.h"
#include "tunnel/base/error.h"
#include "tunnel/endpoint/endpoint_config.h"

namespace tunnel {
namespace {

EndpointConfig With(DatapathMode datapath) {
  EndpointConfig config;
  config.name = "gre0";
  config.encap.mode = encap::Mode::kGre;
  config.encap.local = *encap::IpAddress::Parse("192.0.2.1");
  config.encap.remote = *encap::IpAddress::Parse("192.0.2.2");
  config.datapath = datapath;
  return config;
}

TEST(DatapathConfigTest, EachValueHasItsEtagAndItsWord) {
  std::set<std::string> etags;
  const EndpointConfig before = With(DatapathMode::kAuto);
  for (const DatapathMode mode :
       {DatapathMode::kAuto, DatapathMode::kUser, DatapathMode::kBpf}) {
    const EndpointConfig after = With(mode);
    EXPECT_TRUE(Validate(after).ok()) << Validate(after);
    EXPECT_TRUE(etags.insert(Etag(after)).second);
    const std::vector<FieldDifference> changes = Diff(before, after);
    if (mode == DatapathMode::kAuto) {
      EXPECT_TRUE(changes.empty());
      continue;
    }
    ASSERT_EQ(changes.size(), 1u);
    EXPECT_EQ(changes[0].field, "datapath");
    EXPECT_EQ(changes[0].old_value, "auto");
    EXPECT_EQ(changes[0].new_value,
              mode == DatapathMode::kUser ? "user" : "bpf");
  }
}

TEST(DatapathConfigTest, BpfIsRefusedWithFieldsThatItDoesNotCarry) {
  const struct {
    std::function<void(EndpointConfig&)> edit;
    const char* cause;
  } kCases[] = {
      {[](auto& c) { c.encap.checksum = true; }, "checksum is on"},
      {[](auto& c) { c.encap.mss_clamp = 0; }, "mss-clamp is set"},
      {[](auto& c) { c.encap.mode = encap::Mode::kGretap; },
       "the payload is Ethernet"},
      {[](auto& c) { c.rate = kMinRate; }, "rate is set"},
  };
  for (const auto& c : kCases) {
    for (const DatapathMode mode : {DatapathMode::kAuto, DatapathMode::kUser}) {
      EndpointConfig config = With(mode);
      c.edit(config);
      EXPECT_TRUE(Validate(config).ok()) << Validate(config);
    }
    EndpointConfig config = With(DatapathMode::kBpf);
    c.edit(config);
    const absl::Status status = Validate(config);
    EXPECT_EQ(GetReason(status), Reason::kFieldInvalid);
    const auto detail = GetErrorDetail(status);
    ASSERT_TRUE(detail.has_value());
    ASSERT_EQ(detail->violations.size(), 1u) << status;
    EXPECT_EQ(detail->violations[0].field, "datapath");
    EXPECT_NE(detail->violations[0].description.find(c.cause),
              std::string::npos)
        << detail->violations[0].description;
  }
}

}  // namespace
}  // namespace tunnel
