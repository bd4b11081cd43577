#include "tunnel/netlink/netlink_socket.h"

#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"

namespace tunnel {
namespace {

// For one read: the kernel puts 32 KiB of a dump into one at most.
constexpr size_t kMessageBuffer = size_t{64} << 10;  // bytes
constexpr int kMostReads = 4096;                     // in one Drain()

struct CallbackFree {
  void operator()(nl_cb* cb) const { nl_cb_put(cb); }
};

struct Answer {
  const std::function<void(const nlmsghdr*)>* on_message = nullptr;
  uint32_t sequence = 0;
  bool acknowledged = true;  // an ACK or the end of a dump follows
  NetlinkReply reply;
  bool done = false;
};

// The text of an extended ACK; "" without one.
std::string ExtendedAckText(const nlmsgerr* error) {
  const nlmsghdr* header = reinterpret_cast<const nlmsghdr*>(error) - 1;
  if (!(header->nlmsg_flags & NLM_F_ACK_TLVS)) return "";
  size_t skip = sizeof(nlmsgerr);
  if (!(header->nlmsg_flags & NLM_F_CAPPED)) {
    skip += NLMSG_ALIGN(error->msg.nlmsg_len - sizeof(nlmsghdr));
  }
  const size_t payload = header->nlmsg_len - NLMSG_HDRLEN;
  if (payload <= skip) return "";
  const auto* first = reinterpret_cast<const nlattr*>(
      reinterpret_cast<const char*>(error) + skip);
  const nlattr* text =
      nla_find(first, static_cast<int>(payload - skip), NLMSGERR_ATTR_MSG);
  if (text == nullptr) return "";
  const char* words = static_cast<const char*>(nla_data(text));
  return std::string(words, strnlen(words, static_cast<size_t>(nla_len(text))));
}

int OnMessage(nl_msg* message, void* argument) {
  auto& exchange = *static_cast<Answer*>(argument);
  if (exchange.on_message != nullptr && *exchange.on_message) {
    (*exchange.on_message)(nlmsg_hdr(message));
  }
  if (!exchange.acknowledged) exchange.done = true;
  return NL_OK;
}

// libnl looks at the numbers only where it asks for each ACK itself.
int CheckSequence(nl_msg* message, void* argument) {
  const auto& exchange = *static_cast<const Answer*>(argument);
  return nlmsg_hdr(message)->nlmsg_seq == exchange.sequence ? NL_OK
                                                            : -NLE_SEQ_MISMATCH;
}

int OnDone(nl_msg*, void* argument) {
  static_cast<Answer*>(argument)->done = true;
  return NL_STOP;
}

int OnError(sockaddr_nl*, nlmsgerr* error, void* argument) {
  auto& exchange = *static_cast<Answer*>(argument);
  exchange.reply.error = -error->error;
  exchange.reply.words = ExtendedAckText(error);
  exchange.done = true;
  return NL_STOP;
}

absl::Status OpenError(int libnl_error) {
  const Reason reason = errno == EMFILE || errno == ENFILE
                            ? Reason::kFdLimit
                            : Reason::kNetlinkError;
  return MakeError(reason,
                   absl::StrCat("netlink socket: ", nl_geterror(libnl_error)));
}

// A request is answered at once; this bounds the wait should an answer get
// lost.
void BoundWait(int fd) {
  const timeval limit{.tv_sec = 5, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

}  // namespace

void NetlinkMessage::Free::operator()(nl_msg* message) const {
  nlmsg_free(message);
}

NetlinkMessage::NetlinkMessage(int type, int flags, const void* header,
                               size_t size)
    : message_(nlmsg_alloc_simple(type, flags | NLM_F_REQUEST | NLM_F_ACK)) {
  if (message_ == nullptr ||
      nlmsg_append(message_.get(), const_cast<void*>(header), size,
                   NLMSG_ALIGNTO) != 0) {
    throw std::bad_alloc();
  }
}

void NetlinkMessage::ExpectOneAnswer() {
  nlmsg_hdr(message_.get())->nlmsg_flags &= static_cast<uint16_t>(~NLM_F_ACK);
}

void NetlinkMessage::Put(int attribute, std::span<const uint8_t> value) {
  if (nla_put(message_.get(), attribute, static_cast<int>(value.size()),
              value.data()) != 0) {
    throw std::bad_alloc();
  }
}

void NetlinkMessage::PutU32(int attribute, uint32_t value) {
  if (nla_put_u32(message_.get(), attribute, value) != 0) {
    throw std::bad_alloc();
  }
}

void NetlinkMessage::PutString(int attribute, absl::string_view value) {
  if (nla_put_string(message_.get(), attribute, std::string(value).c_str()) !=
      0) {
    throw std::bad_alloc();
  }
}

void NetlinkSocket::Free::operator()(nl_sock* socket) const {
  nl_socket_free(socket);
}

absl::StatusOr<NetlinkSocket> NetlinkSocket::Open(int protocol) {
  nl_sock* raw = nl_socket_alloc();
  if (raw == nullptr) throw std::bad_alloc();
  NetlinkSocket socket(raw, protocol);
  errno = 0;
  if (const int error = nl_connect(raw, protocol); error != 0) {
    return OpenError(error);
  }
  // One recvmsg() for each read in place of two.
  nl_socket_disable_msg_peek(raw);
  nl_socket_set_msg_buf_size(raw, kMessageBuffer);
  nl_socket_disable_auto_ack(raw);  // a message says itself what it expects
  const int one = 1;
  setsockopt(socket.fd(), SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
  // Lets a dump be limited to one interface (Linux 4.20).
  setsockopt(socket.fd(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one,
             sizeof(one));
  BoundWait(socket.fd());
  return socket;
}

absl::StatusOr<NetlinkSocket> NetlinkSocket::Subscribe(
    std::span<const int> groups, int receive_buffer) {
  absl::StatusOr<NetlinkSocket> socket = Open();
  if (!socket.ok()) return socket;
  nl_sock* raw = socket->socket_.get();
  if (setsockopt(socket->fd(), SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer,
                 sizeof(receive_buffer)) != 0) {
    setsockopt(socket->fd(), SOL_SOCKET, SO_RCVBUF, &receive_buffer,
               sizeof(receive_buffer));
  }
  for (const int group : groups) {
    if (const int error = nl_socket_add_membership(raw, group); error != 0) {
      return OpenError(error);
    }
  }
  if (const int error = nl_socket_set_nonblocking(raw); error != 0) {
    return OpenError(error);
  }
  return socket;
}

int NetlinkSocket::fd() const { return nl_socket_get_fd(socket_.get()); }

bool NetlinkSocket::Drain(
    const std::function<void(const nlmsghdr*)>& on_message) {
  drained_.resize(kMessageBuffer);
  bool complete = true;
  for (int reads = 0; reads < kMostReads; ++reads) {
    const ssize_t n =
        recv(fd(), drained_.data(), drained_.size(), MSG_TRUNC | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == ENOBUFS) {
      complete = false;
      continue;
    }
    if (n <= 0) return complete;
    if (static_cast<size_t>(n) > drained_.size()) {
      complete = false;
      continue;
    }
    int left = static_cast<int>(n);
    for (auto* message = reinterpret_cast<nlmsghdr*>(drained_.data());
         nlmsg_ok(message, left); message = nlmsg_next(message, &left)) {
      on_message(message);
    }
  }
  return complete;
}

NetlinkReply NetlinkSocket::Request(
    const NetlinkMessage& message,
    const std::function<void(const nlmsghdr*)>& on_message) {
  std::string why;
  if (const auto reply = Exchange(message, on_message, why)) return *reply;
  // What still comes would be taken for the answer to a later request.
  absl::StatusOr<NetlinkSocket> fresh = Open(protocol_);
  if (!fresh.ok()) return {EIO, absl::StrCat(why, "; no new socket")};
  *this = *std::move(fresh);
  // The number of the request before would not be that of the new answer.
  nlmsg_hdr(message.get())->nlmsg_seq = NL_AUTO_SEQ;
  nlmsg_hdr(message.get())->nlmsg_pid = NL_AUTO_PORT;
  if (const auto reply = Exchange(message, on_message, why)) return *reply;
  return {EIO, why};
}

std::optional<NetlinkReply> NetlinkSocket::Exchange(
    const NetlinkMessage& message,
    const std::function<void(const nlmsghdr*)>& on_message, std::string& why) {
  Answer answer;
  answer.on_message = &on_message;
  answer.acknowledged =
      nlmsg_hdr(message.get())->nlmsg_flags & (NLM_F_ACK | NLM_F_DUMP);
  const std::unique_ptr<nl_cb, CallbackFree> callbacks(
      nl_cb_alloc(NL_CB_DEFAULT));
  if (callbacks == nullptr) throw std::bad_alloc();
  nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, OnMessage, &answer);
  nl_cb_set(callbacks.get(), NL_CB_ACK, NL_CB_CUSTOM, OnDone, &answer);
  nl_cb_set(callbacks.get(), NL_CB_FINISH, NL_CB_CUSTOM, OnDone, &answer);
  nl_cb_set(callbacks.get(), NL_CB_SEQ_CHECK, NL_CB_CUSTOM, CheckSequence,
            &answer);
  nl_cb_err(callbacks.get(), NL_CB_CUSTOM, OnError, &answer);

  int error = nl_send_auto(socket_.get(), message.get());
  answer.sequence = nlmsg_hdr(message.get())->nlmsg_seq;
  while (error >= 0 && !answer.done) {
    error = nl_recvmsgs(socket_.get(), callbacks.get());
  }
  NetlinkReply& reply = answer.reply;
  if (error == -NLE_DUMP_INTR) {
    reply = {EAGAIN, nl_geterror(error)};
  } else if (!answer.done) {
    why = nl_geterror(error);
    return std::nullopt;
  }
  if (reply.error == 0) {
    reply.words.clear();
  } else if (reply.words.empty()) {
    reply.words = std::strerror(reply.error);
  }
  return reply;
}

absl::Status NetlinkStatus(const NetlinkReply& reply,
                           absl::string_view subject) {
  const std::string message = absl::StrCat(subject, ": ", reply.words);
  switch (reply.error) {
    case 0:
      return absl::OkStatus();
    case ENODEV:
      return MakeError(Reason::kDeviceNotFound, message);
    case EPERM:
      return MakeError(Reason::kMissingCapability,
                       absl::StrCat(subject, ": needs CAP_NET_ADMIN"),
                       {{"capability", "CAP_NET_ADMIN"}});
    default:
      return MakeError(Reason::kNetlinkError, message,
                       {{"errno", absl::StrCat(reply.error)}});
  }
}

}  // namespace tunnel
