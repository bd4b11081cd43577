#include "tunnel/netlink/netns_for_test.h"

#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

namespace tunnel {
namespace {

std::vector<std::string> Words(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

}  // namespace

void NetnsTest::SetUp() {
  if (unshare(CLONE_NEWNET) != 0) {
    const std::string reason =
        std::string("unshare(CLONE_NEWNET): ") + std::strerror(errno);
    const char* ci = std::getenv("CI");
    if (ci != nullptr && std::string(ci) == "true") FAIL() << reason;
    GTEST_SKIP() << reason;
  }
  Ip("link set lo up");
}

void NetnsTest::Ip(const std::string& arguments) { Shell("ip " + arguments); }

void NetnsTest::Nft(const std::string& commands) {
  Shell("nft '" + commands + "'");
}

void NetnsTest::Shell(const std::string& command) {
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
}

uint32_t NetnsTest::IfIndex(const std::string& device) {
  const uint32_t ifindex = if_nametoindex(device.c_str());
  EXPECT_NE(ifindex, 0U) << device;
  return ifindex;
}

void NetnsTest::MakeVeth(const std::string& one, const std::string& other) {
  Ip("link add " + one + " type veth peer name " + other);
  Ip("link set " + one + " up");
  Ip("link set " + other + " up");
}

std::string NetnsTest::MacOf(const std::string& device) {
  const std::string command =
      "ip -o link show " + device + " | sed 's/.*ether \\([^ ]*\\).*/\\1/'";
  FILE* pipe = popen(command.c_str(), "r");
  char line[64] = "";
  if (pipe == nullptr || fgets(line, sizeof(line), pipe) == nullptr) {
    ADD_FAILURE() << command;
  }
  if (pipe != nullptr) pclose(pipe);
  return std::string(line, 17);
}

uint64_t NetnsTest::Snmp(const std::string& group, const std::string& name) {
  std::ifstream file("/proc/thread-self/net/snmp");
  std::string names, values;
  while (std::getline(file, names) && std::getline(file, values)) {
    if (names.rfind(group + ":", 0) != 0) continue;
    const std::vector<std::string> keys = Words(names);
    for (size_t i = 1; i < keys.size(); ++i) {
      if (keys[i] == name) return std::stoull(Words(values).at(i));
    }
  }
  ADD_FAILURE() << "no counter " << group << " " << name;
  return 0;
}

uint64_t NetnsTest::Snmp6(const std::string& name) {
  std::ifstream file("/proc/thread-self/net/snmp6");
  uint64_t value;
  for (std::string key; file >> key >> value;) {
    if (key == name) return value;
  }
  ADD_FAILURE() << "no counter " << name;
  return 0;
}

}  // namespace tunnel
