#include "tunnel/netlink/address.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tunnel/base/status_macros.h"

namespace tunnel {
namespace {

// IFAPROT_KERNEL_LL, which not every <linux/if_addr.h> has.
constexpr uint8_t kLinkLocalOfKernel = 3;

using Attributes = std::array<nlattr*, IFA_MAX + 1>;

// All null when the message is malformed.
Attributes Parse(const nlmsghdr* message) {
  Attributes attributes{};
  // libnl reads only, but takes a pointer to non-const.
  if (nlmsg_parse(const_cast<nlmsghdr*>(message), sizeof(ifaddrmsg),
                  attributes.data(), IFA_MAX, nullptr) != 0) {
    attributes.fill(nullptr);
  }
  return attributes;
}

NetlinkMessage AddressRequest(int type, int flags, uint32_t ifindex,
                              const encap::IpPrefix& address) {
  ifaddrmsg header{};
  header.ifa_family = address.address.is_v6() ? AF_INET6 : AF_INET;
  header.ifa_prefixlen = address.length;
  header.ifa_index = ifindex;
  NetlinkMessage message(type, flags, header);
  message.Put(IFA_LOCAL, address.address.bytes());
  message.Put(IFA_ADDRESS, address.address.bytes());
  return message;
}

// What usually lies behind the errno when an address is refused.
std::string AddressHelp(const NetlinkReply& reply, bool v6) {
  if (v6 && reply.error == EACCES) {
    return "; IPv6 is disabled on it (sysctl net.ipv6.conf.NAME.disable_ipv6)";
  }
  if (v6 && (reply.error == EINVAL || reply.error == ENOBUFS)) {
    return "; IPv6 needs an MTU of at least 1280";
  }
  if (v6 && (reply.error == EOPNOTSUPP || reply.error == EAFNOSUPPORT)) {
    return "; the kernel has no IPv6";
  }
  return "";
}

// All addresses, or those of one interface (ifindex not 0) where the kernel can
// tell them apart. Asks again while they change.
absl::StatusOr<std::vector<AddressMessage>> Dump(NetlinkSocket& socket,
                                                 uint32_t ifindex) {
  constexpr int kAttempts = 10;
  ifaddrmsg header{};
  header.ifa_index = ifindex;
  NetlinkReply reply;
  for (int i = 0; i < kAttempts; ++i) {
    std::vector<AddressMessage> messages;
    reply = socket.Request(NetlinkMessage(RTM_GETADDR, NLM_F_DUMP, header),
                           [&messages](const nlmsghdr* answer) {
                             auto message = ReadAddressMessage(answer);
                             if (message) messages.push_back(*message);
                           });
    if (reply.error == 0) return messages;
    if (reply.error != EAGAIN) break;
  }
  return NetlinkStatus(reply, "addresses of the host");
}

}  // namespace

absl::Status AddLinkAddress(NetlinkSocket& socket, uint32_t ifindex,
                            const encap::IpPrefix& address) {
  const bool v6 = address.address.is_v6();
  NetlinkMessage message =
      AddressRequest(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex, address);
  if (v6) message.PutU32(IFA_FLAGS, IFA_F_NODAD);
  message.Put(IFA_PROTO, {&kAddressProtocol, 1});
  NetlinkReply reply = socket.Request(message);
  if (reply.error == EEXIST) return absl::OkStatus();
  reply.words += AddressHelp(reply, v6);
  return NetlinkStatus(reply,
                       absl::StrCat("interface ", ifindex, ": add address ",
                                    address.ToString()));
}

absl::Status DeleteLinkAddress(NetlinkSocket& socket, uint32_t ifindex,
                               const encap::IpPrefix& address) {
  const NetlinkReply reply =
      socket.Request(AddressRequest(RTM_DELADDR, 0, ifindex, address));
  if (reply.error == EADDRNOTAVAIL) return absl::OkStatus();
  return NetlinkStatus(reply,
                       absl::StrCat("interface ", ifindex, ": delete address ",
                                    address.ToString()));
}

absl::StatusOr<std::vector<LocalAddress>> DumpAddresses(NetlinkSocket& socket) {
  ASSIGN_OR_RETURN(const std::vector<AddressMessage> messages, Dump(socket, 0));
  std::vector<LocalAddress> addresses;
  for (const AddressMessage& message : messages)
    addresses.push_back(message.address);
  return addresses;
}

absl::StatusOr<std::vector<LinkSettings::Address>> AddressesOf(
    NetlinkSocket& socket, uint32_t ifindex) {
  ASSIGN_OR_RETURN(const std::vector<AddressMessage> messages,
                   Dump(socket, ifindex));
  std::vector<LinkSettings::Address> addresses;
  for (const AddressMessage& message : messages) {
    if (message.address.ifindex != ifindex ||
        message.protocol == kLinkLocalOfKernel) {
      continue;
    }
    addresses.push_back({.prefix = message.address.prefix,
                         .ours = message.protocol == kAddressProtocol});
  }
  return addresses;
}

std::optional<AddressMessage> ReadAddressMessage(const nlmsghdr* message) {
  if (message->nlmsg_type != RTM_NEWADDR &&
      message->nlmsg_type != RTM_DELADDR) {
    return std::nullopt;
  }
  const auto* header = static_cast<const ifaddrmsg*>(nlmsg_data(message));
  const auto attributes = Parse(message);
  // On a point-to-point link IFA_ADDRESS is the other end.
  const nlattr* value =
      attributes[IFA_LOCAL] ? attributes[IFA_LOCAL] : attributes[IFA_ADDRESS];
  if (value == nullptr) return std::nullopt;
  const auto* bytes = static_cast<const uint8_t*>(nla_data(value));
  AddressMessage result;
  result.address.ifindex = header->ifa_index;
  result.address.prefix.length = header->ifa_prefixlen;
  if (header->ifa_family == AF_INET && nla_len(value) == 4) {
    result.address.prefix.address = encap::IpAddress::V4(bytes);
  } else if (header->ifa_family == AF_INET6 && nla_len(value) == 16) {
    result.address.prefix.address = encap::IpAddress::V6(bytes);
  } else {
    return std::nullopt;
  }
  if (const nlattr* a = attributes[IFA_PROTO]) result.protocol = nla_get_u8(a);
  const uint32_t flags = attributes[IFA_FLAGS]
                             ? nla_get_u32(attributes[IFA_FLAGS])
                             : header->ifa_flags;
  const bool waits =
      (flags & IFA_F_TENTATIVE) != 0 && (flags & IFA_F_OPTIMISTIC) == 0;
  LocalAddress& found = result.address;
  found.usable = message->nlmsg_type == RTM_NEWADDR && !waits &&
                 (flags & IFA_F_DADFAILED) == 0;
  found.global =
      header->ifa_scope < RT_SCOPE_LINK && !found.prefix.address.IsLinkLocal();
  found.deprecated = (flags & IFA_F_DEPRECATED) != 0;
  found.secondary = (flags & IFA_F_SECONDARY) != 0;  // IFA_F_TEMPORARY too
  return result;
}

}  // namespace tunnel
