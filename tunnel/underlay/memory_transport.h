// MemoryTransportFactory: a wire in memory, for tests.
//
// Each worker has a queue of waiting packets with an event descriptor, so that
// epoll works on it. What workers send goes to a sink, to a connected factory
// (which may be the same one), or nowhere.
//
// Threads: a Transport belongs to one worker; all functions of the factory may
// be called by any thread at any time. Transports may outlive the factory.

#ifndef TUNNEL_UNDERLAY_MEMORY_TRANSPORT_H_
#define TUNNEL_UNDERLAY_MEMORY_TRANSPORT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "encap/drop_reason.h"
#include "tunnel/underlay/transport.h"

namespace tunnel {

class MemoryTransportFactory : public TransportFactory {
 public:
  // Packets that wait for one worker; more are dropped and counted by
  // receive_drops().
  static constexpr size_t kQueueLimit = 4096;

  // Called by the sending worker, for each packet that was sent. Must not call
  // the factory's SetSink(). A sink that has been replaced may still be
  // running.
  using Sink = std::function<void(
      size_t worker, std::span<const uint8_t> packet, const SendRoute& route)>;

  MemoryTransportFactory();
  ~MemoryTransportFactory() override;

  // Once for one factory. receive_fds() of each transport has one entry.
  absl::StatusOr<std::vector<std::unique_ptr<Transport>>> Open(
      size_t workers) override;

  absl::Status TakeUdpPort(const UdpReceivePort& port) override;
  void DropUdpPort(const UdpReceivePort& port) noexcept override;

  // The next Open() fails with `status`.
  void FailOpen(absl::Status status);

  // Every TakeUdpPort() of a port that is not in use yet fails with `status`,
  // until it is OK.
  void FailUdpPorts(absl::Status status);

  // In use, ascending. Packets for other ports are delivered all the same.
  std::vector<UdpReceivePort> udp_ports() const;

  void SetSink(Sink sink);

  // What is sent here from now on is delivered at `peer`, which may be this
  // factory itself.
  void ConnectTo(MemoryTransportFactory& peer);

  // Makes an outer IP packet wait for `worker`. False when there is no such
  // worker or its queue is full.
  bool Inject(size_t worker, std::span<const uint8_t> packet,
              uint32_t ifindex = 1);

  // The same for the worker that the packet's inner flow falls to.
  bool Deliver(std::span<const uint8_t> packet, uint32_t ifindex = 1);

  // Makes an ICMP error, from its type on, wait for the first worker. False
  // when there is none or its queue is full.
  bool InjectError(encap::IpFamily family, std::span<const uint8_t> message);

  // The next `n` packets that are sent, by any worker, fail with `reason`.
  void FailSends(size_t n, encap::DropReason reason);

  // Packets that SendBatch() has taken, failed ones not counted.
  uint64_t sent() const;

 private:
  class Wire;
  class MemoryTransport;

  const std::shared_ptr<Wire> wire_;
};

}  // namespace tunnel

#endif  // TUNNEL_UNDERLAY_MEMORY_TRANSPORT_H_
