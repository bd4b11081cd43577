#include "tunnel/netlink/ipsec.h"

#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "tunnel/base/unique_fd.h"

namespace tunnel {
namespace {

// XFRM_MSG_GETSPDINFO has the attributes wanted in its fixed part.
struct Request {
  nlmsghdr header;
  uint32_t flags;
};

using Answer = std::array<uint8_t, 512>;

// The sum of the policies that an answer of `size` bytes tells.
std::optional<bool> ReadAnswer(const Answer& answer, size_t size) {
  nlmsghdr header;
  if (size < sizeof(header)) return std::nullopt;
  std::memcpy(&header, answer.data(), sizeof(header));
  if (header.nlmsg_type != XFRM_MSG_NEWSPDINFO || header.nlmsg_len > size)
    return std::nullopt;
  size_t at = NLMSG_LENGTH(sizeof(uint32_t));
  while (at + sizeof(nlattr) <= header.nlmsg_len) {
    nlattr attribute;
    std::memcpy(&attribute, answer.data() + at, sizeof(attribute));
    xfrmu_spdinfo info;
    if (attribute.nla_len < sizeof(attribute) ||
        at + attribute.nla_len > header.nlmsg_len) {
      return std::nullopt;
    }
    if (attribute.nla_type == XFRMA_SPD_INFO &&
        attribute.nla_len >= NLA_HDRLEN + sizeof(info)) {
      std::memcpy(&info, answer.data() + at + NLA_HDRLEN, sizeof(info));
      return info.incnt + info.outcnt + info.fwdcnt != 0;
    }
    at += NLA_ALIGN(attribute.nla_len);
  }
  return std::nullopt;
}

}  // namespace

std::optional<bool> HasIpsecPolicies() {
  const UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_XFRM));
  if (!fd.valid()) {
    if (errno == EPROTONOSUPPORT) return false;
    return std::nullopt;
  }
  Request request{};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = XFRM_MSG_GETSPDINFO;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  Answer answer;
  if (send(fd.get(), &request, sizeof(request), 0) !=
      static_cast<ssize_t>(sizeof(request))) {
    return std::nullopt;
  }
  const ssize_t size =
      recv(fd.get(), answer.data(), answer.size(), MSG_DONTWAIT);
  if (size < 0) return std::nullopt;
  return ReadAnswer(answer, static_cast<size_t>(size));
}

}  // namespace tunnel
