// Output: the packet walk from a device queue to the wire, for one worker.
//
//   [ShapedRead] -> TunQueue::ReadBatch -> MSS -> SizePolicy -> InnerSegments
//     -> Encapsulator -> Transport::SendBatch -> counters
//
// A super-packet is cut into its segments here; each is a packet of its own
// from there on, and counts as one. What is larger than the way to the remote
// carries is cut, or refused and its sender told, as the tunnel's policy says.
// While the kernel encapsulates what enters the device, a super-packet that has
// come here all the same is given back to it (FastTunnel::Send()).
// One ReadSection and one load of the variant for a batch. No lock, no
// allocation, no atomic read-modify-write. One thread.

#ifndef TUNNEL_PATH_OUTPUT_H_
#define TUNNEL_PATH_OUTPUT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "encap/drop_reason.h"
#include "encap/packet.h"
#include "encap/size_policy.h"
#include "tunnel/bpf/fast_path.h"
#include "tunnel/endpoint/capture_tap.h"
#include "tunnel/endpoint/endpoint_table.h"
#include "tunnel/path/inner_reply.h"
#include "tunnel/path/inner_segments.h"
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
    kWait,    // the tunnel has no credit for queue.wait_ns
    kGone,    // the device has gone
  };
  // Handles one batch of what waits in `queue`.
  Result Run(QueueContext& queue) noexcept;

 private:
  static constexpr size_t kBatch = 64;
  // A packet of up to 64 KB with room in front for every header.
  static constexpr size_t kPacketBytes = encap::kMaxEncapHeadroom + 65536 + 64;
  // Room in front of a piece, bytes; it keeps an inner IP header on a multiple
  // of four.
  static constexpr size_t kPieceHeadroom = encap::kMaxEncapHeadroom + 32;
  // Memory for the pieces of a batch, bytes: little, so that it stays in the
  // cache, and enough for one of the largest.
  static constexpr size_t kPieceBytes = size_t{192} << 10;
  static_assert(kPieceHeadroom >= encap::kMaxEncapHeadroom + kMaxLinkHeader);

  // One batch of one tunnel.
  struct Batch {
    const Variant& variant;
    WorkerContext& context;
    TunnelWorkerCounters& tunnel;
    TunQueue& queue;
    const TapSet* taps;      // null: nobody captures
    uint64_t now_ns;         // SteadyCoarseNs()
    uint32_t path_mtu;       // bytes
    const FastTunnel* fast;  // null: the kernel takes nothing back
  };
  // Beside an outgoing packet: what it counts for. An inner packet that became
  // several outer ones counts with the last of them, and is dropped for what
  // befell the first that was not sent.
  struct Charge {
    uint32_t inner_bytes = 0;
    bool last = true;
  };

  // Up to a batch, held to the rate of the tunnel.
  TunQueue::ReadResult Read(const Variant& variant,
                            QueueContext& queue) noexcept;
  void PrepareBuffers(size_t count) noexcept;
  void Transmit(const Variant& variant, TunQueue& queue, size_t count) noexcept;
  void Drop(const Variant& variant,
            std::span<const encap::PacketBuffer> packets) noexcept;

  // Each sees to it that `packet` is sent or counted as dropped.
  void Take(const Batch& batch, encap::PacketBuffer& packet) noexcept;
  void TakeSuper(const Batch& batch, const encap::PacketBuffer& packet,
                 const encap::SizeVerdict& verdict) noexcept;
  // False when the kernel has not taken the super-packet, as it was read.
  bool GiveBack(const Batch& batch, const encap::PacketBuffer& packet) noexcept;
  void Act(const Batch& batch, encap::PacketBuffer& packet,
           const encap::SizeVerdict& verdict) noexcept;
  void Send(const Batch& batch, encap::PacketBuffer& packet) noexcept;
  void CutInner(const Batch& batch, encap::PacketBuffer& packet,
                uint32_t mtu) noexcept;
  void CutOuter(const Batch& batch, encap::PacketBuffer& packet,
                uint32_t mtu) noexcept;
  // `packet` stands for `count` packets.
  void Refuse(const Batch& batch, const encap::PacketBuffer& packet,
              uint32_t mtu, size_t count = 1) noexcept;

  // Counts, and shows those who capture, a packet without outer headers that is
  // not sent; it stands for `count`.
  void DropInner(const Batch& batch, const encap::PacketBuffer& packet,
                 encap::DropReason why, size_t count = 1) noexcept;
  // For those who capture: what is not sent, and what SendBatch() has tried.
  void TapDrop(const Batch& batch, CapturedPacket::Layer layer,
               const encap::PacketBuffer& packet,
               encap::DropReason why) noexcept;
  void TapSent(const Batch& batch, uint64_t handed_ns) noexcept;

  // False when the packet was dropped, and counted.
  bool Encapsulate(const Batch& batch, encap::PacketBuffer& packet) noexcept;
  void Queue(const Batch& batch, encap::PacketBuffer& packet,
             const Charge& charge) noexcept;
  void Flush(const Batch& batch) noexcept;
  // An empty packet with room for `size` bytes behind kPieceHeadroom: a segment
  // or a fragment. Good until the next Flush(), which it may call.
  encap::PacketBuffer& NewPiece(const Batch& batch, size_t size) noexcept;
  uint32_t NextFragmentId() noexcept;
  bool IsNested(const Variant& variant,
                const encap::PacketBuffer& packet) const noexcept;

  const size_t worker_;
  const EndpointTable& table_;
  Qsbr::Reader& reader_;
  Transport& transport_;
  WorkerCountersOwned& counters_;
  // Not initialised: pages that no packet needs are never touched.
  const std::unique_ptr<uint8_t[]> storage_;
  const std::unique_ptr<uint8_t[]> piece_storage_;
  const std::unique_ptr<uint8_t[]> segment_storage_;  // kPacketBytes
  std::vector<encap::PacketBuffer> packets_;
  std::vector<encap::PacketBuffer> pieces_;
  std::vector<OutgoingPacket> outgoing_;
  std::vector<Charge> charges_;  // beside outgoing_
  size_t ready_ = 0;             // of outgoing_
  size_t used_pieces_ = 0;
  size_t used_bytes_ = 0;  // of piece_storage_
  // Of the inner packet whose fragments are being sent.
  encap::DropReason failed_ = encap::DropReason::kNone;
  uint32_t fragment_count_;
  InnerReply reply_;
};

}  // namespace tunnel

#endif  // TUNNEL_PATH_OUTPUT_H_
