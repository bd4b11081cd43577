#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string>
#include <string_view>

#include "encap/c/encap.h"
#include "encap/c/values_for_test.h"

namespace encap {
namespace {

using testing::Address;
using testing::GreConfig;

std::string Check(const encap_config& config, encap_status expected) {
  char message[256];
  EXPECT_EQ(encap_config_check(&config, message, sizeof(message)), expected);
  return message;
}

// What programs were compiled against: a change of any number is another ABI.
TEST(EncapCConfigTest, LayoutIsThatOfAbiVersion1) {
  EXPECT_EQ(encap_abi_version(), 1u);
  EXPECT_EQ(sizeof(encap_config), 88u);
  EXPECT_EQ(offsetof(encap_config, tos), 16u);
  EXPECT_EQ(offsetof(encap_config, input_key), 24u);
  EXPECT_EQ(offsetof(encap_config, local), 32u);
  EXPECT_EQ(offsetof(encap_config, allowed_sources), 72u);
  EXPECT_EQ(sizeof(encap_packet), 48u);
  EXPECT_EQ(offsetof(encap_packet, gso_type), 32u);
  EXPECT_EQ(sizeof(encap_outer), 80u);
  EXPECT_EQ(sizeof(encap_input_result), 8u);
  EXPECT_EQ(sizeof(encap_output_state), 8u);
  EXPECT_EQ(sizeof(encap_input_state), 8u);
  EXPECT_EQ(sizeof(encap_reassembly_options), 40u);
}

TEST(EncapCConfigTest, NumbersOfDropsAreFixed) {
  constexpr std::string_view kNames[] = {"none",
                                         "truncated",
                                         "bad_ip_header",
                                         "bad_outer_checksum",
                                         "bad_gre_checksum",
                                         "bad_version",
                                         "unsupported_flags",
                                         "unknown_protocol",
                                         "no_tunnel",
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
  ASSERT_GE(encap_drop_count(), std::size(kNames));
  for (size_t i = 0; i < std::size(kNames); ++i) {
    EXPECT_EQ(encap_drop_name(static_cast<encap_drop>(i)), kNames[i]);
    EXPECT_NE(std::strlen(encap_drop_text(static_cast<encap_drop>(i))), 0u);
  }
  EXPECT_STREQ(encap_drop_name(255), "unknown");
  EXPECT_STREQ(encap_drop_text(255), "unknown");
}

TEST(EncapCConfigTest, EachStatusHasAName) {
  EXPECT_STREQ(encap_status_name(ENCAP_OK), "ok");
  EXPECT_STREQ(encap_status_name(ENCAP_TOO_NEW), "too_new");
  EXPECT_STREQ(encap_status_name(1), "unknown");
  EXPECT_STREQ(encap_status_name(-6), "unknown");
  EXPECT_STREQ(encap_status_name(INT32_MIN), "unknown");
}

TEST(EncapCConfigTest, AConfigIsJudged) {
  encap_config config = GreConfig();
  EXPECT_EQ(Check(config, ENCAP_OK), "");
  EXPECT_EQ(encap_overhead(&config), 28u);
  config.remote = Address("2001:db8::1");
  EXPECT_EQ(Check(config, ENCAP_INVALID).find("remote: "), 0u);
  char cut[8];
  EXPECT_EQ(encap_config_check(&config, cut, sizeof(cut)), ENCAP_INVALID);
  EXPECT_STREQ(cut, "remote:");
  EXPECT_EQ(encap_config_check(&config, nullptr, 0), ENCAP_INVALID);
  EXPECT_EQ(encap_overhead(&config), 0u);
  encap_encapsulator* encapsulator = nullptr;
  EXPECT_EQ(encap_encapsulator_create(&config, &encapsulator), ENCAP_INVALID);
  EXPECT_EQ(encapsulator, nullptr);
  encap_address address = {};
  EXPECT_EQ(encap_address_parse("192.0.2.256", &address), ENCAP_INVALID);
  EXPECT_EQ(address.family, 0);
}

TEST(EncapCConfigTest, NumbersThatStandForNothing) {
  const auto refused = [](auto change) {
    encap_config config = GreConfig();
    change(config);
    EXPECT_NE(Check(config, ENCAP_INVALID), "");
  };
  refused([](encap_config& c) { c.mode = 6; });
  refused([](encap_config& c) { c.df = 3; });
  refused([](encap_config& c) { c.ecn = 2; });
  refused([](encap_config& c) { c.transport = 2; });
  refused([](encap_config& c) { c.fragment = 3; });
  refused([](encap_config& c) { c.reserved = 1; });
  refused([](encap_config& c) { c.tos = 256; });
  refused([](encap_config& c) { c.encap_limit = -2; });
  refused([](encap_config& c) { c.local.family = 5; });
  refused([](encap_config& c) { c.size = 3; });
  const encap_prefix prefix = {Address("10.0.0.0"), 33};
  refused([&](encap_config& c) {
    c.allowed_sources = &prefix;
    c.allowed_source_count = 1;
  });
}

TEST(EncapCConfigTest, AStructOfAnotherAgeIsRead) {
  // Of a program that knew nothing behind the addresses.
  encap_config config = GreConfig();
  config.size = offsetof(encap_config, allowed_sources);
  config.allowed_source_count = 99;
  EXPECT_EQ(Check(config, ENCAP_OK), "");
  // Of one that knows more, and does not use it; then uses it.
  struct Newer {
    encap_config config;
    uint64_t more;
  } newer;
  encap_config_init(&newer.config, sizeof(newer));
  EXPECT_EQ(newer.config.size, sizeof(newer));
  EXPECT_EQ(newer.more, 0u);
  newer.config = GreConfig();
  newer.config.size = sizeof(newer);
  EXPECT_EQ(Check(newer.config, ENCAP_OK), "");
  newer.more = 1;
  EXPECT_EQ(Check(newer.config, ENCAP_TOO_NEW).find("size: "), 0u);
}

}  // namespace
}  // namespace encap
