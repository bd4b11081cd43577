#include "tunnel/underlay/error_receiver.h"

#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "encap/outer_parse.h"
#include "encap/wire/icmp.h"
#include "encap/wire/ipv4.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/underlay/socket_options.h"
#include "tunnel/underlay/tunnel_filter.h"

namespace tunnel {
namespace {

constexpr size_t kBatch = 16;
// An error quotes as much as fits into 576 or 1280 bytes (RFC 1812 4.3.2.3, RFC
// 4443 2.4); of a longer one the rest is not needed.
constexpr size_t kSlotLen = 2048;
constexpr int kReceiveBuffer = 256 << 10;  // bytes: a few hundred errors

absl::Status TakeErrorsOnlyV4(int fd) {
  icmp_filter filter{};
  filter.data = ~(1U << ICMP_DEST_UNREACH | 1U << ICMP_TIME_EXCEEDED |
                  1U << ICMP_PARAMETERPROB);
  if (setsockopt(fd, SOL_RAW, ICMP_FILTER, &filter, sizeof(filter)) == 0) {
    return absl::OkStatus();
  }
  return SocketError(errno, "ICMP_FILTER");
}

absl::Status TakeErrorsOnlyV6(int fd) {
  icmp6_filter filter;
  for (uint32_t& word : filter.data) word = 0xffffffff;  // take none
  for (const int type : {ICMPV6_DEST_UNREACH, ICMPV6_PKT_TOOBIG,
                         ICMPV6_TIME_EXCEED, ICMPV6_PARAMPROB}) {
    filter.data[type / 32] &= ~(1U << (type % 32));
  }
  if (setsockopt(fd, IPPROTO_ICMPV6, ICMPV6_FILTER, &filter, sizeof(filter)) ==
      0) {
    return absl::OkStatus();
  }
  return SocketError(errno, "ICMPV6_FILTER");
}

}  // namespace

struct ErrorReceiver::Buffers {
  std::array<std::array<uint8_t, kSlotLen>, kBatch> slots;
  std::array<iovec, kBatch> parts{};
  std::array<mmsghdr, kBatch> messages{};
  std::array<IncomingError, kBatch> errors{};

  Buffers() {
    for (size_t i = 0; i < kBatch; ++i) {
      parts[i] = {slots[i].data(), slots[i].size()};
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
  }
};

absl::StatusOr<std::unique_ptr<ErrorReceiver>> ErrorReceiver::Open(
    encap::IpFamily family) {
  const bool v4 = family == encap::IpFamily::kV4;
  ASSIGN_OR_RETURN(UniqueFd fd, OpenSocket(v4 ? AF_INET : AF_INET6, SOCK_RAW,
                                           v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6,
                                           "raw ICMP socket for errors"));
  RETURN_IF_ERROR(AttachFilter(fd.get(), v4 ? ErrorFilterV4() : ErrorFilterV6(),
                               "ICMP filter"));
  RETURN_IF_ERROR(v4 ? TakeErrorsOnlyV4(fd.get()) : TakeErrorsOnlyV6(fd.get()));
  GrowBuffer(fd.get(), SO_RCVBUFFORCE, SO_RCVBUF, kReceiveBuffer);
  return std::unique_ptr<ErrorReceiver>(
      new ErrorReceiver(std::move(fd), family));
}

ErrorReceiver::ErrorReceiver(UniqueFd fd, encap::IpFamily family)
    : fd_(std::move(fd)),
      family_(family),
      buffers_(std::make_unique<Buffers>()) {}

ErrorReceiver::~ErrorReceiver() = default;

std::span<const IncomingError> ErrorReceiver::ReceiveBatch() noexcept {
  const int n = recvmmsg(fd_.get(), buffers_->messages.data(), kBatch,
                         MSG_DONTWAIT, nullptr);
  if (n <= 0) return {};
  size_t accepted = 0;
  for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
    std::span<const uint8_t> bytes(buffers_->slots[i].data(),
                                   buffers_->messages[i].msg_len);
    if (family_ == encap::IpFamily::kV4) {
      // The socket gives the IP header too, and has not summed the ICMP part.
      if (bytes.size() < encap::ConstIpv4Header::kMinLen) continue;
      const size_t header = encap::ConstIpv4Header(bytes.data()).header_len();
      if (bytes.size() < header + encap::ConstIcmpHeader::kLen) continue;
      bytes = bytes.subspan(header);
    }
    buffers_->errors[accepted++] = {family_, bytes};
  }
  return std::span<const IncomingError>(buffers_->errors).first(accepted);
}

}  // namespace tunnel
