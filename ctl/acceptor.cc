#include "ctl/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tunnel/base/log.h"
#include "tunnel/base/status_macros.h"

namespace tunnel::ctl {
namespace {

constexpr uint64_t kListenerId = 0;
constexpr uint64_t kStopId = 1;
constexpr std::chrono::milliseconds kPause{50};  // when descriptors are short
constexpr std::chrono::seconds kLogInterval{1};
constexpr absl::string_view kTooMany = "tunneld: too many connections\n";

absl::Status SystemError(absl::string_view what) {
  return absl::FailedPreconditionError(
      absl::StrCat(what, ": ", strerror(errno)));
}

UniqueFd OpenReserve() { return UniqueFd(open("/dev/null", O_CLOEXEC)); }

}  // namespace

Acceptor::Acceptor(const ListenSocket& listener, const Options& options,
                   PeerDirectory& peers, Handler handler)
    : listener_(listener),
      options_(options),
      peers_(peers),
      handler_(std::move(handler)) {}

absl::StatusOr<std::unique_ptr<Acceptor>> Acceptor::Start(
    const ListenSocket& listener, const Options& options, PeerDirectory& peers,
    Handler handler) {
  std::unique_ptr<Acceptor> acceptor(
      new Acceptor(listener, options, peers, std::move(handler)));
  RETURN_IF_ERROR(acceptor->Prepare());
  acceptor->thread_ = std::thread([a = acceptor.get()] { a->Loop(); });
  return acceptor;
}

absl::Status Acceptor::Prepare() {
  reserve_ = OpenReserve();
  stop_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!reserve_ || !stop_ || !epoll_) return SystemError("acceptor");
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kListenerId}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener_.fd(), &event) != 0) {
    return SystemError("acceptor: epoll");
  }
  event.data.u64 = kStopId;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, stop_.get(), &event) != 0) {
    return SystemError("acceptor: epoll");
  }
  return absl::OkStatus();
}

Acceptor::~Acceptor() {
  if (!thread_.joinable()) return;
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

void Acceptor::Loop() {
  while (true) {
    std::array<epoll_event, 64> events;
    const int n = epoll_wait(epoll_.get(), events.data(), events.size(), -1);
    bool newcomer = false;
    for (int i = 0; i < n; ++i) {
      const uint64_t id = events[i].data.u64;
      if (id == kStopId) return;
      if (id == kListenerId) {
        newcomer = true;
      } else {
        Forget(id);
      }
    }
    // After those that have ended, so that they make room.
    if (newcomer && !AcceptOne()) std::this_thread::sleep_for(kPause);
  }
}

bool Acceptor::AcceptOne() {
  UniqueFd fd(
      accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (fd) {
    Consider(std::move(fd));
    return true;
  }
  if (errno == EMFILE || errno == ENFILE) return SpendReserve();
  // The newcomer has gone again, or a short shortage (ENOBUFS, ENOMEM).
  return errno == EAGAIN || errno == ECONNABORTED || errno == EINTR;
}

bool Acceptor::SpendReserve() {
  LogRefused("no file descriptor is left", nullptr);
  reserve_.reset();
  {
    const UniqueFd turned_away(
        accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  reserve_ = OpenReserve();
  return false;
}

void Acceptor::Consider(UniqueFd fd) {
  const absl::StatusOr<PeerCredentials> peer = ReadPeerCredentials(fd.get());
  if (!peer.ok()) {
    LogRefused("its credentials can not be read", nullptr);
    return;
  }
  const Access access = JudgeAccess(options_.policy, *peer);
  if (access == Access::kNone) {
    LogRefused("this user is in no group that may connect", &*peer);
    return;
  }
  if (!HasRoom(peer->uid)) {
    // For people: a client of gRPC sees a broken connection in any case.
    (void)!send(fd.get(), kTooMany.data(), kTooMany.size(),
                MSG_NOSIGNAL | MSG_DONTWAIT);
    LogRefused("too many connections", &*peer);
    return;
  }
  Register(std::move(fd), *peer, access);
}

bool Acceptor::HasRoom(uint32_t uid) const {
  if (uid == 0 || uid == options_.policy.own_uid) {
    return connections_.size() < options_.max_connections;
  }
  const size_t for_others =
      options_.max_connections - options_.max_connections / 8;
  const auto own = per_uid_.find(uid);
  const size_t count = own == per_uid_.end() ? 0 : own->second;
  return connections_.size() < for_others &&
         count < options_.max_connections_per_uid;
}

void Acceptor::Register(UniqueFd fd, const PeerCredentials& peer,
                        Access access) {
  UniqueFd watch(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  const uint64_t id = next_id_++;
  epoll_event event{.events = EPOLLRDHUP, .data = {.u64 = id}};
  if (!watch ||
      epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, watch.get(), &event) != 0) {
    LogRefused("no file descriptor is left", &peer);
    return;
  }
  connections_[id] = {std::move(watch), fd.get(), peer.uid};
  ++per_uid_[peer.uid];
  peers_.Add(fd.get(), {peer.uid, peer.pid});
  handler_(fd.release(), access);
}

void Acceptor::Forget(uint64_t id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  const Connection ended = std::move(found->second);
  connections_.erase(found);
  if (--per_uid_[ended.uid] == 0) per_uid_.erase(ended.uid);
  // The original may still be open, and then closing does not end the watch.
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, ended.watch.get(), nullptr);
  // The number may belong to a later connection by now.
  const bool in_use =
      std::any_of(connections_.begin(), connections_.end(),
                  [&](const auto& item) { return item.second.fd == ended.fd; });
  if (!in_use) peers_.Remove(ended.fd);
}

void Acceptor::LogRefused(const char* why, const PeerCredentials* peer) {
  const auto now = std::chrono::steady_clock::now();
  if (now - last_log_ < kLogInterval) {
    ++unlogged_;
    return;
  }
  last_log_ = now;
  std::vector<LogField> fields = {{"cause", why}};
  if (peer != nullptr) {
    fields.push_back({"uid", absl::StrCat(peer->uid)});
    fields.push_back({"pid", absl::StrCat(peer->pid)});
  }
  fields.push_back({"open", absl::StrCat(connections_.size())});
  fields.push_back({"not_logged_before", absl::StrCat(unlogged_)});
  LogWarning("connection refused", fields);
  unlogged_ = 0;
}

}  // namespace tunnel::ctl
