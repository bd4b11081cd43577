// Output against the files in testdata. After a wanted change:
//   TUNNELCTL_UPDATE_GOLDEN=1 bazel run //ctl/cli:render_test

#include "ctl/cli/render.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "ctl/cli/render_lock.h"
#include "ctl/cli/render_plan.h"
#include "ctl/cli/render_reply.h"
#include "gmock/gmock.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

namespace tunnel::ctl::cli {
namespace {

using google::protobuf::TextFormat;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

template <typename Message>
Message Load(const std::string& name) {
  Message message;
  EXPECT_TRUE(TextFormat::ParseFromString(ReadFile("ctl/cli/testdata/" + name),
                                          &message))
      << name;
  return message;
}

std::vector<v1::Tunnel> Tunnels() {
  const auto list = Load<v1::ListTunnelsResponse>("tunnels.textproto");
  return {list.tunnels().begin(), list.tunnels().end()};
}

void ExpectGolden(const std::string& text, const std::string& name) {
  const char* workspace = std::getenv("BUILD_WORKSPACE_DIRECTORY");
  if (workspace != nullptr && std::getenv("TUNNELCTL_UPDATE_GOLDEN")) {
    std::ofstream(absl::StrCat(workspace, "/ctl/cli/testdata/", name)) << text;
    return;
  }
  EXPECT_EQ(text, ReadFile("ctl/cli/testdata/" + name)) << name;
}

TEST(Golden, Show) {
  ExpectGolden(TableText(Tunnels(), false), "show.txt");
  ExpectGolden(TableText(Tunnels(), true), "show_color.txt");
  ExpectGolden(DetailsText(Tunnels(), false), "show_details.txt");
  ExpectGolden(NamesText(Tunnels()), "show_names.txt");
  ExpectGolden(TunnelsJson(Tunnels(), false), "show.json");
  ExpectGolden(TunnelsJson(Tunnels(), true), "show_pretty.json");
}

TEST(Golden, Stats) {
  const auto stats = Load<v1::GetStatsResponse>("stats.textproto");
  ExpectGolden(StatsText(stats, false), "stats.txt");
  ExpectGolden(StatsText(stats, true), "stats_details.txt");
  ExpectGolden(StatsJson(stats, false, false), "stats.json");
  ExpectGolden(StatsJson(stats, true, true), "stats_details.json");
}

TEST(Golden, Lock) {
  const auto lock = Load<v1::ConfigLockState>("lock.textproto");
  ExpectGolden(LockText(lock), "lock.txt");
  ExpectGolden(MessageJson(lock, false), "lock.json");
  EXPECT_EQ(LockText(v1::ConfigLockState()),
            "free\nacquired 0 times, 0 waits interrupted\n");
}

TEST(Golden, Watch) {
  std::string text;
  std::string json;
  for (const char* event :
       {"added { name: 'gre0' mode: GRE local: '192.0.2.1' remote: "
        "'192.0.2.2' key: 0 oper_state: OPER_UP effective_mtu: 1472 }",
        "synced {}",
        "modified { name: 'gre0' mode: GRE local: '192.0.2.1' remote: "
        "'192.0.2.2' oper_state: OPER_DOWN oper_reason: 'no route' }",
        "heartbeat {}", "deleted: 'gre0'"}) {
    v1::WatchTunnelsResponse response;
    ASSERT_TRUE(TextFormat::ParseFromString(
        absl::StrCat("epoch: 'run1' revision: 7 ", event), &response));
    text += EventText(response, false);
    json += MessageJson(response, false);
  }
  ExpectGolden(text, "watch.txt");
  ExpectGolden(json, "watch.json");
}

// Text and JSON are of one message: the JSON reads back as what was sent.
TEST(TunnelsJson, ReadsBackAsTheSameMessages) {
  for (const bool pretty : {false, true}) {
    v1::ListTunnelsResponse back;
    ASSERT_TRUE(
        google::protobuf::util::JsonStringToMessage(
            "{\"tunnels\":" + TunnelsJson(Tunnels(), pretty) + "}", &back)
            .ok());
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(
        back, Load<v1::ListTunnelsResponse>("tunnels.textproto")));
  }
}

TEST(TunnelsJson, EmptyIsAnEmptyArray) {
  EXPECT_EQ(TunnelsJson({}, false), "[]\n");
  EXPECT_EQ(TunnelsJson({}, true), "[]\n");
  EXPECT_EQ(StatsJson(v1::GetStatsResponse(), false, false), "[]\n");
  EXPECT_EQ(TableText({}, false), "");
}

TEST(StatsJson, IsJson) {
  const auto stats = Load<v1::GetStatsResponse>("stats.textproto");
  for (const bool pretty : {false, true}) {
    google::protobuf::Struct object;
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(
                    StatsJson(stats, true, pretty), &object)
                    .ok());
    const auto& tunnel =
        object.fields().at("tunnels").list_value().values(0).struct_value();
    const auto& drops = tunnel.fields().at("drops").struct_value().fields();
    EXPECT_EQ(drops.at("queue_full").number_value(), 5);
    EXPECT_EQ(drops.at("key_mismatch").number_value(), 40);
  }
}

// A counter that is added to the schema must not be missing in the output.
TEST(StatsJson, HasEveryFieldOfTheSchema) {
  const std::string json =
      StatsJson(Load<v1::GetStatsResponse>("stats.textproto"), true, false);
  for (const auto* message :
       {v1::TunnelStats::descriptor(), v1::WorkerStats::descriptor(),
        v1::HandoffStats::descriptor(), v1::CaptureStats::descriptor(),
        v1::GetStatsResponse::descriptor()}) {
    for (int i = 0; i < message->field_count(); ++i) {
      EXPECT_THAT(json, ::testing::HasSubstr(absl::StrCat(
                            "\"", message->field(i)->name(), "\":")));
    }
  }
}

std::string Change(Verb verb, const std::string& text) {
  v1::TunnelChange change;
  EXPECT_TRUE(TextFormat::ParseFromString(text, &change)) << text;
  return ChangeText(verb, change);
}

TEST(ChangeText, OneLineSaysWhatAndAtWhatCost) {
  const std::string gre0 = "tunnel { name: 'gre0' } ";
  const std::string timing =
      "timing { pause { nanos: 700000 } resume { nanos: 500000 } "
      "packets_dropped: 3 }";
  EXPECT_EQ(Change(Verb::kSet,
                   gre0 + timing +
                       "changes { field: 'key' old_value: '42' new_value: '' }"
                       "changes { field: 'remote' old_value: '\"192.0.2.2\"' "
                       "new_value: '\"192.0.2.9\"' }"),
            "gre0: key 42 -> none, remote 192.0.2.2 -> 192.0.2.9 (paused 1.2 "
            "ms, 3 packets dropped)\n");
  EXPECT_EQ(Change(Verb::kSet, gre0 + "no_op: true"), "gre0: unchanged\n");
  EXPECT_EQ(Change(Verb::kSet, gre0 + "validated_only: true changes { field: "
                                      "'ttl' old_value: '64' new_value: '3' }"),
            "gre0: dry run: ttl 64 -> 3\n");
  EXPECT_EQ(Change(Verb::kPause, gre0), "gre0: paused\n");
  EXPECT_EQ(Change(Verb::kDetach, gre0 + timing),
            "gre0: detached (in 1.2 ms, 3 packets dropped)\n");
  EXPECT_EQ(Change(Verb::kDelete, gre0 + "validated_only: true"),
            "gre0: dry run: deleted\n");
  EXPECT_EQ(Change(Verb::kDelete, gre0 + "no_op: true"),
            "gre0: does not exist\n");
  EXPECT_EQ(Change(Verb::kCreate,
                   "tunnel { name: 'g' mode: IP6IP6 local: "
                   "'::1' remote: '::2' input_key: 3 }"),
            "g: created ip6ip6 ::1 -> ::2 key in 3 out none\n");
}

}  // namespace
}  // namespace tunnel::ctl::cli
