#include "tunnel/netlink/output_rules.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "tunnel/base/status_macros.h"

namespace tunnel {
namespace {

constexpr const char* kNftablesModule = "/sys/module/nf_tables";

int Type(int message) { return NFNL_SUBSYS_NFTABLES << 8 | message; }

NetlinkMessage Request(int message, int flags) {
  return {Type(message), flags,
          nfgenmsg{.nfgen_family = NFPROTO_UNSPEC, .version = NFNETLINK_V0}};
}

template <size_t kMost>
bool Parse(const nlmsghdr* message,
           std::array<nlattr*, kMost + 1>& attributes) {
  // libnl reads only, but takes a pointer to non-const.
  return nlmsg_parse(const_cast<nlmsghdr*>(message), sizeof(nfgenmsg),
                     attributes.data(), kMost, nullptr) == 0;
}

std::optional<uint32_t> ReadU32(const nlattr* attribute) {
  if (attribute == nullptr || nla_len(attribute) != sizeof(uint32_t))
    return std::nullopt;
  return ntohl(nla_get_u32(attribute));
}

absl::string_view ReadText(const nlattr* attribute) {
  if (attribute == nullptr) return "?";
  const auto* text = static_cast<const char*>(nla_data(attribute));
  return {text, strnlen(text, static_cast<size_t>(nla_len(attribute)))};
}

// Whether a chain there gets what programs of the host send, or may let it be
// tracked.
bool Matters(uint8_t family, uint32_t hook) {
  switch (family) {
    case NFPROTO_IPV4:
    case NFPROTO_IPV6:
    case NFPROTO_INET:
      return hook < NF_INET_NUMHOOKS;  // NF_INET_INGRESS is that of a device
    case NFPROTO_BRIDGE:
      return hook == NF_INET_LOCAL_OUT || hook == NF_INET_POST_ROUTING;
    default:
      return false;
  }
}

// "chain TABLE/CHAIN of nftables" if the chain matters; else "".
std::string ChainThatMatters(const nlmsghdr* message) {
  std::array<nlattr*, NFTA_CHAIN_MAX + 1> chain{};
  if (message->nlmsg_type != Type(NFT_MSG_NEWCHAIN) ||
      !Parse<NFTA_CHAIN_MAX>(message, chain) ||
      chain[NFTA_CHAIN_HOOK] == nullptr) {
    return "";
  }
  std::array<nlattr*, NFTA_HOOK_MAX + 1> hook{};
  if (nla_parse_nested(hook.data(), NFTA_HOOK_MAX, chain[NFTA_CHAIN_HOOK],
                       nullptr) != 0) {
    return "";
  }
  const auto* header = static_cast<const nfgenmsg*>(nlmsg_data(message));
  const std::optional<uint32_t> number = ReadU32(hook[NFTA_HOOK_HOOKNUM]);
  if (!number.has_value() || !Matters(header->nfgen_family, *number)) return "";
  return absl::StrCat("chain ", ReadText(chain[NFTA_CHAIN_TABLE]), "/",
                      ReadText(chain[NFTA_CHAIN_NAME]), " of nftables");
}

// A table of the older iptables.
std::string FindIptables() {
  for (const char* name : {"ip", "ip6"}) {
    const std::string path =
        absl::StrCat("/proc/thread-self/net/", name, "_tables_names");
    errno = 0;
    std::ifstream names(path);
    if (!names.is_open() && errno == ENOENT) continue;
    if (!names.is_open()) return absl::StrCat(path, ": ", std::strerror(errno));
    std::string table;
    if (std::getline(names, table) && !table.empty())
      return absl::StrCat("table ", table, " of ", name, "tables");
  }
  return "";
}

// The directory of the process in the hierarchy of cgroup v2; invalid if there
// is none or it can not be seen from here.
UniqueFd OpenCgroup() {
  std::ifstream groups("/proc/self/cgroup");
  std::string line;
  while (std::getline(groups, line)) {
    absl::string_view path = line;
    if (!absl::ConsumePrefix(&path, "0::/")) continue;
    for (const char* root : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
      UniqueFd directory(open(absl::StrCat(root, "/", path).c_str(),
                              O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      struct statfs system {};
      if (directory.valid() && fstatfs(directory.get(), &system) == 0 &&
          system.f_type == CGROUP2_SUPER_MAGIC) {
        return directory;
      }
    }
  }
  return UniqueFd();
}

std::string FindCgroupProgram(int cgroup) {
  uint32_t programs = 0;
  if (cgroup < 0 ||
      bpf_prog_query(cgroup, BPF_CGROUP_INET_EGRESS, BPF_F_QUERY_EFFECTIVE,
                     nullptr, nullptr, &programs) == 0) {
    return programs == 0 ? "" : "a BPF program on what the cgroup sends";
  }
  // ENOSYS, EINVAL: a kernel without BPF, or without BPF for cgroups.
  if (errno == ENOSYS || errno == EINVAL) return "";
  return absl::StrCat("BPF programs of the cgroup: ", std::strerror(errno));
}

}  // namespace

absl::StatusOr<OutputRules> OutputRules::Open() {
  std::optional<NetlinkSocket> netfilter;
  const UniqueFd probe(
      socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (probe.valid() || errno != EPROTONOSUPPORT) {
    ASSIGN_OR_RETURN(netfilter, NetlinkSocket::Open(NETLINK_NETFILTER));
  }
  return OutputRules(std::move(netfilter), OpenCgroup());
}

OutputRules::OutputRules(std::optional<NetlinkSocket> netfilter,
                         UniqueFd cgroup)
    : netfilter_(std::move(netfilter)), cgroup_(std::move(cgroup)) {}

std::string OutputRules::Find() {
  std::string found = FindNftables();
  if (found.empty()) found = FindIptables();
  if (found.empty()) found = FindCgroupProgram(cgroup_.get());
  return found;
}

std::string OutputRules::FindNftables() {
  if (!netfilter_.has_value()) return "";
  // To ask would try to load the module each time.
  if (without_nftables_ && access(kNftablesModule, F_OK) != 0) return "";
  std::optional<uint32_t> generation;
  const NetlinkReply reply = netfilter_->Request(
      Request(NFT_MSG_GETGEN, 0), [&generation](const nlmsghdr* message) {
        std::array<nlattr*, NFTA_GEN_MAX + 1> attributes{};
        if (message->nlmsg_type == Type(NFT_MSG_NEWGEN) &&
            Parse<NFTA_GEN_MAX>(message, attributes)) {
          generation = ReadU32(attributes[NFTA_GEN_ID]);
        }
      });
  without_nftables_ = reply.error == EINVAL || reply.error == EOPNOTSUPP;
  if (without_nftables_) {
    generation_.reset();
    return "";
  }
  if (reply.error != 0) return absl::StrCat("nftables: ", reply.words);
  if (generation.has_value() && generation == generation_) return chain_;
  generation_ = ReadChains() ? generation : std::nullopt;
  return chain_;
}

bool OutputRules::ReadChains() {
  chain_.clear();
  const NetlinkReply reply = netfilter_->Request(
      Request(NFT_MSG_GETCHAIN, NLM_F_DUMP), [this](const nlmsghdr* message) {
        if (chain_.empty()) chain_ = ChainThatMatters(message);
      });
  if (reply.error == 0) return true;
  chain_ = absl::StrCat("nftables: ", reply.words);
  return false;
}

}  // namespace tunnel
