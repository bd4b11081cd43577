// Output: the packet walk from a device queue to the wire, for one worker.
//
//   TunQueue::ReadBatch -> MSS -> SizePolicy -> Encapsulator
//     -> Transport::SendBatch -> counters
//
// What is larger than the way to the remote carries is cut, or refused and its
// sender told, as the tunnel's policy says. One ReadSection and one load of the
// variant for a batch. No lock, no allocation, no atomic read-modify-write. One
// thread.

#ifndef TUNNEL_PATH_OUTPUT_H_
#define TUNNEL_PATH_OUTPUT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "encap/drop_reason.h"
#include "encap/packet.h"
#include "tunnel/endpoint/endpoint_table.h"
#include "tunnel/path/inner_reply.h"
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

  // One batch of one tunnel.
  struct Batch {
    const Variant& variant;
    WorkerContext& context;
    TunnelWorkerCounters& tunnel;
    TunQueue& queue;
    uint64_t now_ns;    // SteadyCoarseNs()
    uint32_t path_mtu;  // bytes
  };
  // Beside an outgoing packet: what it counts for. An inner packet that became
  // several outer ones counts with the last of them, and is dropped for what
  // befell the first that was not sent.
  struct Charge {
    uint32_t inner_bytes = 0;
    bool last = true;
  };

  void PrepareBuffers(size_t count) noexcept;
  void Transmit(const Variant& variant, TunQueue& queue, size_t count) noexcept;
  void Drop(const Variant& variant, size_t count) noexcept;

  // Each sees to it that `packet` is sent or counted as dropped.
  void Take(const Batch& batch, encap::PacketBuffer& packet) noexcept;
  void Send(const Batch& batch, encap::PacketBuffer& packet) noexcept;
  void CutInner(const Batch& batch, encap::PacketBuffer& packet,
                uint32_t mtu) noexcept;
  void CutOuter(const Batch& batch, encap::PacketBuffer& packet,
                uint32_t mtu) noexcept;
  void Refuse(const Batch& batch, const encap::PacketBuffer& packet,
              uint32_t mtu) noexcept;

  // False when the packet was dropped, and counted.
  bool Encapsulate(const Batch& batch, encap::PacketBuffer& packet) noexcept;
  void Queue(const Batch& batch, encap::PacketBuffer& packet,
             const Charge& charge) noexcept;
  void Flush(const Batch& batch) noexcept;
  // Room for a fragment, good until the next Flush(), which it may call.
  encap::PacketBuffer& NewFragment(const Batch& batch) noexcept;
  uint32_t NextFragmentId() noexcept;
  bool IsNested(const Variant& variant,
                const encap::PacketBuffer& packet) const noexcept;

  const size_t worker_;
  const EndpointTable& table_;
  Qsbr::Reader& reader_;
  Transport& transport_;
  WorkerCountersOwned& counters_;
  const std::unique_ptr<uint8_t[]> storage_;
  // Not initialised: pages that no fragment needs are never touched.
  const std::unique_ptr<uint8_t[]> fragment_storage_;
  std::vector<encap::PacketBuffer> packets_;
  std::vector<encap::PacketBuffer> fragments_;
  std::vector<OutgoingPacket> outgoing_;
  std::vector<Charge> charges_;  // beside outgoing_
  size_t ready_ = 0;             // of outgoing_
  size_t used_fragments_ = 0;
  // Of the inner packet whose fragments are being sent.
  encap::DropReason failed_ = encap::DropReason::kNone;
  uint32_t fragment_count_;
  InnerReply reply_;
};

}  // namespace tunnel

#endif  // TUNNEL_PATH_OUTPUT_H_
