#include "tunnel/netlink/output_rules.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/netlink/netns_for_test.h"

namespace tunnel {
namespace {

class OutputRulesTest : public NetnsTest {
 protected:
  void SetUp() override {
    NetnsTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    Open();
  }
  void Open() {
    auto rules = OutputRules::Open();
    ASSERT_TRUE(rules.ok()) << rules.status();
    rules_.emplace(*std::move(rules));
  }
  std::string Find() { return rules_->Find(); }
  static void Chain(const std::string& family, const std::string& hook) {
    Nft("add table " + family + " t");
    Nft("add chain " + family + " t c { type filter hook " + hook +
        " priority 0; }");
  }
  static void DeleteTable(const std::string& family) {
    Nft("delete table " + family + " t");
  }

  std::optional<OutputRules> rules_;
};

TEST_F(OutputRulesTest, NamespaceWithoutRulesHasNone) {
  EXPECT_EQ(Find(), "");
  EXPECT_EQ(Find(), "") << "asked again";
}

TEST_F(OutputRulesTest, ChainsOfNftablesCountAtTheHooksOfIp) {
  const std::vector<std::pair<std::string, std::string>> seen = {
      {"ip", "output"},    {"ip", "postrouting"}, {"ip6", "output"},
      {"inet", "output"},  {"ip", "input"},       {"ip6", "prerouting"},
      {"inet", "forward"}, {"bridge", "output"},  {"bridge", "postrouting"}};
  for (const auto& [family, hook] : seen) {
    Chain(family, hook);
    EXPECT_EQ(Find(), "chain t/c of nftables") << family << " " << hook;
    DeleteTable(family);
    EXPECT_EQ(Find(), "") << family << " " << hook;
  }
  const std::vector<std::pair<std::string, std::string>> others = {
      {"bridge", "forward"},
      {"arp", "output"},
      {"netdev", "egress device lo"},
      {"inet", "ingress device lo"}};
  for (const auto& [family, hook] : others) {
    Chain(family, hook);
    EXPECT_EQ(Find(), "") << family << " " << hook;
    DeleteTable(family);
  }
}

TEST_F(OutputRulesTest, ChainWithoutHookIsNone) {
  Nft("add table inet t");
  Nft("add chain inet t helper");
  EXPECT_EQ(Find(), "");
}

TEST_F(OutputRulesTest, OneAmongManyChainsIsFound) {
  Nft("add table inet t");
  std::ofstream script("chains.nft");
  for (int i = 0; i < 500; ++i)
    script << "add chain inet t helper" << i << "\n";
  script << "add chain inet t last { type nat hook postrouting priority 0; }\n";
  script.close();
  Shell("nft -f chains.nft && rm chains.nft");
  EXPECT_EQ(Find(), "chain t/last of nftables");
  Nft("delete chain inet t last");
  EXPECT_EQ(Find(), "");
}

// A kernel may be built without the older iptables.
bool Runs(const char* command) { return std::system(command) == 0; }

TEST_F(OutputRulesTest, TablesOfIptablesCount) {
  if (!Runs("unshare -n iptables-legacy -L OUTPUT > /dev/null"))
    GTEST_SKIP() << "the kernel has no tables of iptables";
  Shell("iptables-legacy -A OUTPUT -p 47 -j ACCEPT");
  EXPECT_EQ(Find(), "table filter of iptables");
}

TEST_F(OutputRulesTest, TablesOfIp6tablesCount) {
  if (!Runs("unshare -n ip6tables-legacy -L OUTPUT > /dev/null"))
    GTEST_SKIP() << "the kernel has no tables of ip6tables";
  Shell("ip6tables-legacy -t mangle -A POSTROUTING -j ACCEPT");
  EXPECT_EQ(Find(), "table mangle of ip6tables");
}

TEST_F(OutputRulesTest, TheNewerIptablesIsNftables) {
  Shell("iptables-nft -A OUTPUT -p 47 -j ACCEPT");
  EXPECT_EQ(Find(), "chain filter/OUTPUT of nftables");
}

TEST_F(OutputRulesTest, RulesOfAnotherNamespaceAreNone) {
  Shell("unshare -n nft add table ip t");
  EXPECT_EQ(Find(), "");
}

// "pass" for what a cgroup sends.
UniqueFd LoadPass() {
  const std::array<bpf_insn, 2> pass = {
      bpf_insn{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1},
      bpf_insn{.code = BPF_JMP | BPF_EXIT}};
  return UniqueFd(bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, "pass", "GPL",
                                pass.data(), pass.size(), nullptr));
}

// A cgroup of this process, in the one that it is in; gone, and the process
// back, with the object. The hierarchy is mounted for the calling thread alone.
class OwnCgroup {
 public:
  OwnCgroup() {
    if (unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("none", kRoot, "cgroup2", 0, nullptr) != 0) {
      ADD_FAILURE() << "cgroup2: " << std::strerror(errno);
      return;
    }
    std::ifstream groups("/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {
      if (line.rfind("0::", 0) == 0) parent_ = kRoot + line.substr(3);
    }
    path_ = parent_ + "/tunneld-test-" + std::to_string(getpid());
    EXPECT_EQ(mkdir(path_.c_str(), 0755), 0) << path_;
    Enter(path_);
  }
  OwnCgroup(const OwnCgroup&) = delete;
  OwnCgroup& operator=(const OwnCgroup&) = delete;
  ~OwnCgroup() {
    Enter(parent_);
    EXPECT_EQ(rmdir(path_.c_str()), 0) << path_;
    umount(kRoot);
  }
  UniqueFd Open() const {
    return UniqueFd(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }

 private:
  static constexpr const char* kRoot = "/sys/fs/cgroup";

  static void Enter(const std::string& group) {
    std::ofstream processes(group + "/cgroup.procs");
    processes << getpid() << std::flush;
    EXPECT_TRUE(processes.good()) << group;
  }

  std::string parent_;
  std::string path_;
};

TEST_F(OutputRulesTest, ProgramsOfTheCgroupCount) {
  const OwnCgroup group;
  Open();
  EXPECT_EQ(Find(), "");
  const UniqueFd directory = group.Open();
  const UniqueFd program = LoadPass();
  ASSERT_TRUE(program.valid());
  ASSERT_EQ(bpf_prog_attach(program.get(), directory.get(),
                            BPF_CGROUP_INET_EGRESS, 0),
            0);
  EXPECT_EQ(Find(), "a BPF program on what the cgroup sends");
  ASSERT_EQ(
      bpf_prog_detach2(program.get(), directory.get(), BPF_CGROUP_INET_EGRESS),
      0);
  EXPECT_EQ(Find(), "");
}

}  // namespace
}  // namespace tunnel
