#include "tunnel/netlink/link.h"

#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/netlink/address.h"

namespace tunnel {
namespace {

template <int kMax>
using Attributes = std::array<nlattr*, kMax + 1>;

// The attributes behind the fixed part of `header_len` bytes. All null when the
// message is malformed.
template <int kMax>
Attributes<kMax> Parse(const nlmsghdr* message, size_t header_len) {
  Attributes<kMax> attributes{};
  // libnl reads only, but takes a pointer to non-const.
  if (nlmsg_parse(const_cast<nlmsghdr*>(message), static_cast<int>(header_len),
                  attributes.data(), kMax, nullptr) != 0) {
    attributes.fill(nullptr);
  }
  return attributes;
}

uint8_t Family(const encap::IpAddress& address) {
  return address.is_v6() ? AF_INET6 : AF_INET;
}

std::string Interface(uint32_t ifindex) {
  return absl::StrCat("interface ", ifindex);
}

absl::Status ChangeLink(NetlinkSocket& socket, const NetlinkMessage& message,
                        uint32_t ifindex, absl::string_view what) {
  return NetlinkStatus(socket.Request(message),
                       absl::StrCat(Interface(ifindex), ": ", what));
}

ifinfomsg LinkHeader(uint32_t ifindex) {
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = static_cast<int>(ifindex);
  return header;
}

// A TUN or TAP device.
bool IsTun(const nlattr* link_info) {
  Attributes<IFLA_INFO_MAX> values{};
  return link_info != nullptr &&
         nla_parse_nested(values.data(), IFLA_INFO_MAX,
                          const_cast<nlattr*>(link_info), nullptr) == 0 &&
         values[IFLA_INFO_KIND] != nullptr &&
         absl::string_view(nla_get_string(values[IFLA_INFO_KIND])) == "tun";
}

LinkInfo ReadLink(const nlmsghdr* message) {
  const auto* header = static_cast<const ifinfomsg*>(nlmsg_data(message));
  const auto attributes = Parse<IFLA_MAX>(message, sizeof(ifinfomsg));
  LinkInfo info;
  info.ifindex = static_cast<uint32_t>(header->ifi_index);
  info.up = header->ifi_flags & IFF_UP;
  info.ethernet =
      header->ifi_type == ARPHRD_ETHER && !IsTun(attributes[IFLA_LINKINFO]);
  if (const nlattr* a = attributes[IFLA_IFNAME]) info.name = nla_get_string(a);
  if (const nlattr* a = attributes[IFLA_MTU]) info.mtu = nla_get_u32(a);
  if (const nlattr* a = attributes[IFLA_TXQLEN]) {
    info.tx_queue_len = nla_get_u32(a);
  }
  return info;
}

// Most of what is known of a link is counters that nobody here reads.
NetlinkMessage LinkQuestion(uint32_t ifindex) {
  NetlinkMessage message =
      NetlinkMessage::Question(RTM_GETLINK, LinkHeader(ifindex));
  message.PutU32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  return message;
}

absl::StatusOr<LinkInfo> RequestLink(NetlinkSocket& socket,
                                     const NetlinkMessage& message,
                                     absl::string_view subject) {
  LinkInfo info;
  const NetlinkReply reply =
      socket.Request(message, [&info](const nlmsghdr* answer) {
        if (answer->nlmsg_type == RTM_NEWLINK) info = ReadLink(answer);
      });
  RETURN_IF_ERROR(NetlinkStatus(reply, subject));
  return info;
}

// MTU of the route; 0 when it has none of its own.
uint32_t RouteMtu(const nlattr* metrics) {
  if (metrics == nullptr) return 0;
  Attributes<RTAX_MAX> values{};
  if (nla_parse_nested(values.data(), RTAX_MAX, const_cast<nlattr*>(metrics),
                       nullptr) != 0 ||
      values[RTAX_MTU] == nullptr) {
    return 0;
  }
  return nla_get_u32(values[RTAX_MTU]);
}

encap::IpAddress ReadIp(int family, const void* bytes, int size) {
  const auto* from = static_cast<const uint8_t*>(bytes);
  if (family == AF_INET && size == 4) return encap::IpAddress::V4(from);
  if (family == AF_INET6 && size == 16) return encap::IpAddress::V6(from);
  return {};
}

// The next hop; one of the other IP version has an attribute of its own.
encap::IpAddress Gateway(const rtmsg& header, const nlattr* gateway,
                         const nlattr* via) {
  if (gateway != nullptr)
    return ReadIp(header.rtm_family, nla_data(gateway), nla_len(gateway));
  constexpr int kFamilyLen = sizeof(rtvia::rtvia_family);
  if (via == nullptr || nla_len(via) < kFamilyLen) return {};
  const auto* data = static_cast<const uint8_t*>(nla_data(via));
  decltype(rtvia::rtvia_family) family;
  std::memcpy(&family, data, sizeof(family));
  return ReadIp(family, data + kFamilyLen, nla_len(via) - kFamilyLen);
}

bool MeansNoRoute(int error) {
  switch (error) {
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EADDRNOTAVAIL:
    case EACCES:  // a "prohibit" route
    case EINVAL:  // a "blackhole" route, or `local` is none of this host
    case ENODEV:  // the interface has gone
    case ENETDOWN:
      return true;
    default:
      return false;
  }
}

// True when the kernel tells what it knows at the moment of the path, e.g. an
// MTU that an ICMP error reported to somebody, and not what the route says.
bool IsTemporary(const nlattr* cache_info) {
  if (cache_info == nullptr ||
      static_cast<size_t>(nla_len(cache_info)) < sizeof(rta_cacheinfo)) {
    return false;
  }
  rta_cacheinfo info;
  std::memcpy(&info, nla_data(cache_info), sizeof(info));
  return info.rta_expires != 0;
}

// With `entry` the answer is the entry of the routing table as it was set.
NetlinkMessage RouteRequest(const encap::IpAddress& remote,
                            const encap::IpAddress& local, uint32_t ifindex,
                            uint32_t mark, bool entry) {
  rtmsg header{};
  if (entry) header.rtm_flags = RTM_F_FIB_MATCH;
  header.rtm_family = Family(remote);
  header.rtm_dst_len = static_cast<uint8_t>(8 * remote.bytes().size());
  // With an IPv6 source address the kernel takes the interface as a wish only.
  const bool from = local.family() == remote.family() &&
                    !local.IsUnspecified() && !(remote.is_v6() && ifindex != 0);
  if (from) header.rtm_src_len = header.rtm_dst_len;
  NetlinkMessage message = NetlinkMessage::Question(RTM_GETROUTE, header);
  message.Put(RTA_DST, remote.bytes());
  if (from) message.Put(RTA_SRC, local.bytes());
  if (ifindex != 0) message.PutU32(RTA_OIF, ifindex);
  if (mark != 0) message.PutU32(RTA_MARK, mark);
  return message;
}

}  // namespace

absl::Status SetLinkUp(NetlinkSocket& socket, uint32_t ifindex, bool up) {
  ifinfomsg header = LinkHeader(ifindex);
  header.ifi_change = IFF_UP;
  header.ifi_flags = up ? IFF_UP : 0;
  return ChangeLink(socket, NetlinkMessage(RTM_NEWLINK, 0, header), ifindex,
                    up ? "set up" : "set down");
}

absl::Status SetLinkMtu(NetlinkSocket& socket, uint32_t ifindex,
                        uint32_t mtu_bytes) {
  NetlinkMessage message(RTM_NEWLINK, 0, LinkHeader(ifindex));
  message.PutU32(IFLA_MTU, mtu_bytes);
  return ChangeLink(socket, message, ifindex,
                    absl::StrCat("set MTU ", mtu_bytes));
}

absl::Status SetLinkTxQueueLen(NetlinkSocket& socket, uint32_t ifindex,
                               uint32_t packets) {
  NetlinkMessage message(RTM_NEWLINK, 0, LinkHeader(ifindex));
  message.PutU32(IFLA_TXQLEN, packets);
  return ChangeLink(socket, message, ifindex,
                    absl::StrCat("set txqueuelen ", packets));
}

absl::StatusOr<LinkInfo> GetLink(NetlinkSocket& socket, uint32_t ifindex) {
  return RequestLink(socket, LinkQuestion(ifindex), Interface(ifindex));
}

absl::StatusOr<LinkInfo> GetLink(NetlinkSocket& socket,
                                 absl::string_view name) {
  const std::string subject = absl::StrCat("interface \"", name, "\"");
  if (name.empty() || name.size() >= IFNAMSIZ) {
    return MakeError(Reason::kDeviceNotFound,
                     absl::StrCat(subject, ": no such device"));
  }
  NetlinkMessage message = LinkQuestion(0);
  message.PutString(IFLA_IFNAME, name);
  return RequestLink(socket, message, subject);
}

absl::StatusOr<uint64_t> GetLinkTransmitDrops(NetlinkSocket& socket,
                                              uint32_t ifindex) {
  if_stats_msg header{};
  header.ifindex = ifindex;
  header.filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64);
  rtnl_link_stats64 stats{};
  const NetlinkReply reply =
      socket.Request(NetlinkMessage::Question(RTM_GETSTATS, header),
                     [&stats](const nlmsghdr* answer) {
                       if (answer->nlmsg_type != RTM_NEWSTATS) return;
                       const auto attributes =
                           Parse<IFLA_STATS_MAX>(answer, sizeof(if_stats_msg));
                       if (const nlattr* a = attributes[IFLA_STATS_LINK_64]) {
                         nla_memcpy(&stats, a, sizeof(stats));
                       }
                     });
  RETURN_IF_ERROR(NetlinkStatus(
      reply, absl::StrCat(Interface(ifindex), ": read counters")));
  return stats.tx_dropped;
}

std::optional<encap::IpPrefix> RouteDestination(const nlmsghdr* message) {
  const auto* header = static_cast<const rtmsg*>(nlmsg_data(message));
  if (header->rtm_family != AF_INET && header->rtm_family != AF_INET6)
    return std::nullopt;
  static constexpr std::array<uint8_t, 16> kZero{};
  const bool v6 = header->rtm_family == AF_INET6;
  encap::IpAddress address =
      ReadIp(header->rtm_family, kZero.data(), v6 ? 16 : 4);
  if (const nlattr* value = nlmsg_find_attr(const_cast<nlmsghdr*>(message),
                                            sizeof(rtmsg), RTA_DST)) {
    address = ReadIp(header->rtm_family, nla_data(value), nla_len(value));
    if (address.family() == encap::IpFamily::kNone) return std::nullopt;
  }
  return encap::IpPrefix{address, header->rtm_dst_len};
}

absl::StatusOr<RouteInfo> LookUpRoute(NetlinkSocket& socket,
                                      const encap::IpAddress& remote,
                                      const encap::IpAddress& local,
                                      uint32_t ifindex, uint32_t mark) {
  RouteInfo route;
  bool temporary = false;
  const NetlinkReply reply = socket.Request(
      RouteRequest(remote, local, ifindex, mark, /*entry=*/false),
      [&](const nlmsghdr* answer) {
        if (answer->nlmsg_type != RTM_NEWROUTE) return;
        const auto attributes = Parse<RTA_MAX>(answer, sizeof(rtmsg));
        if (const nlattr* a = attributes[RTA_OIF]) {
          route.ifindex = nla_get_u32(a);
        }
        const auto* header = static_cast<const rtmsg*>(nlmsg_data(answer));
        route.special = header->rtm_type != RTN_UNICAST ||
                        attributes[RTA_ENCAP_TYPE] != nullptr;
        route.gateway =
            Gateway(*header, attributes[RTA_GATEWAY], attributes[RTA_VIA]);
        route.mtu = RouteMtu(attributes[RTA_METRICS]);
        temporary = IsTemporary(attributes[RTA_CACHEINFO]);
      });
  const std::string subject = absl::StrCat("route to ", remote.ToString());
  if (MeansNoRoute(reply.error) || (reply.error == 0 && route.ifindex == 0)) {
    return absl::NotFoundError(absl::StrCat(subject, ": ", reply.words));
  }
  RETURN_IF_ERROR(NetlinkStatus(reply, subject));
  ASSIGN_OR_RETURN(const LinkInfo link, GetLink(socket, route.ifindex));
  route.device = link.name;
  route.ethernet = link.ethernet;
  if (temporary) {
    route.mtu = 0;
    socket.Request(RouteRequest(remote, local, ifindex, mark, /*entry=*/true),
                   [&](const nlmsghdr* answer) {
                     if (answer->nlmsg_type != RTM_NEWROUTE) return;
                     const auto attributes =
                         Parse<RTA_MAX>(answer, sizeof(rtmsg));
                     route.mtu = RouteMtu(attributes[RTA_METRICS]);
                   });
  }
  if (route.mtu == 0) route.mtu = link.mtu;
  return route;
}

absl::StatusOr<LinkSettings> InspectLink(NetlinkSocket& socket,
                                         uint32_t ifindex) {
  ASSIGN_OR_RETURN(const LinkInfo link, GetLink(socket, ifindex));
  LinkSettings settings;
  settings.up = link.up;
  settings.mtu = link.mtu;
  settings.txqueuelen = link.tx_queue_len;
  ASSIGN_OR_RETURN(settings.addresses, AddressesOf(socket, ifindex));
  return settings;
}

}  // namespace tunnel
