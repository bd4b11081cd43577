#include "ctl/cli/render_top.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ctl/cli/top_view.h"
#include "gmock/gmock.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"

namespace tunnel::ctl::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

v1::GetStatsResponse Stats(const std::string& text) {
  v1::GetStatsResponse stats;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &stats));
  return stats;
}

const char kBefore[] = R"pb(
  tunnels { name: "gre0" receive_packets: 1000 receive_bytes: 70000 }
  tunnels {
    name: "gre1"
    transmit_packets: 7
    transmit_drops { key: "too_big" value: 1 }
  }
  unmatched_drops { key: "no_tunnel" value: 4 }
  workers {
    cpu: 2
    busy_seconds: 10
    syscalls { key: "poll" value: 4 }
  }
  workers {
    worker: 1
    cpu: 3
    handoff { packets: 100 pushes: 10 visits: 5 wakeups: 8 depth_sum: 20 }
  }
  captures {
    capture: 7
    tunnel: "gre1"
    handoff { packets: 10 }
  }
  steady_time { seconds: 100 nanos: 500000000 })pb";
const char kAfter[] = R"pb(
  tunnels { name: "gre0" receive_packets: 1400 receive_bytes: 85000 }
  tunnels {
    name: "gre1"
    transmit_packets: 2007
    transmit_bytes: 2500000
    transmit_drops { key: "no_route" value: 3 }
    transmit_drops { key: "too_big" value: 2 }
  }
  unmatched_drops { key: "no_tunnel" value: 5 }
  workers {
    cpu: 2
    busy_seconds: 11
    receive_packets: 60
    receive_batches: 8
    socket_drops: 2
    syscalls { key: "poll" value: 10 }
    syscalls { key: "receive" value: 14 }
  }
  workers {
    worker: 1
    cpu: 3
    handoff {
      packets: 300
      depth: 12
      capacity: 1024
      high_watermark: 90
      pushes: 50
      visits: 35
      wakeups: 28
      drops: 6
      depth_sum: 110
    }
  }
  captures {
    capture: 7
    tunnel: "gre1"
    handoff {
      packets: 50
      depth: 1
      capacity: 4200
      high_watermark: 30
      pushes: 40
      visits: 4
      drops: 2
      depth_sum: 60
    }
  }
  captures {
    capture: 8
    tunnel: "gre0"
    handoff { packets: 5 }
  }
  steady_time { seconds: 102 nanos: 500000000 })pb";

TopView View() { return TopBetween(Stats(kBefore), Stats(kAfter)); }

TEST(TopView, HasRatesOfTheIntervalWithTheMostBitsFirst) {
  const TopView view = View();
  EXPECT_DOUBLE_EQ(view.seconds, 2);
  ASSERT_EQ(view.tunnels.size(), 2u);
  EXPECT_EQ(view.tunnels[0].name, "gre1");
  EXPECT_DOUBLE_EQ(view.tunnels[0].transmit.packets, 1000);
  EXPECT_DOUBLE_EQ(view.tunnels[0].transmit.bits, 10e6);
  EXPECT_DOUBLE_EQ(view.tunnels[0].transmit.drops, 2);
  EXPECT_DOUBLE_EQ(view.tunnels[1].receive.packets, 200);
  EXPECT_DOUBLE_EQ(view.tunnels[1].receive.bits, 60'000);
  EXPECT_DOUBLE_EQ(view.unmatched_drops, 0.5);
}

TEST(TopView, HasWhatWorkersAndHandoffsDid) {
  const TopView view = View();
  ASSERT_EQ(view.workers.size(), 2u);
  EXPECT_DOUBLE_EQ(view.workers[0].busy, 0.5);
  EXPECT_DOUBLE_EQ(view.workers[0].receive_packets, 30);
  EXPECT_DOUBLE_EQ(view.workers[0].receive_batch.value(), 7.5);
  EXPECT_FALSE(view.workers[0].transmit_batch.has_value());
  EXPECT_DOUBLE_EQ(view.workers[0].socket_drops, 1);
  EXPECT_DOUBLE_EQ(view.workers[0].syscalls, 10);
  EXPECT_DOUBLE_EQ(view.workers[0].packets_per_syscall.value(), 3);
  EXPECT_FALSE(view.workers[1].packets_per_syscall.has_value());
  ASSERT_EQ(view.handoffs.size(), 3u);
  const HandoffRates& handoff = view.handoffs[0];
  EXPECT_EQ(handoff.worker, 1u);
  EXPECT_DOUBLE_EQ(handoff.packets, 100);
  EXPECT_DOUBLE_EQ(handoff.drops, 3);
  EXPECT_DOUBLE_EQ(handoff.mean_depth.value(), 3);
  EXPECT_DOUBLE_EQ(handoff.batch.value(), 5);
  EXPECT_DOUBLE_EQ(handoff.packets_per_wakeup.value(), 10);
  // 40 pushes and 30 visits for 200 packets.
  EXPECT_DOUBLE_EQ(handoff.syncs_per_packet.value(), 0.7);
  const HandoffRates& capture = view.handoffs[1];
  EXPECT_EQ(capture.capture, 7u);
  EXPECT_EQ(capture.tunnel, "gre1");
  EXPECT_DOUBLE_EQ(capture.packets, 20);
  EXPECT_DOUBLE_EQ(capture.drops, 1);
  EXPECT_DOUBLE_EQ(capture.mean_depth.value(), 15);
  EXPECT_FALSE(capture.packets_per_wakeup.has_value());
  // It has begun since the first reading.
  EXPECT_EQ(view.handoffs[2].packets, 0);
}

TEST(TopView, WhatIsNewOrBeganAnewHasNoRate) {
  const TopView view =
      TopBetween(Stats(R"pb(tunnels { name: "old" receive_packets: 50 }
                            steady_time { seconds: 1 })pb"),
                 Stats(R"pb(tunnels { name: "new" receive_packets: 80 }
                            tunnels { name: "old" receive_packets: 20 }
                            steady_time { seconds: 2 })pb"));
  ASSERT_EQ(view.tunnels.size(), 2u);
  EXPECT_EQ(view.tunnels[0].name, "new");
  for (const TunnelRates& tunnel : view.tunnels)
    EXPECT_EQ(tunnel.receive.packets, 0) << tunnel.name;
}

TEST(TopView, TimeThatDoesNotGoOnGivesNoRates) {
  const TopView view = TopBetween(Stats(kAfter), Stats(kBefore));
  EXPECT_EQ(view.seconds, 0);
  EXPECT_EQ(view.tunnels[0].receive.packets, 0);
  EXPECT_EQ(view.workers[0].busy, 0);
}

TEST(TopText, HasATableForEachKind) {
  EXPECT_EQ(
      TopText(View(), 0),
      "2.00 s: 2 tunnels, 200 packets/s in, 1.00k out, 2.0 drops/s, 0.5 of no "
      "tunnel\n"
      "NAME  RX-PACKETS/S  RX-BITS/S  RX-DROPS/S  TX-PACKETS/S  TX-BITS/S  "
      "TX-DROPS/S\n"
      "gre1             0          0           0         1.00k      10.0M      "
      "   2.0\n"
      "gre0           200      60.0k           0             0          0      "
      "     0\n"
      "WORKER  CPU  BUSY  RX-PACKETS/S  RX-BATCH  TX-PACKETS/S  TX-BATCH  "
      "PACKETS/CALL  SOCKET-DROPS/S\n"
      "0         2   50%          30.0      7.50             0         -       "
      "   3.00             1.0\n"
      "1         3    0%             0         -             0         -       "
      "      -               0\n"
      "HAND-OFF      PACKETS/S    DEPTH   MEAN  HIGH  BATCH  PACKETS/WAKEUP  "
      "SYNCS/PACKET  DROPS/S\n"
      "to worker 1         100  12/1024   3.00    90   5.00           10.00  "
      "        0.70      3.0\n"
      "capture gre1       20.0   1/4200  15.00    30   1.00               -  "
      "        2.20      1.0\n"
      "capture gre0          0      0/0      -     0      -               -  "
      "           -        0\n");
}

TEST(TopText, RatesHaveThreeDigitsAndAUnit) {
  const std::vector<std::pair<double, std::string>> cases = {
      {0, "0"},          {0.26, "0.3"},      {9.94, "9.9"},
      {99.9, "99.9"},    {99.96, "100"},     {999.4, "999"},
      {999.5, "1.00k"},  {1234, "1.23k"},    {12'345, "12.3k"},
      {999'400, "999k"}, {999'600, "1.00M"}, {5.4e9, "5.40G"},
      {2e12, "2.00T"},   {3e15, "3000T"}};
  for (const auto& [rate, text] : cases) {
    TopView view;
    view.unmatched_drops = rate;
    EXPECT_THAT(TopText(view, 0),
                HasSubstr(absl::StrCat(", ", text, " of no tunnel\n")));
  }
}

TEST(TopText, LeavesOutWhatHasNoPlace) {
  TopView view = View();
  for (int i = 0; i < 50; ++i)
    view.tunnels.push_back({.name = absl::StrCat("t", i)});
  for (const size_t lines : {12u, 24u, 59u, 60u, 61u, 100u}) {
    const std::string text = TopText(view, lines);
    const size_t used =
        static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
    EXPECT_EQ(used, std::min<size_t>(lines, 61)) << lines;
    EXPECT_THAT(text, HasSubstr("HAND-OFF"));
  }
  EXPECT_THAT(TopText(view, 12), HasSubstr("\nand 50 more\n"));
  EXPECT_THAT(TopText(view, 61), Not(HasSubstr(" more\n")));
  // A terminal of no use still gets the sums.
  EXPECT_THAT(TopText(view, 3), HasSubstr("and 52 more"));
}

TEST(TopJson, HasEachFigureAndLeavesOutWhatIsAbsent) {
  const std::string text = TopJson(View(), false);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  google::protobuf::Struct json;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(text, &json).ok())
      << text;
  EXPECT_THAT(text, HasSubstr(R"({"seconds":2.000,"tunnels":[{"name":"gre1",)"
                              R"("receive_packets_per_second":0.000,)"));
  EXPECT_THAT(text, HasSubstr(R"("transmit_bits_per_second":10000000.000)"));
  EXPECT_THAT(text, HasSubstr(R"("syscalls_per_second":10.000,)"
                              R"("packets_per_syscall":3.000})"));
  EXPECT_THAT(
      text,
      HasSubstr(
          R"("handoffs":[{"worker":1,"packets_per_second":100.000,)"
          R"("drops_per_second":3.000,"depth":12,"capacity":1024,)"
          R"("high_watermark":90,"mean_depth":3.000,"batch":5.000,)"
          R"("packets_per_wakeup":10.000,"syncs_per_packet":0.700},)"
          R"({"capture":7,"tunnel":"gre1","packets_per_second":20.000,)"));
  EXPECT_THAT(text, Not(HasSubstr("transmit_batch")));
}

TEST(OnScreen, ReplacesEachLineAndClearsTheRest) {
  EXPECT_EQ(OnScreen("a\nb\n"), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J");
}

}  // namespace
}  // namespace tunnel::ctl::cli
