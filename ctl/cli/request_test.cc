#include "ctl/cli/request.h"

#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

namespace tunnel::ctl::cli {
namespace {

Invocation ParseLine(const std::string& line) {
  Invocation invocation;
  CallError error;
  const std::vector<std::string> args = absl::StrSplit(line, ' ');
  EXPECT_TRUE(Parse(args, &invocation, &error)) << line << error.message;
  return invocation;
}

// "" when `got` is `wanted`, else the difference.
template <typename Message>
std::string Difference(const Message& got, const std::string& wanted) {
  Message expected;
  if (!google::protobuf::TextFormat::ParseFromString(wanted, &expected)) {
    return "bad text proto: " + wanted;
  }
  google::protobuf::util::MessageDifferencer differencer;
  std::string report;
  differencer.ReportDifferencesToString(&report);
  return differencer.Compare(expected, got) ? "" : report + "in " + wanted;
}

// Each word of `set`: the field that it fills and the mask that it makes.
TEST(UpdateRequest, HasExactlyTheFieldsThatAreNamed) {
  const struct {
    const char* words;
    const char* tunnel;
    const char* mask;
  } cases[] = {
      {"mode gif", "mode: GIF", "mode"},
      {"local 192.0.2.1", "local: '192.0.2.1'", "local"},
      {"remote 192.0.2.2", "remote: '192.0.2.2'", "remote"},
      {"key 42", "key: 42", "key"},
      {"key 0", "key: 0", "key"},
      {"key 0xffffffff", "key: 4294967295", "key"},
      {"key 0.0.1.0", "key: 256", "key"},
      {"ikey 1", "input_key: 1", "input_key"},
      {"okey 2", "output_key: 2", "output_key"},
      {"nokey", "", "key"},
      {"noikey", "", "input_key"},
      {"nookey", "", "output_key"},
      {"csum", "checksum: true", "checksum"},
      {"nocsum", "", "checksum"},
      {"seq", "sequence: true", "sequence"},
      {"noseq", "", "sequence"},
      {"ttl 1", "ttl: 1", "ttl"},
      {"ttl 255", "ttl: 255", "ttl"},
      {"ttl inherit", "ttl_inherit: true", "ttl_inherit"},
      {"tos 0", "tos: 0", "tos"},
      {"tos 0xfc", "tos: 252", "tos"},
      {"tos inherit", "", "tos"},
      {"df on", "df: DF_ON", "df"},
      {"df off", "df: DF_OFF", "df"},
      {"df inherit", "df: DF_INHERIT", "df"},
      {"ecn normal", "ecn: ECN_NORMAL", "ecn"},
      {"ecn compat", "ecn: ECN_COMPAT", "ecn"},
      {"mtu 1400", "mtu: 1400", "mtu"},
      {"mtu auto", "", "mtu"},
      {"dev eth0", "underlay_device: 'eth0'", "underlay_device"},
      {"nodev", "", "underlay_device"},
      {"fwmark 0x10", "fwmark: 16", "fwmark"},
      {"fwmark 0", "fwmark: 0", "fwmark"},
      {"address 10.9.0.1/30", "addresses: '10.9.0.1/30'", "addresses"},
      {"noaddress", "", "addresses"},
      {"queues 2", "queues: 2", "queues"},
      {"txqueuelen 1000", "txqueuelen: 1000", "txqueuelen"},
      {"remote any", "remote: 'any'", "remote"},
      {"encaplimit 0", "encap_limit: 0", "encap_limit"},
      {"encaplimit none", "", "encap_limit"},
      {"transport udp", "transport: TRANSPORT_UDP", "transport"},
      {"transport ip", "transport: TRANSPORT_IP", "transport"},
      {"port 4754", "udp_port: 4754", "udp_port"},
      {"source-port 7", "udp_source_port: 7", "udp_source_port"},
      {"source-port auto", "", "udp_source_port"},
      {"noudpcsum", "udp_zero_checksum: true", "udp_zero_checksum"},
      {"udpcsum", "", "udp_zero_checksum"},
      {"fragment outer", "fragment: FRAGMENT_OUTER", "fragment"},
      {"fragment none", "fragment: FRAGMENT_NONE", "fragment"},
      {"steering on", "steering: STEERING_ON", "steering"},
      {"steering off", "steering: STEERING_OFF", "steering"},
      {"allowed-ips 10.9.0.0/16", "allowed_ips: '10.9.0.0/16'", "allowed_ips"},
      {"noallowed-ips", "", "allowed_ips"},
      {"mss-clamp 1400", "mss_clamp: 1400", "mss_clamp"},
      {"mss-clamp auto", "mss_clamp: 0", "mss_clamp"},
      {"mss-clamp off", "", "mss_clamp"},
      {"rate 10mbit", "rate: 10000000", "rate"},
      {"rate 40gbit", "rate: 40000000000", "rate"},
      {"rate none", "", "rate"},
      {"burst 64kb", "burst: 65536", "burst"},
      {"burst auto", "", "burst"},
      {"datapath user", "datapath: DATAPATH_USER", "datapath"},
      {"datapath bpf", "datapath: DATAPATH_BPF", "datapath"},
      {"datapath auto", "datapath: DATAPATH_AUTO", "datapath"},
      {"label a=b", "labels { key: 'a' value: 'b' }", "labels.a"},
      {"nolabel a", "", "labels.a"},
      {"up", "admin_state: ADMIN_UP", "admin_state"},
      {"down", "admin_state: ADMIN_DOWN", "admin_state"},
  };
  std::set<std::string> covered;
  for (const auto& row : cases) {
    const Invocation invocation =
        ParseLine(absl::StrCat("set gre0 ", row.words));
    covered.insert(std::string(invocation.settings.front().word->name));
    EXPECT_EQ(
        Difference(UpdateRequest(invocation),
                   absl::StrCat("tunnel { name: 'gre0' ", row.tunnel,
                                " } update_mask { paths: '", row.mask, "' }")),
        "")
        << row.words;
  }
  for (const WordInfo& word : Words()) {
    if (Takes(Command(Verb::kSet), word) &&
        absl::StartsWith(word.field, "tunnel.")) {
      EXPECT_TRUE(covered.contains(std::string(word.name)))
          << "no case for " << word.name;
    }
  }
}

TEST(UpdateRequest, SeveralWordsMakeOneMask) {
  EXPECT_EQ(
      Difference(
          UpdateRequest(ParseLine(
              "set t address 10.0.0.1/30 nokey ikey 7 address fd00::1/64 "
              "label a=1 nolabel b --dry-run --if-match E lock-timeout 2s")),
          R"pb(tunnel {
                 name: "t"
                 input_key: 7
                 addresses: "10.0.0.1/30"
                 addresses: "fd00::1/64"
                 labels { key: "a" value: "1" }
               }
               update_mask {
                 paths: "addresses"
                 paths: "key"
                 paths: "input_key"
                 paths: "labels.a"
                 paths: "labels.b"
               }
               options {
                 validate_only: true
                 if_match: "E"
                 lock_timeout { seconds: 2 }
               })pb"),
      "");
}

TEST(UpdateRequest, OptionsAloneMakeNoMask) {
  EXPECT_EQ(
      UpdateRequest(ParseLine("set t --dry-run")).update_mask().paths_size(),
      0);
}

TEST(CreateRequest, HoldsTheWholeTunnel) {
  EXPECT_EQ(
      Difference(CreateRequest(ParseLine(
                     "create t mode gretap local fd00::1 remote fd00::2 ikey 1 "
                     "okey 2 csum seq ttl inherit tos 4 df inherit ecn compat "
                     "mtu 1400 dev eth0 fwmark 5 address 10.0.0.1/30 queues 2 "
                     "txqueuelen 9 label a=b label c= down")),
                 R"pb(tunnel {
                        name: "t"
                        mode: GRETAP
                        local: "fd00::1"
                        remote: "fd00::2"
                        input_key: 1
                        output_key: 2
                        checksum: true
                        sequence: true
                        ttl_inherit: true
                        tos: 4
                        df: DF_INHERIT
                        ecn: ECN_COMPAT
                        mtu: 1400
                        underlay_device: "eth0"
                        fwmark: 5
                        addresses: "10.0.0.1/30"
                        queues: 2
                        txqueuelen: 9
                        labels { key: "a" value: "b" }
                        labels { key: "c" value: "" }
                        admin_state: ADMIN_DOWN
                      })pb"),
      "");
}

TEST(CreateRequest, MtuAutoIsAbsent) {
  const v1::CreateTunnelRequest request =
      CreateRequest(ParseLine("create t mtu auto tos inherit"));
  EXPECT_FALSE(request.tunnel().has_mtu());
  EXPECT_FALSE(request.tunnel().has_tos());
}

TEST(FillRequest, OptionsOfTheOtherVerbs) {
  v1::PauseTunnelRequest pause;
  FillRequest(ParseLine("pause t max 1500ms dry-run"), &pause);
  EXPECT_EQ(Difference(pause, R"pb(
              max_duration { seconds: 1 nanos: 500000000 }
              options { validate_only: true })pb"),
            "");
  v1::DeleteTunnelRequest remove;
  FillRequest(ParseLine("delete t --if-exists --if-match E"), &remove);
  EXPECT_EQ(Difference(remove, R"pb(allow_missing: true
                                    options { if_match: "E" })pb"),
            "");
}

TEST(AdminStateRequest, MasksTheStateAlone) {
  EXPECT_EQ(Difference(AdminStateRequest(ParseLine("down t"), v1::ADMIN_DOWN),
                       R"pb(tunnel { name: "t" admin_state: ADMIN_DOWN }
                            update_mask { paths: "admin_state" })pb"),
            "");
}

}  // namespace
}  // namespace tunnel::ctl::cli
