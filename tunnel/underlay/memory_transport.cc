#include "tunnel/underlay/memory_transport.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "encap/flow_hash.h"
#include "encap/outer_parse.h"
#include "tunnel/base/error.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/sync/mutex.h"

namespace tunnel {
namespace {

constexpr size_t kBatch = 32;
constexpr size_t kErrorBatch = 16;
constexpr size_t kMaxPacket = 65536;  // bytes
constexpr size_t kSlotLen = encap::kMaxEncapHeadroom + kMaxPacket;
constexpr uint16_t kEthernet = 0x6558;

struct Waiting {
  std::vector<uint8_t> bytes;
  uint32_t ifindex = 0;
};

// The packets that wait for one worker. `event` is readable while there are
// any.
class Queue {
 public:
  explicit Queue(UniqueFd event) : event_(std::move(event)) {}

  int fd() const { return event_.get(); }

  bool Push(std::span<const uint8_t> packet, uint32_t ifindex) {
    MutexLock lock(mu_);
    if (packets_.size() == MemoryTransportFactory::kQueueLimit ||
        packet.size() > kMaxPacket) {
      ++drops_;
      return false;
    }
    packets_.push_back({{packet.begin(), packet.end()}, ifindex});
    if (packets_.size() == 1) Signal();
    return true;
  }

  // Up to `limit` packets.
  std::vector<Waiting> Pop(size_t limit) {
    MutexLock lock(mu_);
    const size_t n = std::min(limit, packets_.size());
    if (n == 0) return {};
    std::vector<Waiting> popped(std::make_move_iterator(packets_.begin()),
                                std::make_move_iterator(packets_.begin() + n));
    packets_.erase(packets_.begin(), packets_.begin() + n);
    if (packets_.empty()) Clear();
    return popped;
  }

  uint64_t drops() {
    MutexLock lock(mu_);
    return drops_;
  }

 private:
  void Signal() {
    const uint64_t one = 1;
    while (write(event_.get(), &one, sizeof(one)) < 0 && errno == EINTR) {
    }
  }
  void Clear() {
    uint64_t value;
    while (read(event_.get(), &value, sizeof(value)) < 0 && errno == EINTR) {
    }
  }

  const UniqueFd event_;
  Mutex mu_;
  std::deque<Waiting> packets_ ABSL_GUARDED_BY(mu_);
  uint64_t drops_ ABSL_GUARDED_BY(mu_) = 0;
};

// The hash of the inner flow; of the outer header when there is no tunnel.
uint32_t Spread(std::span<const uint8_t> packet) {
  encap::OuterInfo outer;
  if (encap::ParseOuter(packet, false, outer) != encap::DropReason::kNone) {
    return 0;
  }
  const std::span<const uint8_t> inner = packet.subspan(outer.header_len);
  return outer.gre_protocol == kEthernet ? encap::FrameFlowHash(inner, 0)
                                         : encap::FlowHash(inner, 0);
}

}  // namespace

// What factory and transports share.
class MemoryTransportFactory::Wire {
 public:
  absl::Status AddQueues(size_t workers) {
    MutexLock lock(mu_);
    if (!open_status_.ok()) {
      return std::exchange(open_status_, absl::OkStatus());
    }
    std::vector<std::shared_ptr<Queue>> queues;
    for (size_t i = 0; i <= workers; ++i) {
      UniqueFd event(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
      if (!event) {
        return MakeError(
            Reason::kFdLimit,
            absl::StrCat("event of a wire in memory: ", std::strerror(errno)));
      }
      queues.push_back(std::make_shared<Queue>(std::move(event)));
    }
    errors_ = std::move(queues.back());
    queues.pop_back();
    queues_ = std::move(queues);
    return absl::OkStatus();
  }

  void FailOpen(absl::Status status) {
    MutexLock lock(mu_);
    open_status_ = std::move(status);
  }

  std::shared_ptr<Queue> queue(size_t worker) {
    MutexLock lock(mu_);
    return worker < queues_.size() ? queues_[worker] : nullptr;
  }

  std::shared_ptr<Queue> errors() {
    MutexLock lock(mu_);
    return errors_;
  }

  bool Deliver(std::span<const uint8_t> packet, uint32_t ifindex) {
    std::shared_ptr<Queue> queue;
    {
      MutexLock lock(mu_);
      if (queues_.empty()) return false;
      queue = queues_[Spread(packet) % queues_.size()];
    }
    return queue->Push(packet, ifindex);
  }

  encap::DropReason Send(size_t worker, std::span<const uint8_t> packet,
                         const SendRoute& route) {
    std::shared_ptr<const Sink> sink;
    std::shared_ptr<Wire> peer;
    {
      MutexLock lock(mu_);
      if (failing_ > 0) {
        --failing_;
        return fail_reason_;
      }
      ++sent_;
      sink = sink_;
      peer = peer_.lock();
    }
    if (sink != nullptr) (*sink)(worker, packet, route);
    if (peer != nullptr) {
      peer->Deliver(packet, route.ifindex != 0 ? route.ifindex : 1);
    }
    return encap::DropReason::kNone;
  }

  void SetSink(Sink sink) {
    auto shared =
        sink ? std::make_shared<const Sink>(std::move(sink)) : nullptr;
    MutexLock lock(mu_);
    sink_ = std::move(shared);
  }

  void ConnectTo(std::weak_ptr<Wire> peer) {
    MutexLock lock(mu_);
    peer_ = std::move(peer);
  }

  absl::Status TakeUdpPort(const UdpReceivePort& port) {
    MutexLock lock(mu_);
    const auto it = udp_ports_.find(port);
    if (it == udp_ports_.end() && !udp_status_.ok()) return udp_status_;
    ++udp_ports_[port];
    return absl::OkStatus();
  }

  void DropUdpPort(const UdpReceivePort& port) {
    MutexLock lock(mu_);
    const auto it = udp_ports_.find(port);
    if (it != udp_ports_.end() && --it->second == 0) udp_ports_.erase(it);
  }

  void FailUdpPorts(absl::Status status) {
    MutexLock lock(mu_);
    udp_status_ = std::move(status);
  }

  std::vector<UdpReceivePort> udp_ports() {
    MutexLock lock(mu_);
    std::vector<UdpReceivePort> ports;
    for (const auto& [port, count] : udp_ports_) ports.push_back(port);
    return ports;
  }

  void FailSends(size_t n, encap::DropReason reason) {
    MutexLock lock(mu_);
    failing_ = n;
    fail_reason_ = reason;
  }

  uint64_t sent() {
    MutexLock lock(mu_);
    return sent_;
  }

 private:
  Mutex mu_;
  std::vector<std::shared_ptr<Queue>> queues_ ABSL_GUARDED_BY(mu_);
  // ICMP messages; what an interface is to a packet the family is to them.
  std::shared_ptr<Queue> errors_ ABSL_GUARDED_BY(mu_);
  absl::Status open_status_ ABSL_GUARDED_BY(mu_);
  absl::Status udp_status_ ABSL_GUARDED_BY(mu_);
  std::map<UdpReceivePort, size_t> udp_ports_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<const Sink> sink_ ABSL_GUARDED_BY(mu_);
  std::weak_ptr<Wire> peer_ ABSL_GUARDED_BY(mu_);
  size_t failing_ ABSL_GUARDED_BY(mu_) = 0;
  encap::DropReason fail_reason_ ABSL_GUARDED_BY(mu_) =
      encap::DropReason::kNone;
  uint64_t sent_ ABSL_GUARDED_BY(mu_) = 0;
};

class MemoryTransportFactory::MemoryTransport : public Transport {
 public:
  MemoryTransport(size_t worker, std::shared_ptr<Wire> wire)
      : worker_(worker),
        wire_(std::move(wire)),
        queue_(wire_->queue(worker)),
        errors_(worker == 0 ? wire_->errors() : nullptr),
        storage_(new uint8_t[kBatch * kSlotLen]) {}

  std::vector<int> receive_fds() const override { return {queue_->fd()}; }

  std::vector<int> error_fds() const override {
    return errors_ == nullptr ? std::vector<int>{}
                              : std::vector<int>{errors_->fd()};
  }

  std::span<const IncomingError> ReceiveErrors(size_t) noexcept override {
    waiting_errors_ = errors_->Pop(kErrorBatch);
    incoming_errors_.clear();
    for (const Waiting& error : waiting_errors_) {
      incoming_errors_.push_back(
          {static_cast<encap::IpFamily>(error.ifindex), error.bytes});
    }
    return incoming_errors_;
  }

  std::span<IncomingPacket> ReceiveBatch(size_t index) noexcept override {
    const std::vector<Waiting> waiting = queue_->Pop(kBatch);
    for (size_t i = 0; i < waiting.size(); ++i) {
      const std::vector<uint8_t>& bytes = waiting[i].bytes;
      uint8_t* slot = storage_.get() + i * kSlotLen;
      std::copy(bytes.begin(), bytes.end(), slot + encap::kMaxEncapHeadroom);
      packets_[i].packet = encap::PacketBuffer(
          {slot, kSlotLen}, encap::kMaxEncapHeadroom, bytes.size());
      packets_[i].ifindex = waiting[i].ifindex;
    }
    return std::span(packets_).first(waiting.size());
  }

  size_t SendBatch(std::span<OutgoingPacket> packets) noexcept override {
    for (OutgoingPacket& p : packets) {
      p.result = wire_->Send(worker_, p.packet->bytes(), *p.route);
    }
    return packets.empty() ? 0 : 1;
  }

  uint64_t receive_drops() noexcept override { return queue_->drops(); }

 private:
  const size_t worker_;
  const std::shared_ptr<Wire> wire_;
  const std::shared_ptr<Queue> queue_;
  // Of the first worker.
  const std::shared_ptr<Queue> errors_;
  std::vector<Waiting> waiting_errors_;
  std::vector<IncomingError> incoming_errors_;
  const std::unique_ptr<uint8_t[]> storage_;
  std::array<IncomingPacket, kBatch> packets_;
};

MemoryTransportFactory::MemoryTransportFactory()
    : wire_(std::make_shared<Wire>()) {}
MemoryTransportFactory::~MemoryTransportFactory() = default;

absl::StatusOr<std::vector<std::unique_ptr<Transport>>>
MemoryTransportFactory::Open(size_t workers) {
  if (absl::Status status = wire_->AddQueues(workers); !status.ok()) {
    return status;
  }
  std::vector<std::unique_ptr<Transport>> transports;
  for (size_t i = 0; i < workers; ++i) {
    transports.push_back(std::make_unique<MemoryTransport>(i, wire_));
  }
  return transports;
}

void MemoryTransportFactory::FailOpen(absl::Status status) {
  wire_->FailOpen(std::move(status));
}
absl::Status MemoryTransportFactory::TakeUdpPort(const UdpReceivePort& port) {
  return wire_->TakeUdpPort(port);
}
void MemoryTransportFactory::DropUdpPort(const UdpReceivePort& port) noexcept {
  wire_->DropUdpPort(port);
}
void MemoryTransportFactory::FailUdpPorts(absl::Status status) {
  wire_->FailUdpPorts(std::move(status));
}
std::vector<UdpReceivePort> MemoryTransportFactory::udp_ports() const {
  return wire_->udp_ports();
}
void MemoryTransportFactory::SetSink(Sink sink) {
  wire_->SetSink(std::move(sink));
}
void MemoryTransportFactory::ConnectTo(MemoryTransportFactory& peer) {
  wire_->ConnectTo(peer.wire_);
}
bool MemoryTransportFactory::Inject(size_t worker,
                                    std::span<const uint8_t> packet,
                                    uint32_t ifindex) {
  const std::shared_ptr<Queue> queue = wire_->queue(worker);
  return queue != nullptr && queue->Push(packet, ifindex);
}
bool MemoryTransportFactory::Deliver(std::span<const uint8_t> packet,
                                     uint32_t ifindex) {
  return wire_->Deliver(packet, ifindex);
}
bool MemoryTransportFactory::InjectError(encap::IpFamily family,
                                         std::span<const uint8_t> message) {
  const std::shared_ptr<Queue> errors = wire_->errors();
  return errors != nullptr &&
         errors->Push(message, static_cast<uint32_t>(family));
}
void MemoryTransportFactory::FailSends(size_t n, encap::DropReason reason) {
  wire_->FailSends(n, reason);
}
uint64_t MemoryTransportFactory::sent() const { return wire_->sent(); }

}  // namespace tunnel
