// Runs the golden packets of this directory; README.md has the format.

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "encap/decapsulator.h"
#include "encap/encapsulator.h"
#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Bytes;
using testing::FromHex;
using testing::OwnedPacket;
using testing::ToHex;

constexpr char kRoot[] = "tests/conformance";
using Words = std::map<std::string, std::string>;

struct Case {
  std::string direction;
  EncapConfig config;
  OutputState out;
  InputState in;
  Bytes input;
  Bytes output;
  DropReason reason = DropReason::kNone;
};

// "a=b c=d"
Words ParseWords(const std::string& line) {
  Words words;
  std::istringstream stream(line);
  for (std::string word; stream >> word;) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) throw std::runtime_error("no = " + word);
    words[word.substr(0, equals)] = word.substr(equals + 1);
  }
  return words;
}

template <typename T>
T Number(const std::string& text) {
  const unsigned long value = std::stoul(text, nullptr, 0);
  if (value > std::numeric_limits<T>::max()) throw std::out_of_range(text);
  return static_cast<T>(value);
}

template <typename T>
T Choose(const std::string& text, const std::map<std::string, T>& choices) {
  const auto found = choices.find(text);
  if (found == choices.end()) throw std::runtime_error("unknown " + text);
  return found->second;
}

// Transport and limits. False for another field.
bool SetOption(EncapConfig& config, const std::string& name,
               const std::string& value) {
  if (name == "transport") {
    config.transport = Choose<OuterTransport>(
        value, {{"ip", OuterTransport::kIp}, {"udp", OuterTransport::kUdp}});
  } else if (name == "port") {
    config.udp_port = Number<uint16_t>(value);
  } else if (name == "source_port") {
    config.udp_source_port = Number<uint16_t>(value);
  } else if (name == "udp_checksum") {
    config.udp_zero_checksum =
        Choose<bool>(value, {{"on", false}, {"off", true}});
  } else if (name == "encap_limit") {
    config.encap_limit = Number<uint8_t>(value);
  } else if (name == "allowed_ips") {
    config.allowed_sources.push_back(IpPrefix::Parse(value).value());
  } else {
    return false;
  }
  return true;
}

void SetField(EncapConfig& config, const std::string& name,
              const std::string& value) {
  if (SetOption(config, name, value)) return;
  const std::map<std::string, bool> kSwitch = {{"on", true}, {"off", false}};
  const bool inherit = value == "inherit";
  if (name == "mode") {
    config.mode = ParseMode(value).value();
  } else if (name == "local") {
    config.local = IpAddress::Parse(value).value();
  } else if (name == "remote") {
    config.remote = IpAddress::Parse(value).value();
  } else if (name == "input_key") {
    config.input_key = Number<uint32_t>(value);
  } else if (name == "output_key") {
    config.output_key = Number<uint32_t>(value);
  } else if (name == "checksum") {
    config.checksum = Choose(value, kSwitch);
  } else if (name == "sequence") {
    config.sequence = Choose(value, kSwitch);
  } else if (name == "ttl") {
    config.ttl = inherit ? std::nullopt : std::optional(Number<uint8_t>(value));
  } else if (name == "tos") {
    config.tos = inherit ? std::nullopt : std::optional(Number<uint8_t>(value));
  } else if (name == "df") {
    config.df = Choose<DfPolicy>(value, {{"on", DfPolicy::kOn},
                                         {"off", DfPolicy::kOff},
                                         {"inherit", DfPolicy::kInherit}});
  } else if (name == "ecn") {
    config.ecn = Choose<EcnMode>(
        value, {{"normal", EcnMode::kNormal}, {"compat", EcnMode::kCompat}});
  } else {
    throw std::runtime_error("unknown config " + name);
  }
}

void SetState(Case& c, const std::string& name, const std::string& value) {
  if (name == "next_sequence") {
    c.out.next_sequence = Number<uint32_t>(value);
  } else if (name == "next_ipv4_id") {
    c.out.next_ipv4_id = Number<uint16_t>(value);
  } else if (name == "last_sequence") {
    c.in = {Number<uint32_t>(value), true};
  } else {
    throw std::runtime_error("unknown state " + name);
  }
}

Case Load(const std::filesystem::path& path) {
  Case c;
  c.out.next_ipv4_id = 1;
  std::ifstream file(path);
  Bytes* section = nullptr;
  for (std::string line; std::getline(file, line);) {
    const size_t begin = line.find_first_not_of(' ');
    if (begin == std::string::npos || line[begin] == '#') continue;
    if (begin > 0) {
      if (section == nullptr) throw std::runtime_error("bytes of nothing");
      const Bytes bytes = FromHex(line);
      section->insert(section->end(), bytes.begin(), bytes.end());
      continue;
    }
    const std::string key = line.substr(0, line.find(' '));
    const std::string rest =
        key.size() < line.size() ? line.substr(key.size() + 1) : "";
    section = nullptr;
    if (key == "direction") {
      c.direction = rest;
    } else if (key == "config") {
      for (const auto& [n, v] : ParseWords(rest)) SetField(c.config, n, v);
    } else if (key == "state") {
      for (const auto& [n, v] : ParseWords(rest)) SetState(c, n, v);
    } else if (key == "input") {
      section = &c.input;
    } else if (key == "output") {
      section = &c.output;
    } else if (key == "drop") {
      c.reason = ParseDropReason(rest).value();
    } else {
      throw std::runtime_error("unknown line " + line);
    }
  }
  return c;
}

std::vector<std::string> ListCases() {
  std::vector<std::string> names;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(kRoot)) {
    if (entry.path().extension() != ".txt") continue;
    names.push_back(entry.path().lexically_relative(kRoot).string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

DropReason Receive(const Case& c, OwnedPacket& packet) {
  OuterInfo info;
  const uint16_t port = UdpPort(c.config);
  const DropReason reason =
      ParseOuter(packet->bytes(), {.udp_ports = {&port, 1}}, info);
  if (reason != DropReason::kNone) return reason;
  EXPECT_EQ(info.addresses.local, c.config.local);
  EXPECT_EQ(info.addresses.remote, c.config.remote);
  InputState state = c.in;
  return Decapsulator(c.config).Decapsulate(*packet, info, state);
}

DropReason Send(const Case& c, OwnedPacket& packet) {
  OutputState state = c.out;
  const DropReason reason = Encapsulator(c.config).Encapsulate(*packet, state);
  if (reason == DropReason::kNone && c.config.remote.is_v6()) {
    packet->data()[1] &= 0xf0;  // flow label
    packet->data()[2] = packet->data()[3] = 0;
  }
  return reason;
}

class ConformanceTest : public ::testing::TestWithParam<std::string> {};

TEST_P(ConformanceTest, BytesAreThoseOfTheGoldenPacket) {
  const Case c = Load(std::filesystem::path(kRoot) / GetParam());
  ASSERT_TRUE(Validate(c.config).empty());
  ASSERT_FALSE(c.input.empty());
  ASSERT_NE(c.output.empty(), c.reason == DropReason::kNone)
      << "a case has an output or a drop";
  ASSERT_TRUE(c.direction == "encapsulate" || c.direction == "decapsulate");
  OwnedPacket packet(c.input);
  const DropReason reason =
      c.direction == "encapsulate" ? Send(c, packet) : Receive(c, packet);
  EXPECT_EQ(DropReasonName(reason), DropReasonName(c.reason));
  const Bytes& want = c.reason == DropReason::kNone ? c.output : c.input;
  EXPECT_EQ(ToHex(packet->bytes()), ToHex(want));
}

std::string TestName(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param.substr(0, info.param.find('.'));
  std::replace_if(
      name.begin(), name.end(), [](char ch) { return !std::isalnum(ch); }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Golden, ConformanceTest,
                         ::testing::ValuesIn(ListCases()), TestName);

TEST(ConformanceCasesTest, AllDirectoriesAreRead) {
  std::map<std::string, int> per_rfc;
  for (const std::string& name : ListCases()) {
    ++per_rfc[name.substr(0, name.find('/'))];
  }
  for (const char* rfc : {"rfc2003", "rfc2473", "rfc2784", "rfc2890", "rfc4213",
                          "rfc6040", "rfc7676", "rfc8086"}) {
    EXPECT_GE(per_rfc[rfc], 4) << rfc;
  }
}

}  // namespace
}  // namespace encap
