#include "tunnel/tun/memory_tun.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/tun/virtio_net_hdr.h"

namespace tunnel {
namespace {

constexpr size_t kMaxPacket = 65536 + 256;
constexpr int kSocketBuffer = 4 << 20;  // bytes; the kernel may give less

using Header = std::array<uint8_t, kVirtioNetHdrLen>;
// Behind what was written to a device: the number of the write.
using Stamp = std::array<uint8_t, sizeof(uint64_t)>;

absl::StatusOr<std::pair<UniqueFd, UniqueFd>> QueuePair() {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                 fds) != 0) {
    return MakeError(
        Reason::kFdLimit,
        absl::StrCat("queue of a device in memory: ", std::strerror(errno)));
  }
  for (const int fd : fds) {
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSocketBuffer,
               sizeof(kSocketBuffer));
  }
  return std::make_pair(UniqueFd(fds[0]), UniqueFd(fds[1]));
}

// One message of the parts; -1 with errno.
ssize_t Transfer(ssize_t (*call)(int, const iovec*, int), int fd,
                 Header& header, std::span<uint8_t> bytes,
                 std::span<uint8_t> trailer = {}) noexcept {
  iovec parts[3] = {{header.data(), header.size()},
                    {bytes.data(), bytes.size()},
                    {trailer.data(), trailer.size()}};
  ssize_t n;
  do {
    n = call(fd, parts, 3);
  } while (n < 0 && errno == EINTR);
  return n;
}

}  // namespace

struct MemoryTunFactory::State {
  std::string name;
  uint32_t ifindex = 0;
  bool ethernet = false;
  std::vector<UniqueFd> test_ends;  // constant once the device exists
  // Under the factory's mu_.
  bool foreign = false;
  bool attached = false;  // a TunDevice stands for it
  bool persistent = false;
  std::atomic<uint64_t> writes{0};  // a number for each; orders nothing else
  Mutex mu;
  bool refuse ABSL_GUARDED_BY(mu) = false;
  bool vanished ABSL_GUARDED_BY(mu) = false;

  bool Refuses() {
    MutexLock lock(mu);
    return refuse;
  }
  bool Vanished() {
    MutexLock lock(mu);
    return vanished;
  }
};

class MemoryTunFactory::Queue : public TunQueue {
 public:
  Queue(UniqueFd fd, std::shared_ptr<State> state)
      : fd_(std::move(fd)), state_(std::move(state)) {}

  int fd() const override { return fd_.get(); }

  ReadResult ReadBatch(
      std::span<encap::PacketBuffer> packets) noexcept override {
    ReadResult result;
    while (result.packets < packets.size()) {
      encap::PacketBuffer& packet = packets[result.packets];
      Header header;
      const ssize_t n = Transfer(readv, fd_.get(), header, packet.bytes());
      ++result.calls;
      if (n < static_cast<ssize_t>(header.size())) {
        result.gone = n == 0 || state_->Vanished();
        break;
      }
      ReadVirtioNetHdr(header, packet.hint());
      packet.Trim(static_cast<size_t>(n) - header.size());
      ++result.packets;
    }
    return result;
  }

  WriteResult Write(encap::PacketBuffer& packet) noexcept override {
    if (state_->Vanished()) return WriteResult::kGone;
    if (packet.headroom() < kTunHeadroom || state_->Refuses()) {
      return WriteResult::kRefused;
    }
    Header header;
    WriteVirtioNetHdr(packet.hint(), header);
    Stamp stamp;
    const uint64_t order =
        state_->writes.fetch_add(1, std::memory_order_relaxed);
    std::memcpy(stamp.data(), &order, sizeof order);
    return Transfer(writev, fd_.get(), header, packet.bytes(), stamp) >= 0
               ? WriteResult::kOk
               : WriteResult::kRefused;
  }

 private:
  const UniqueFd fd_;
  const std::shared_ptr<State> state_;
};

class MemoryTunFactory::Device : public TunDevice {
 public:
  Device(MemoryTunFactory& factory, std::shared_ptr<State> state,
         std::vector<std::unique_ptr<Queue>> queues)
      : factory_(factory),
        state_(std::move(state)),
        queues_(std::move(queues)) {}
  ~Device() override { factory_.Closed(state_); }

  const std::string& name() const override { return state_->name; }
  uint32_t ifindex() const override { return state_->ifindex; }
  size_t queue_count() const override { return queues_.size(); }
  TunQueue& queue(size_t i) override { return *queues_[i]; }
  absl::Status SetPersistent(bool persistent) override {
    return factory_.SetPersistent(*state_, persistent);
  }

 private:
  MemoryTunFactory& factory_;
  const std::shared_ptr<State> state_;
  const std::vector<std::unique_ptr<Queue>> queues_;
};

MemoryTunFactory::MemoryTunFactory() = default;
MemoryTunFactory::~MemoryTunFactory() = default;

void MemoryTunFactory::Trap::Set(size_t n, absl::Status status) {
  failures[calls + n] = std::move(status);
}

absl::Status MemoryTunFactory::Trap::Step() {
  ++calls;
  if (auto failure = failures.extract(calls)) return failure.mapped();
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<TunDevice>> MemoryTunFactory::Open(
    const Request& request) {
  MutexLock lock(mu_);
  RETURN_IF_ERROR(opens_.Step());
  const auto there = devices_.find(request.name);
  const bool taken = there != devices_.end() && !there->second->Vanished();
  if (taken) {
    return MakeError(
        Reason::kNameInUse,
        absl::StrCat("an interface named \"", request.name, "\" exists"),
        {{"name", request.name}});
  }
  auto state = std::make_shared<State>();
  state->ifindex = next_ifindex_;
  ASSIGN_OR_RETURN(auto device, Attach(request, std::move(state)));
  ++next_ifindex_;
  ++created_;
  return device;
}

absl::StatusOr<std::unique_ptr<TunDevice>> MemoryTunFactory::Adopt(
    const Request& request, uint32_t ifindex) {
  MutexLock lock(mu_);
  RETURN_IF_ERROR(adopts_.Step());
  const std::string subject = absl::StrCat("device \"", request.name, "\": ");
  const auto it = devices_.find(request.name);
  if (it == devices_.end()) {
    return MakeError(Reason::kDeviceNotFound, absl::StrCat(subject, "none"));
  }
  const State& old = *it->second;
  if (old.foreign || old.attached || !old.persistent ||
      old.ifindex != ifindex || old.ethernet != request.ethernet) {
    return MakeError(Reason::kNameInUse,
                     absl::StrCat(subject, "is another device or in use"),
                     {{"name", request.name}});
  }
  // Queues of its own: who still holds the old ones does not meet the new.
  auto state = std::make_shared<State>();
  state->ifindex = old.ifindex;
  state->persistent = true;
  ASSIGN_OR_RETURN(auto device, Attach(request, std::move(state)));
  ++adopted_;
  return device;
}

absl::StatusOr<std::unique_ptr<TunDevice>> MemoryTunFactory::Attach(
    const Request& request, std::shared_ptr<State> state) {
  std::vector<std::unique_ptr<Queue>> queues;
  for (size_t i = 0; i < request.queues; ++i) {
    ASSIGN_OR_RETURN(auto ends, QueuePair());
    queues.push_back(std::make_unique<Queue>(std::move(ends.first), state));
    state->test_ends.push_back(std::move(ends.second));
  }
  state->name = request.name;
  state->ethernet = request.ethernet;
  state->attached = true;
  devices_[request.name] = state;
  return std::make_unique<Device>(*this, std::move(state), std::move(queues));
}

absl::Status MemoryTunFactory::SetPersistent(State& state, bool persistent) {
  MutexLock lock(mu_);
  RETURN_IF_ERROR(persists_.Step());
  if (state.Vanished()) {
    return MakeError(Reason::kNetlinkError,
                     absl::StrCat("device \"", state.name, "\": gone"));
  }
  state.persistent = persistent;
  return absl::OkStatus();
}

void MemoryTunFactory::FailOpen(size_t n, absl::Status status) {
  MutexLock lock(mu_);
  opens_.Set(n, std::move(status));
}

void MemoryTunFactory::FailAdopt(size_t n, absl::Status status) {
  MutexLock lock(mu_);
  adopts_.Set(n, std::move(status));
}

void MemoryTunFactory::FailPersist(size_t n, absl::Status status) {
  MutexLock lock(mu_);
  persists_.Set(n, std::move(status));
}

uint32_t MemoryTunFactory::AddForeign(absl::string_view name) {
  MutexLock lock(mu_);
  auto state = std::make_shared<State>();
  state->name = std::string(name);
  state->ifindex = next_ifindex_++;
  state->foreign = true;
  const uint32_t ifindex = state->ifindex;
  devices_[state->name] = std::move(state);
  return ifindex;
}

bool MemoryTunFactory::IsPersistent(absl::string_view name) const {
  MutexLock lock(mu_);
  const auto it = devices_.find(std::string(name));
  return it != devices_.end() && it->second->persistent;
}

bool MemoryTunFactory::Exists(absl::string_view name) const {
  return Find(name) != nullptr;
}

std::vector<std::string> MemoryTunFactory::names() const {
  MutexLock lock(mu_);
  std::vector<std::string> names;
  for (const auto& [name, state] : devices_) names.push_back(name);
  return names;
}

size_t MemoryTunFactory::created() const {
  MutexLock lock(mu_);
  return created_;
}

size_t MemoryTunFactory::destroyed() const {
  MutexLock lock(mu_);
  return destroyed_;
}

size_t MemoryTunFactory::adopted() const {
  MutexLock lock(mu_);
  return adopted_;
}

bool MemoryTunFactory::Inject(absl::string_view name, size_t queue,
                              std::span<const uint8_t> packet,
                              const encap::SegmentHint& hint) {
  const std::shared_ptr<State> state = Find(name);
  if (state == nullptr || queue >= state->test_ends.size()) return false;
  Header header;
  WriteVirtioNetHdr(hint, header);
  std::vector<uint8_t> bytes(packet.begin(), packet.end());
  return Transfer(writev, state->test_ends[queue].get(), header, bytes) >= 0;
}

std::optional<MemoryTunFactory::Delivered> MemoryTunFactory::Take(
    absl::string_view name, std::chrono::milliseconds timeout) {
  const std::shared_ptr<State> state = Find(name);
  if (state == nullptr) return std::nullopt;
  std::vector<pollfd> fds;
  for (const UniqueFd& fd : state->test_ends) {
    fds.push_back({fd.get(), POLLIN, 0});
  }
  if (poll(fds.data(), fds.size(), static_cast<int>(timeout.count())) <= 0) {
    return std::nullopt;
  }
  Delivered delivered;
  delivered.bytes.resize(kMaxPacket);
  for (size_t i = 0; i < fds.size(); ++i) {
    if (!(fds[i].revents & POLLIN)) continue;
    Header header;
    const ssize_t n = Transfer(readv, fds[i].fd, header, delivered.bytes);
    if (n < static_cast<ssize_t>(header.size() + sizeof(Stamp))) continue;
    ReadVirtioNetHdr(header, delivered.hint);
    delivered.queue = i;
    const size_t size = static_cast<size_t>(n) - header.size() - sizeof(Stamp);
    std::memcpy(&delivered.order, &delivered.bytes[size], sizeof(Stamp));
    delivered.bytes.resize(size);
    return delivered;
  }
  return std::nullopt;
}

void MemoryTunFactory::SetRefuse(absl::string_view name, bool refuse) {
  if (const std::shared_ptr<State> state = Find(name)) {
    MutexLock lock(state->mu);
    state->refuse = refuse;
  }
}

void MemoryTunFactory::Vanish(absl::string_view name) {
  MutexLock lock(mu_);
  const auto it = devices_.find(std::string(name));
  if (it == devices_.end()) return;
  const std::shared_ptr<State> state = it->second;
  {
    MutexLock state_lock(state->mu);
    state->vanished = true;
  }
  for (const UniqueFd& fd : state->test_ends) shutdown(fd.get(), SHUT_RDWR);
  if (state->attached) return;
  ++destroyed_;
  devices_.erase(it);
}

std::shared_ptr<MemoryTunFactory::State> MemoryTunFactory::Find(
    absl::string_view name) const {
  MutexLock lock(mu_);
  const auto it = devices_.find(std::string(name));
  return it == devices_.end() ? nullptr : it->second;
}

void MemoryTunFactory::Closed(const std::shared_ptr<State>& state) {
  MutexLock lock(mu_);
  state->attached = false;
  if (state->persistent && !state->Vanished()) return;
  ++destroyed_;
  const auto it = devices_.find(state->name);
  if (it != devices_.end() && it->second == state) devices_.erase(it);
}

}  // namespace tunnel
