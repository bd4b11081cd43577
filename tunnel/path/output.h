// Output: the packet walk from a device queue to the wire, for one worker.
//
//   TunQueue::ReadBatch -> Encapsulator -> Transport::SendBatch -> counters
//
// One ReadSection and one load of the variant for a batch. No lock, no
// allocation, no atomic read-modify-write. One thread.

#ifndef TUNNEL_PATH_OUTPUT_H_
#define TUNNEL_PATH_OUTPUT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "encap/packet.h"
#include "tunnel/endpoint/endpoint_table.h"
#include "tunnel/path/queue_context.h"
#include "tunnel/stats/counters.h"
#include "tunnel/sync/qsbr.h"
#include "tunnel/underlay/transport.h"

namespace tunnel {

class Output {
 public:
  // All references must outlive the object and belong to worker `worker`.
  Output(size_t worker, const EndpointTable& table, Qsbr::Reader& reader,
         Transport& transport, WorkerCountersOwned& counters);

  enum class Result {
    kDone,    // everything that waited has been read, or a full batch of it
    kPaused,  // the output is paused: nothing was read
    kGone,    // the device has gone
  };
  // Handles one batch of what waits in `queue`.
  Result Run(QueueContext& queue) noexcept;

 private:
  static constexpr size_t kBatch = 64;
  // A packet of up to 64 KB with room in front for every header.
  static constexpr size_t kPacketBytes = encap::kMaxEncapHeadroom + 65536 + 64;

  void PrepareBuffers(size_t count) noexcept;
  void Transmit(const Variant& variant, size_t count) noexcept;
  void Drop(const Variant& variant, size_t count) noexcept;
  bool IsNested(const Variant& variant,
                const encap::PacketBuffer& packet) const noexcept;
  // `udp_port` is 0 for all but UDP.
  bool MayBeTunnel(uint8_t protocol, uint16_t udp_port) const noexcept;

  const size_t worker_;
  const EndpointTable& table_;
  Qsbr::Reader& reader_;
  Transport& transport_;
  WorkerCountersOwned& counters_;
  const std::unique_ptr<uint8_t[]> storage_;
  std::vector<encap::PacketBuffer> packets_;
  std::vector<OutgoingPacket> outgoing_;
  std::vector<uint32_t> inner_bytes_;  // beside outgoing_
};

}  // namespace tunnel

#endif  // TUNNEL_PATH_OUTPUT_H_
