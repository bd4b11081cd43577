// NetlinkSocket, NetlinkMessage: a netlink socket and a request on it, over
// libnl, whose types stay out of this header.

#ifndef TUNNEL_NETLINK_NETLINK_SOCKET_H_
#define TUNNEL_NETLINK_NETLINK_SOCKET_H_

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct nl_sock;
struct nl_msg;
struct nlmsghdr;

namespace tunnel {

// A request under construction. Running out of memory ends the program.
class NetlinkMessage {
 public:
  // `type` is RTM_*, `flags` NLM_F_*; NLM_F_REQUEST and NLM_F_ACK are added.
  // `header` is the fixed part (ifinfomsg, ifaddrmsg, rtmsg, nfgenmsg).
  template <typename Header>
  NetlinkMessage(int type, int flags, const Header& header)
      : NetlinkMessage(type, flags, &header, sizeof(header)) {}

  // A question that the kernel answers with one message or an error, so that
  // nothing is to be acknowledged: an RTM_GET* that is no dump.
  template <typename Header>
  static NetlinkMessage Question(int type, const Header& header) {
    NetlinkMessage message(type, 0, header);
    message.ExpectOneAnswer();
    return message;
  }

  void Put(int attribute, std::span<const uint8_t> value);
  void PutU32(int attribute, uint32_t value);
  void PutString(int attribute, absl::string_view value);

  nl_msg* get() const { return message_.get(); }

 private:
  struct Free {
    void operator()(nl_msg* message) const;
  };
  NetlinkMessage(int type, int flags, const void* header, size_t size);
  void ExpectOneAnswer();

  std::unique_ptr<nl_msg, Free> message_;
};

// What the kernel said to a request.
struct NetlinkReply {
  int error = 0;      // errno; 0: done
  std::string words;  // of the kernel (extended ACK) or of strerror; empty if 0
};

// Not thread-safe. Belongs to the network namespace of the thread that opened
// it.
class NetlinkSocket {
 public:
  // `protocol` is NETLINK_*. Errors: FD_LIMIT, NETLINK_ERROR.
  static absl::StatusOr<NetlinkSocket> Open(int protocol = NETLINK_ROUTE);

  // For a watcher: gets the messages of `groups` (RTNLGRP_*), does not block,
  // and has a receive buffer of `receive_buffer` bytes where allowed.
  static absl::StatusOr<NetlinkSocket> Subscribe(std::span<const int> groups,
                                                 int receive_buffer);

  NetlinkSocket(NetlinkSocket&&) = default;
  NetlinkSocket& operator=(NetlinkSocket&&) = default;

  int fd() const;

  // For a watcher: gives out the messages that wait, up to a limit, so that a
  // storm of them can not hold up what they are for. False when messages have
  // been lost (ENOBUFS).
  bool Drain(const std::function<void(const nlmsghdr*)>& on_message);

  // Sends, and waits for the answer; `on_message` sees each message of it. A
  // dump during which something changed is EAGAIN: ask again. When no answer
  // comes, or one to another request (messages were lost), the socket is opened
  // anew, by the calling thread, and the request sent once more; `on_message`
  // may then see the begin of an answer twice. EIO when that fails too.
  NetlinkReply Request(
      const NetlinkMessage& message,
      const std::function<void(const nlmsghdr*)>& on_message = nullptr);

 private:
  struct Free {
    void operator()(nl_sock* socket) const;
  };
  NetlinkSocket(nl_sock* socket, int protocol)
      : socket_(socket), protocol_(protocol) {}

  // One attempt; nullopt: the answer is lost, and `why` says how.
  std::optional<NetlinkReply> Exchange(
      const NetlinkMessage& message,
      const std::function<void(const nlmsghdr*)>& on_message, std::string& why);

  std::unique_ptr<nl_sock, Free> socket_;
  int protocol_;
  std::vector<uint8_t> drained_;  // room for messages; of a watcher
};

// The status for a reply: OK; DEVICE_NOT_FOUND for ENODEV, MISSING_CAPABILITY
// for EPERM, else NETLINK_ERROR. `subject` is what was asked ("gre0: set MTU").
absl::Status NetlinkStatus(const NetlinkReply& reply,
                           absl::string_view subject);

}  // namespace tunnel

#endif  // TUNNEL_NETLINK_NETLINK_SOCKET_H_
