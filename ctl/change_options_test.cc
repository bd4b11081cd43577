#include "ctl/change_options.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace tunnel::ctl {
namespace {

v1::UpdateTunnelRequest Request() {
  v1::UpdateTunnelRequest request;
  request.mutable_tunnel()->set_name("gre0");
  request.mutable_tunnel()->set_key(0);
  for (const char* key : {"site", "role", "rack", "unit"}) {
    (*request.mutable_tunnel()->mutable_labels())[key] = "x";
  }
  request.mutable_options()->set_request_id(
      "f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
  return request;
}

TEST(FingerprintTest, IsWhatWasAskedAndNothingElse) {
  const std::string base = Fingerprint("UpdateTunnel", Request());
  EXPECT_EQ(base.size(), 32u);
  EXPECT_EQ(Fingerprint("UpdateTunnel", Request()), base);
  v1::UpdateTunnelRequest same = Request();
  same.mutable_options()->mutable_lock_timeout()->set_seconds(5);
  same.mutable_options()->set_request_id("another");
  EXPECT_EQ(Fingerprint("UpdateTunnel", same), base);

  std::set<std::string> all = {base, Fingerprint("CreateTunnel", Request())};
  v1::UpdateTunnelRequest other = Request();
  other.mutable_tunnel()->clear_key();  // no key is not key 0
  all.insert(Fingerprint("UpdateTunnel", other));
  other = Request();
  other.mutable_update_mask()->add_paths("key");
  all.insert(Fingerprint("UpdateTunnel", other));
  other = Request();
  other.mutable_options()->set_validate_only(true);
  all.insert(Fingerprint("UpdateTunnel", other));
  other = Request();
  other.mutable_options()->set_if_match("\"1\"");
  all.insert(Fingerprint("UpdateTunnel", other));
  other = Request();
  (*other.mutable_tunnel()->mutable_labels())["site"] = "y";
  all.insert(Fingerprint("UpdateTunnel", other));
  EXPECT_EQ(all.size(), 7u);
}

// It is stored, and compared by later versions of the daemon.
TEST(FingerprintTest, StaysTheSameFromRunToRun) {
  v1::DeleteTunnelRequest request;
  // FNV-1a of "a", a zero byte and nothing more.
  EXPECT_EQ(Fingerprint("a", request), "0880954519ab1be95aa0733055b70e0c");
  request.set_name("gre0");
  EXPECT_EQ(Fingerprint("DeleteTunnel", request),
            Fingerprint("DeleteTunnel", request));
}

TEST(UuidTest, HasOneForm) {
  EXPECT_TRUE(IsUuid("f81d4fae-7dec-11d0-a765-00a0c91e6bf6"));
  EXPECT_TRUE(IsUuid("F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6"));
  for (const char* text : {"", "f81d4fae7dec11d0a76500a0c91e6bf6",
                           "f81d4fae-7dec-11d0-a765-00a0c91e6bf",
                           "f81d4fae-7dec-11d0-a765-00a0c91e6bf67",
                           "f81d4fae-7dec-11d0-a765-00a0c91e6bfg",
                           "-81d4fae-7dec-11d0-a765-00a0c91e6bf6"}) {
    EXPECT_FALSE(IsUuid(text)) << text;
  }
}

TEST(ChangeOptionsTest, ReadsWhatTheMethodHasAndNamesTheRest) {
  v1::UpdateTunnelRequest request = Request();
  v1::ChangeOptions& options = *request.mutable_options();
  options.set_validate_only(true);
  options.set_if_match("\"e\"");
  options.mutable_lock_timeout()->set_nanos(1);
  options.mutable_overlap()->set_seconds(3600);
  Faults faults;
  const ChangeOptions out = ReadChangeOptions("UpdateTunnel", request, options,
                                              {.overlap = true}, faults);
  EXPECT_TRUE(faults.empty());
  EXPECT_TRUE(out.validate_only);
  EXPECT_EQ(out.if_match, "\"e\"");
  EXPECT_EQ(out.lock_timeout, std::chrono::milliseconds(1));
  EXPECT_EQ(out.overlap, std::chrono::hours(1));
  EXPECT_EQ(out.request_id, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
  EXPECT_EQ(out.request_fingerprint, Fingerprint("UpdateTunnel", request));

  options.mutable_overlap()->set_nanos(1);
  options.set_request_id("me");
  options.mutable_lock_timeout()->set_seconds(-1);
  ReadChangeOptions("CreateTunnel", request, options, {.if_match = false},
                    faults);
  const auto detail = GetErrorDetail(faults.ToStatus());
  ASSERT_TRUE(detail.has_value());
  std::set<std::string> fields;
  for (const FieldViolation& v : detail->violations) fields.insert(v.field);
  EXPECT_EQ(fields,
            (std::set<std::string>{"options.if_match", "options.lock_timeout",
                                   "options.overlap", "options.request_id"}));
}

}  // namespace
}  // namespace tunnel::ctl
