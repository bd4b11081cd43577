#include "tunnel/netlink/neighbour.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

namespace tunnel {
namespace {

constexpr uint16_t kKnown = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE |
                            NUD_PROBE | NUD_STALE | NUD_DELAY;

ndmsg Header(const NeighbourKey& key) {
  ndmsg header{};
  header.ndm_family = key.address.is_v6() ? AF_INET6 : AF_INET;
  header.ndm_ifindex = static_cast<int>(key.ifindex);
  return header;
}

}  // namespace

std::optional<Neighbour> ReadNeighbour(const nlmsghdr* message) {
  // libnl reads only, but takes a pointer to non-const.
  auto* const mutable_message = const_cast<nlmsghdr*>(message);
  std::array<nlattr*, NDA_MAX + 1> attributes{};
  if (nlmsg_parse(mutable_message, sizeof(ndmsg), attributes.data(), NDA_MAX,
                  nullptr) != 0) {
    return std::nullopt;
  }
  const auto* header = static_cast<const ndmsg*>(nlmsg_data(message));
  const nlattr* const to = attributes[NDA_DST];
  Neighbour found;
  found.key.ifindex = static_cast<uint32_t>(header->ndm_ifindex);
  if (to == nullptr) return std::nullopt;
  const auto* bytes = static_cast<const uint8_t*>(nla_data(to));
  if (header->ndm_family == AF_INET && nla_len(to) == 4) {
    found.key.address = encap::IpAddress::V4(bytes);
  } else if (header->ndm_family == AF_INET6 && nla_len(to) == 16) {
    found.key.address = encap::IpAddress::V6(bytes);
  } else {
    return std::nullopt;
  }
  const nlattr* const mac = attributes[NDA_LLADDR];
  if (message->nlmsg_type != RTM_NEWNEIGH || mac == nullptr ||
      nla_len(mac) != sizeof(MacAddress) || (header->ndm_state & kKnown) == 0) {
    return found;
  }
  std::memcpy(found.mac.emplace().data(), nla_data(mac), sizeof(MacAddress));
  found.stale = (header->ndm_state & NUD_STALE) != 0;
  return found;
}

Neighbour LookUpNeighbour(NetlinkSocket& socket, const NeighbourKey& key) {
  Neighbour found{.key = key};
  NetlinkMessage request = NetlinkMessage::Question(RTM_GETNEIGH, Header(key));
  request.Put(NDA_DST, key.address.bytes());
  socket.Request(request, [&found](const nlmsghdr* answer) {
    if (answer->nlmsg_type != RTM_NEWNEIGH) return;
    const std::optional<Neighbour> read = ReadNeighbour(answer);
    if (read.has_value() && read->key == found.key) found = *read;
  });
  return found;
}

void ProbeNeighbour(NetlinkSocket& socket, const NeighbourKey& key) {
  ndmsg header = Header(key);
  header.ndm_flags = NTF_USE;
  NetlinkMessage request(RTM_NEWNEIGH, 0, header);
  request.Put(NDA_DST, key.address.bytes());
  // One that has gone meanwhile needs no probe.
  socket.Request(request);
}

}  // namespace tunnel
