#include "ctl/cli/json.h"

#include "gtest/gtest.h"
#include "proto/tunnel/v1/tunnel.pb.h"

namespace tunnel::ctl::cli {
namespace {

TEST(JsonWriter, CompactAndPretty) {
  for (const bool pretty : {false, true}) {
    JsonWriter json(pretty);
    json.BeginObject();
    json.Key("a").Number(18446744073709551615u);
    json.Key("b").BeginArray().Bool(true).String("x").EndArray();
    json.Key("c").BeginObject().EndObject();
    json.EndObject();
    EXPECT_EQ(json.Take(),
              pretty ? "{\n \"a\": 18446744073709551615,\n \"b\": [\n  true,\n"
                       "  \"x\"\n ],\n \"c\": {}\n}"
                     : "{\"a\":18446744073709551615,\"b\":[true,\"x\"],"
                       "\"c\":{}}");
  }
}

TEST(JsonWriter, EscapesWhatJsonDoesNotAllow) {
  const struct {
    std::string text;
    std::string wanted;
  } cases[] = {
      {"", "\"\""},
      {"a\"b\\c", "\"a\\\"b\\\\c\""},
      {"\n\r\t", "\"\\n\\r\\t\""},
      {std::string("\0\x1f\x7f", 3), "\"\\u0000\\u001f\\u007f\""},
      {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
       "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
      // Lone tail, cut sequence, overlong, surrogate, beyond Unicode.
      {"\x80", "\"\\ufffd\""},
      {"\xc3", "\"\\ufffd\""},
      {"\xc0\xaf", "\"\\ufffd\\ufffd\""},
      {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},
      {"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
  };
  for (const auto& row : cases) {
    JsonWriter json(false);
    json.String(row.text);
    EXPECT_EQ(json.Take(), row.wanted);
  }
}

TEST(JsonWriter, MessagesHaveTheNamesOfTheProto) {
  v1::Tunnel tunnel;
  tunnel.set_name("t");
  tunnel.set_admin_state(v1::ADMIN_UP);
  tunnel.set_key(0);
  JsonWriter json(false);
  json.BeginArray().Message(tunnel).EndArray();
  EXPECT_EQ(json.Take(),
            "[{\"name\":\"t\",\"key\":0,\"admin_state\":\"ADMIN_UP\"}]");
}

TEST(JsonWriter, MapsAreInTheOrderOfTheirKeys) {
  v1::Tunnel tunnel;
  std::string wanted;
  for (char c = 'z'; c >= 'a'; --c) {
    (*tunnel.mutable_labels())[std::string(1, c)] = "1";
    wanted = std::string(wanted.empty() ? "" : ",") + wanted;
    wanted = std::string("\"") + c + "\":\"1\"" + wanted;
  }
  JsonWriter json(false);
  json.Message(tunnel);
  EXPECT_EQ(json.Take(), "{\"labels\":{" + wanted + "}}");
}

}  // namespace
}  // namespace tunnel::ctl::cli
