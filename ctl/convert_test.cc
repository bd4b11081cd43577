#include "ctl/convert.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ctl/wire_time.h"
#include "tunnel/base/error.h"

namespace tunnel::ctl {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

v1::Tunnel Parse(const std::string& text) {
  v1::Tunnel tunnel;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &tunnel));
  return tunnel;
}

v1::Tunnel Gre() {
  return Parse(
      R"(name: "gre0" mode: GRE local: "192.0.2.1" remote: "192.0.2.2")");
}

std::vector<std::string> BadFields(const v1::Tunnel& tunnel) {
  const auto config = ConfigFromProto(tunnel);
  std::vector<std::string> fields;
  if (config.ok()) return fields;
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  const auto detail = GetErrorDetail(config.status());
  if (!detail) return {"no detail"};
  for (const FieldViolation& v : detail->violations) {
    EXPECT_FALSE(v.description.empty()) << v.field;
    fields.push_back(v.field);
  }
  return fields;
}

TEST(ConvertTest, FillsInTheDefaults) {
  const auto config = ConfigFromProto(Gre());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->name, "gre0");
  EXPECT_EQ(config->encap.ttl, 64);
  EXPECT_EQ(config->encap.tos, std::nullopt);
  EXPECT_EQ(config->encap.df, encap::DfPolicy::kOn);
  EXPECT_EQ(config->encap.ecn, encap::EcnMode::kNormal);
  EXPECT_EQ(config->mtu, std::nullopt);
  EXPECT_TRUE(config->admin_up);
  EXPECT_EQ(config->encap.input_key, std::nullopt);
}

TEST(ConvertTest, WritesDefaultsOut) {
  const auto config = ConfigFromProto(Gre());
  ASSERT_TRUE(config.ok());
  const v1::Tunnel out = SpecToProto(*config);
  EXPECT_EQ(out.ttl(), 64u);
  EXPECT_EQ(out.df(), v1::DF_ON);
  EXPECT_EQ(out.ecn(), v1::ECN_NORMAL);
  EXPECT_EQ(out.admin_state(), v1::ADMIN_UP);
  EXPECT_EQ(out.transport(), v1::TRANSPORT_IP);
  EXPECT_EQ(out.fragment(), v1::FRAGMENT_INNER);
  EXPECT_EQ(out.datapath(), v1::DATAPATH_AUTO);
  EXPECT_EQ(out.steering(), v1::STEERING_AUTO);
  EXPECT_FALSE(out.has_encap_limit());
  EXPECT_FALSE(out.has_mss_clamp());
  EXPECT_FALSE(out.has_tos());
  EXPECT_FALSE(out.has_mtu());
  EXPECT_FALSE(out.has_key());
}

TEST(ConvertTest, RoundTripKeepsEveryField) {
  const std::vector<std::string> specs = {
      R"(name: "t" mode: GIF local: "192.0.2.1" remote: "192.0.2.2")",
      R"(name: "t" mode: IPIP local: "2001:db8::1" remote: "2001:db8::2"
         df: DF_OFF ecn: ECN_COMPAT datapath: DATAPATH_BPF)",
      R"(name: "t" mode: SIT local: "192.0.2.1" remote: "192.0.2.2" mtu: 1280
         addresses: "2001:db8:1::1/64")",
      R"(name: "t" mode: IP6IP6 local: "2001:db8::1" remote: "2001:db8::2"
         ttl_inherit: true tos: 252)",
      R"(name: "t" mode: GRE local: "192.0.2.1" remote: "192.0.2.2" key: 0
         checksum: true sequence: true ttl: 255 tos: 0 df: DF_INHERIT
         datapath: DATAPATH_USER)",
      R"(name: "t" mode: GRE local: "192.0.2.1" remote: "192.0.2.2"
         input_key: 4294967295 fwmark: 7 underlay_device: "eth0" queues: 2
         txqueuelen: 100 admin_state: ADMIN_DOWN
         addresses: "10.9.0.1/30" addresses: "10.9.0.5/30"
         labels { key: "site" value: "a" } labels { key: "x" value: "" })",
      R"(name: "t" mode: GRETAP local: "192.0.2.1" remote: "192.0.2.2"
         input_key: 1 output_key: 2 mtu: 9000)",
      R"(name: "t" mode: GRE local: "192.0.2.1" remote: "any"
         transport: TRANSPORT_UDP udp_port: 65535 udp_source_port: 1
         udp_zero_checksum: true df: DF_OFF fragment: FRAGMENT_OUTER
         steering: STEERING_ON
         allowed_ips: "10.9.0.0/16" allowed_ips: "::/0" mss_clamp: 0)",
      R"(name: "t" mode: IP6IP6 local: "2001:db8::1" remote: "any"
         encap_limit: 0 fragment: FRAGMENT_NONE mss_clamp: 65495)",
      R"(name: "t" mode: GIF local: "dev:eth0" remote: "any4")",
      R"(name: "t" mode: GIF local: "dev:eth0" remote: "any6"
         encap_limit: 255)",
  };
  for (const std::string& text : specs) {
    const auto once = ConfigFromProto(Parse(text));
    ASSERT_TRUE(once.ok()) << text << once.status();
    const v1::Tunnel wire = SpecToProto(*once);
    const auto twice = ConfigFromProto(wire);
    ASSERT_TRUE(twice.ok()) << wire.DebugString() << twice.status();
    EXPECT_EQ(*once, *twice) << wire.DebugString();
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(
        wire, SpecToProto(*twice)));
  }
}

TEST(ConvertTest, KeyStandsForBothDirectionsUnlessOverridden) {
  struct Case {
    std::string spec;
    std::optional<uint32_t> input, output;
    std::string normal;
  };
  const std::vector<Case> cases = {
      {"", std::nullopt, std::nullopt, ""},
      {"key: 0", 0, 0, "key: 0"},
      {"key: 5 input_key: 6", 6, 5, "input_key: 6 output_key: 5"},
      {"key: 5 output_key: 6", 5, 6, "input_key: 5 output_key: 6"},
      {"input_key: 7 output_key: 7", 7, 7, "key: 7"},
      {"input_key: 0", 0, std::nullopt, "input_key: 0"},
      {"output_key: 9", std::nullopt, 9, "output_key: 9"},
  };
  for (const Case& c : cases) {
    v1::Tunnel tunnel = Gre();
    tunnel.MergeFrom(Parse(c.spec));
    const auto config = ConfigFromProto(tunnel);
    ASSERT_TRUE(config.ok()) << c.spec << config.status();
    EXPECT_EQ(config->encap.input_key, c.input) << c.spec;
    EXPECT_EQ(config->encap.output_key, c.output) << c.spec;
    const v1::Tunnel out = SpecToProto(*config);
    const v1::Tunnel want = Parse(c.normal);
    EXPECT_EQ(out.has_key(), want.has_key()) << c.spec;
    EXPECT_EQ(out.key(), want.key()) << c.spec;
    EXPECT_EQ(out.has_input_key(), want.has_input_key()) << c.spec;
    EXPECT_EQ(out.input_key(), want.input_key()) << c.spec;
    EXPECT_EQ(out.has_output_key(), want.has_output_key()) << c.spec;
    EXPECT_EQ(out.output_key(), want.output_key()) << c.spec;
  }
}

TEST(ConvertTest, NamesEachBadField) {
  struct Case {
    std::string field;
    std::function<void(v1::Tunnel&)> spoil;
  };
  const std::vector<Case> cases = {
      {"name", [](auto& t) { t.clear_name(); }},
      {"name", [](auto& t) { t.set_name("a/b"); }},
      {"name", [](auto& t) { t.set_name("sixteen-bytes-no"); }},
      {"mode", [](auto& t) { t.clear_mode(); }},
      {"mode", [](auto& t) { t.set_mode(static_cast<v1::Mode>(77)); }},
      {"local", [](auto& t) { t.clear_local(); }},
      {"local", [](auto& t) { t.set_local("192.0.2.256"); }},
      {"local", [](auto& t) { t.set_local("192.0.2.1/24"); }},
      {"remote", [](auto& t) { t.set_remote("example.com"); }},
      {"ttl", [](auto& t) { t.set_ttl(0); }},
      {"ttl", [](auto& t) { t.set_ttl(256); }},
      {"ttl", [](auto& t) { t.set_ttl(4294967295u); }},
      {"tos", [](auto& t) { t.set_tos(253); }},
      {"tos", [](auto& t) { t.set_tos(256); }},
      {"tos", [](auto& t) { t.set_tos(1); }},
      {"df", [](auto& t) { t.set_df(static_cast<v1::DfPolicy>(9)); }},
      {"ecn", [](auto& t) { t.set_ecn(static_cast<v1::EcnMode>(-1)); }},
      {"mtu", [](auto& t) { t.set_mtu(0); }},
      {"mtu", [](auto& t) { t.set_mtu(67); }},
      {"mtu", [](auto& t) { t.set_mtu(65536); }},
      {"queues", [](auto& t) { t.set_queues(257); }},
      {"txqueuelen", [](auto& t) { t.set_txqueuelen(65537); }},
      {"admin_state",
       [](auto& t) { t.set_admin_state(static_cast<v1::AdminState>(3)); }},
      {"underlay_device",
       [](auto& t) { t.set_underlay_device("sixteen-bytes-no"); }},
      {"addresses[1]",
       [](auto& t) {
         t.add_addresses("10.0.0.1/30");
         t.add_addresses("10.0.0.5/33");
       }},
      {"remote", [](auto& t) { t.set_remote("0.0.0.0"); }},
      {"remote", [](auto& t) { t.set_remote("::"); }},
      {"remote", [](auto& t) { t.set_remote("any6"); }},
      {"remote", [](auto& t) { t.set_remote("Any"); }},
      {"remote",
       [](auto& t) {
         t.set_local("dev:eth0");
         t.set_remote("any");
       }},
      {"encap_limit", [](auto& t) { t.set_encap_limit(1); }},
      {"encap_limit",
       [](auto& t) {
         t.set_local("2001:db8::1");
         t.set_remote("2001:db8::2");
         t.set_encap_limit(256);
       }},
      {"transport",
       [](auto& t) { t.set_transport(static_cast<v1::Transport>(3)); }},
      {"udp_port",
       [](auto& t) {
         t.set_transport(v1::TRANSPORT_UDP);
         t.set_udp_port(65536);
       }},
      {"udp_source_port",
       [](auto& t) {
         t.set_transport(v1::TRANSPORT_UDP);
         t.set_udp_source_port(4294967295u);
       }},
      {"udp_port", [](auto& t) { t.set_udp_port(4754); }},
      {"udp_zero_checksum", [](auto& t) { t.set_udp_zero_checksum(true); }},
      {"fragment",
       [](auto& t) { t.set_fragment(static_cast<v1::FragmentPolicy>(4)); }},
      {"steering",
       [](auto& t) { t.set_steering(static_cast<v1::Steering>(4)); }},
      {"fragment", [](auto& t) { t.set_fragment(v1::FRAGMENT_OUTER); }},
      {"datapath",
       [](auto& t) { t.set_datapath(static_cast<v1::Datapath>(4)); }},
      {"datapath",
       [](auto& t) {
         t.set_datapath(v1::DATAPATH_BPF);
         t.set_checksum(true);
       }},
      {"allowed_ips[1]",
       [](auto& t) {
         t.add_allowed_ips("10.0.0.0/8");
         t.add_allowed_ips("10.0.0.1/8");
       }},
      {"allowed_ips[0]", [](auto& t) { t.add_allowed_ips("10.0.0.0/33"); }},
      {"mss_clamp", [](auto& t) { t.set_mss_clamp(1); }},
      {"mss_clamp", [](auto& t) { t.set_mss_clamp(65536 + 1400); }},
      {"input_key",
       [](auto& t) {
         t.set_mode(v1::GIF);
         t.set_input_key(1);
       }},
  };
  for (const Case& c : cases) {
    v1::Tunnel tunnel = Gre();
    c.spoil(tunnel);
    EXPECT_THAT(BadFields(tunnel), ElementsAre(c.field))
        << tunnel.DebugString();
  }
}

TEST(ConvertTest, ListsAllBadFieldsInOneAnswer) {
  v1::Tunnel tunnel = Parse(
      R"(name: "bad name" local: "x" remote: "224.0.0.1" ttl: 256 tos: 3 mtu: 1
         queues: 9999 addresses: "nonsense" addresses: "10.0.0.1/30")");
  EXPECT_THAT(BadFields(tunnel),
              UnorderedElementsAre("name", "mode", "local", "remote", "ttl",
                                   "tos", "mtu", "queues", "addresses[0]"));
  EXPECT_EQ(GetReason(ConfigFromProto(tunnel).status()), Reason::kUnknownMode);
}

TEST(ConvertTest, TellsReasonsApart) {
  v1::Tunnel tunnel = Gre();
  tunnel.set_remote("2001:db8::1");
  EXPECT_EQ(GetReason(ConfigFromProto(tunnel).status()),
            Reason::kFamilyMismatch);
  tunnel = Gre();
  tunnel.clear_mode();
  EXPECT_EQ(GetReason(ConfigFromProto(tunnel).status()), Reason::kUnknownMode);
  tunnel = Gre();
  tunnel.set_ttl(0);
  EXPECT_EQ(GetReason(ConfigFromProto(tunnel).status()), Reason::kFieldInvalid);
}

TEST(ConvertTest, AnyTakesTheFamilyOfTheLocalAddress) {
  v1::Tunnel tunnel = Gre();
  tunnel.set_remote("any");
  EXPECT_EQ(ConfigFromProto(tunnel)->encap.remote,
            *encap::IpAddress::Parse("0.0.0.0"));
  tunnel.set_local("2001:db8::1");
  EXPECT_EQ(ConfigFromProto(tunnel)->encap.remote,
            *encap::IpAddress::Parse("::"));
  tunnel.set_remote("any6");
  EXPECT_EQ(SpecToProto(*ConfigFromProto(tunnel)).remote(), "any");
}

TEST(ConvertTest, EveryStateHasItsNumber) {
  TunnelView view;
  view.config = *ConfigFromProto(Gre());
  const std::pair<OperState, v1::OperState> rows[] = {
      {OperState::kUp, v1::OPER_UP},
      {OperState::kDown, v1::OPER_DOWN},
      {OperState::kPaused, v1::OPER_PAUSED},
      {OperState::kDetached, v1::OPER_DETACHED},
      {OperState::kFailed, v1::OPER_FAILED},
      {OperState::kLoop, v1::OPER_LOOP},
  };
  for (const auto& [state, number] : rows) {
    view.oper_state = state;
    EXPECT_EQ(ViewToProto(view).oper_state(), number);
  }
  EXPECT_EQ(std::size(rows),
            static_cast<size_t>(v1::OperState_descriptor()->value_count()) - 1);
}

TEST(ConvertTest, IgnoresOutputOnlyFields) {
  v1::Tunnel tunnel = Gre();
  tunnel.set_ifindex(99);
  tunnel.set_etag("\"x\"");
  tunnel.set_oper_state(v1::OPER_FAILED);
  const auto config = ConfigFromProto(tunnel);
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(SpecToProto(*config).ifindex(), 0u);
}

TEST(ConvertTest, ShowsStatusBesideSpec) {
  TunnelView view;
  view.config = *ConfigFromProto(Gre());
  view.etag = "\"e\"";
  view.oper_state = OperState::kPaused;
  view.oper_reason = "paused";
  view.ifindex = 12;
  view.effective_mtu = 1476;
  view.generation = 3;
  view.create_time = absl::FromUnixNanos(1'500'000'000'250'000'000);
  view.paused = true;
  view.datapath_reason = "rate is set";
  view.kernel_steering = "cpus 0-3";
  view.next_hop = "52:54:00:12:34:56 dev eth0";
  view.next_hop_reason = "IPsec policies are in force";
  const v1::Tunnel out = ViewToProto(view);
  EXPECT_EQ(out.name(), "gre0");
  EXPECT_EQ(out.etag(), "\"e\"");
  EXPECT_EQ(out.oper_state(), v1::OPER_PAUSED);
  EXPECT_EQ(out.ifindex(), 12u);
  EXPECT_EQ(out.effective_mtu(), 1476u);
  EXPECT_EQ(out.generation(), 3u);
  EXPECT_EQ(out.create_time().seconds(), 1'500'000'000);
  EXPECT_EQ(out.create_time().nanos(), 250'000'000);
  EXPECT_EQ(out.datapath_in_use(), v1::DATAPATH_USER);
  EXPECT_EQ(out.datapath_reason(), "rate is set");
  EXPECT_EQ(out.kernel_steering(), "cpus 0-3");
  EXPECT_EQ(out.next_hop(), "52:54:00:12:34:56 dev eth0");
  EXPECT_EQ(out.next_hop_reason(), "IPsec policies are in force");
  EXPECT_TRUE(out.paused());
  EXPECT_FALSE(out.detached());
}

TEST(WireTimeTest, RoundsDurationsUpAndRefusesWhatIsNone) {
  const auto read = [](int64_t seconds, int32_t nanos, Faults& faults) {
    google::protobuf::Duration duration;
    duration.set_seconds(seconds);
    duration.set_nanos(nanos);
    return DurationFromProto("d", duration, faults);
  };
  Faults none;
  EXPECT_EQ(read(1, 500'000'000, none), std::chrono::milliseconds(1500));
  EXPECT_EQ(read(0, 1, none), std::chrono::milliseconds(1));
  EXPECT_EQ(read(0, 0, none), std::chrono::milliseconds(0));
  EXPECT_TRUE(none.empty());
  for (const auto& [seconds, nanos] :
       std::vector<std::pair<int64_t, int32_t>>{{-1, 0},
                                                {0, -1},
                                                {1, -1},
                                                {0, 1'000'000'000},
                                                {INT64_MAX, 0},
                                                {INT64_MIN, 0}}) {
    Faults faults;
    EXPECT_EQ(read(seconds, nanos, faults), std::nullopt) << seconds;
    EXPECT_FALSE(faults.empty()) << seconds;
  }
}

}  // namespace
}  // namespace tunnel::ctl
