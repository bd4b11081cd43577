#include "ctl/daemon_flags.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tunnel::ctl {
namespace {

absl::StatusOr<DaemonFlags> Parse(const std::vector<const char*>& args) {
  return ParseDaemonFlags(args);
}

TEST(DaemonFlagsTest, DefaultsAreThoseOfTheHelp) {
  const auto flags = Parse({});
  ASSERT_TRUE(flags.ok());
  EXPECT_EQ(flags->socket_path, "/run/tunneld/tunneld.sock");
  EXPECT_EQ(flags->state_dir, "/var/lib/tunneld");
  EXPECT_EQ(flags->config, "/etc/tunneld/tunneld.toml");
  EXPECT_FALSE(flags->config_given);
  EXPECT_EQ(flags->workers, 0);
  EXPECT_EQ(flags->datapath, DatapathMode::kAuto);
  EXPECT_TRUE(flags->tun_offload);
  EXPECT_EQ(flags->link_sending, LinkSending::kWithoutRules);
  EXPECT_EQ(flags->busy_poll, std::chrono::nanoseconds(0));
  EXPECT_EQ(flags->dispatch, Dispatch::kHybrid);
  EXPECT_EQ(flags->admin_group, "tunnel");
  EXPECT_FALSE(flags->admin_group_given);
  const std::string help = DaemonHelp();
  for (const char* text :
       {"[unix:/run/tunneld/tunneld.sock]", "[/var/lib/tunneld]", "[4096]",
        "[/etc/tunneld/tunneld.toml, if it exists]", "[tunnel]", "[tunnel-ro]",
        "[64]", "[16]", "[text]", "[0]", "[auto]", "[hybrid]"}) {
    EXPECT_NE(help.find(text), std::string::npos) << text;
  }
}

TEST(DaemonFlagsTest, TakesBothForms) {
  const auto flags =
      Parse({"--listen=unix:/a/b", "--state-dir", "/s", "--workers=3",
             "--max_tunnels", "7", "--log_format=json",
             "--admin_group=", "--read-only-group=staff", "--max_connections=9",
             "--max_connections_per_uid=2", "--tun-offload=off",
             "--busy_poll=50us", "--send_socket=packet", "--datapath=user"});
  ASSERT_TRUE(flags.ok()) << flags.status();
  EXPECT_EQ(flags->socket_path, "/a/b");
  EXPECT_EQ(flags->state_dir, "/s");
  EXPECT_EQ(flags->workers, 3);
  EXPECT_EQ(flags->max_tunnels, 7u);
  EXPECT_EQ(flags->log_format, LogFormat::kJson);
  EXPECT_EQ(flags->admin_group, "");
  EXPECT_TRUE(flags->admin_group_given);
  EXPECT_EQ(flags->read_only_group, "staff");
  EXPECT_EQ(flags->max_connections, 9u);
  EXPECT_FALSE(flags->tun_offload);
  EXPECT_EQ(flags->datapath, DatapathMode::kUser);
  EXPECT_EQ(Parse({"--datapath=bpf"})->datapath, DatapathMode::kBpf);
  EXPECT_EQ(flags->busy_poll, std::chrono::microseconds(50));
  EXPECT_EQ(flags->max_connections_per_uid, 2u);
  EXPECT_EQ(Parse({"--listen=unix:///run/x"})->socket_path, "/run/x");
  EXPECT_EQ(Parse({"--state_dir="})->state_dir, "");
  EXPECT_EQ(Parse({"--config=/c.toml"})->config, "/c.toml");
  EXPECT_TRUE(Parse({"--config="})->config_given);
  EXPECT_EQ(flags->link_sending, LinkSending::kAlways);
  EXPECT_EQ(Parse({"--send_socket=auto"})->link_sending,
            LinkSending::kWithoutRules);
  EXPECT_EQ(Parse({"--send_socket=raw"})->link_sending, LinkSending::kNever);
  EXPECT_EQ(Parse({"--dispatch=direct"})->dispatch, Dispatch::kDirect);
  EXPECT_EQ(Parse({"--dispatch", "deferred"})->dispatch, Dispatch::kDeferred);
  EXPECT_EQ(Parse({"--dispatch=hybrid"})->dispatch, Dispatch::kHybrid);
  EXPECT_EQ(Parse({"--handoff_packets=0"})->handoff_packets, 0);
  EXPECT_EQ(Parse({"--handoff_packets=16384"})->handoff_packets, 16384);
  EXPECT_TRUE(Parse({"--help"})->help);
  EXPECT_TRUE(Parse({"--version"})->version);
}

TEST(DaemonFlagsTest, RefusesWhatItDoesNotUnderstandAndNamesIt) {
  const std::vector<std::pair<std::vector<const char*>, std::string>> cases = {
      {{"start"}, "\"start\""},
      {{"-h"}, "\"-h\""},
      {{"--"}, "\"--\""},
      {{"--colour=red"}, "--colour"},
      {{"--workers"}, "--workers"},
      {{"--workers=x"}, "--workers"},
      {{"--workers=-1"}, "--workers"},
      {{"--workers=1025"}, "--workers"},
      {{"--max_tunnels=0"}, "--max_tunnels"},
      {{"--listen=tcp:1.2.3.4:5"}, "--listen"},
      {{"--listen=unix:relative"}, "--listen"},
      {{"--listen=unix:"}, "--listen"},
      {{"--state_dir"}, "--state_dir"},
      {{"--log_format=xml"}, "--log_format"},
      {{"--tun_offload=yes"}, "--tun_offload"},
      {{"--send_socket=udp"}, "--send_socket"},
      {{"--datapath=kernel"}, "--datapath"},
      {{"--busy_poll=50"}, "--busy_poll"},
      {{"--busy_poll=2s"}, "--busy_poll"},
      {{"--busy_poll=-1us"}, "--busy_poll"},
      {{"--dispatch=on"}, "--dispatch"},
      {{"--handoff_packets=15"}, "--handoff_packets"},
      {{"--handoff_packets=16385"}, "--handoff_packets"},
      {{"--help=yes"}, "--help"},
      {{"--version=1"}, "--version"},
  };
  for (const auto& [args, named] : cases) {
    const auto flags = Parse(args);
    ASSERT_FALSE(flags.ok()) << args[0];
    EXPECT_EQ(flags.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(std::string(flags.status().message()).find(named),
              std::string::npos)
        << flags.status();
  }
}

TEST(DaemonFlagsTest, MetricsAddressIsOneIpv4AddressAndPort) {
  const auto flags = Parse({"--metrics_listen=127.0.0.1:9469"});
  ASSERT_TRUE(flags.ok()) << flags.status();
  ASSERT_TRUE(flags->metrics_listen.has_value());
  EXPECT_EQ(flags->metrics_listen->host, "127.0.0.1");
  EXPECT_EQ(flags->metrics_listen->port, 9469);
  EXPECT_FALSE(Parse({})->metrics_listen.has_value());
  for (const char* text :
       {"", "9469", ":9469", "localhost:9469", "127.0.0.1",
        "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:80s",
        "127.0.0.1:80,81", "[::1]:9469", "1.2.3:80", "127.0.0.1:-1"}) {
    EXPECT_FALSE(Parse({"--metrics_listen", text}).ok()) << text;
  }
}

}  // namespace
}  // namespace tunnel::ctl
