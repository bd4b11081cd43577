#include "tunnel/netlink/tun_link.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <array>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"
#include "tunnel/base/status_macros.h"

namespace tunnel {
namespace {

using LinkInfoAttributes = std::array<nlattr*, IFLA_INFO_MAX + 1>;
using TunAttributes = std::array<nlattr*, IFLA_TUN_MAX + 1>;

uint32_t ValueOf(const nlattr* attribute) {
  if (attribute == nullptr) return 0;
  return nla_len(attribute) == 1 ? nla_get_u8(attribute)
                                 : nla_get_u32(attribute);
}

void ReadTunAttributes(nlattr* data, TunLink& link) {
  TunAttributes tun{};
  if (nla_parse_nested(tun.data(), IFLA_TUN_MAX, data, nullptr) != 0) return;
  link.ethernet = ValueOf(tun[IFLA_TUN_TYPE]) == IFF_TAP;
  link.packet_information = ValueOf(tun[IFLA_TUN_PI]) != 0;
  link.vnet_header = ValueOf(tun[IFLA_TUN_VNET_HDR]) != 0;
  link.multi_queue = ValueOf(tun[IFLA_TUN_MULTI_QUEUE]) != 0;
  link.persistent = ValueOf(tun[IFLA_TUN_PERSIST]) != 0;
  link.queues = ValueOf(tun[IFLA_TUN_NUM_QUEUES]) +
                ValueOf(tun[IFLA_TUN_NUM_DISABLED_QUEUES]);
}

TunLink ReadTunLink(const nlmsghdr* message) {
  TunLink link;
  link.ifindex = static_cast<uint32_t>(
      static_cast<const ifinfomsg*>(nlmsg_data(message))->ifi_index);
  nlattr* info = nlmsg_find_attr(const_cast<nlmsghdr*>(message),
                                 sizeof(ifinfomsg), IFLA_LINKINFO);
  LinkInfoAttributes attributes{};
  if (info == nullptr ||
      nla_parse_nested(attributes.data(), IFLA_INFO_MAX, info, nullptr) != 0) {
    return link;
  }
  if (const nlattr* kind = attributes[IFLA_INFO_KIND]) {
    link.kind = nla_get_string(kind);
  }
  if (link.kind == "tun" && attributes[IFLA_INFO_DATA] != nullptr) {
    ReadTunAttributes(attributes[IFLA_INFO_DATA], link);
  }
  return link;
}

}  // namespace

absl::StatusOr<TunLink> GetTunLink(NetlinkSocket& socket,
                                   absl::string_view name) {
  const std::string subject = absl::StrCat("device \"", name, "\"");
  if (name.empty() || name.size() >= IFNAMSIZ) {
    return MakeError(Reason::kDeviceNotFound,
                     absl::StrCat(subject, ": not the name of a device"));
  }
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  NetlinkMessage message = NetlinkMessage::Question(RTM_GETLINK, header);
  message.PutU32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  message.PutString(IFLA_IFNAME, name);
  TunLink link;
  const NetlinkReply reply =
      socket.Request(message, [&link](const nlmsghdr* answer) {
        if (answer->nlmsg_type == RTM_NEWLINK) link = ReadTunLink(answer);
      });
  RETURN_IF_ERROR(NetlinkStatus(reply, subject));
  return link;
}

}  // namespace tunnel
