// Input: the packet walk from the wire to a device queue, for one worker.
//
//   Transport::ReceiveBatch -> ParseOuter -> EndpointTable::Find ->
//   Decapsulator
//   -> [Handoff to another worker] -> TunWriter -> counters
//
// A super-packet counts as the packets that it was merged from. Outer fragments
// are put together first; of IPv4 the kernel has done so. One ReadSection for a
// batch. No lock, no allocation, no atomic read-modify-write. One thread.

#ifndef TUNNEL_PATH_INPUT_H_
#define TUNNEL_PATH_INPUT_H_

#include <cstddef>
#include <cstdint>

#include "encap/outer_parse.h"
#include "encap/packet.h"
#include "encap/reassembly.h"
#include "tunnel/endpoint/endpoint_table.h"
#include "tunnel/path/handoff.h"
#include "tunnel/path/tun_writer.h"
#include "tunnel/stats/counters.h"
#include "tunnel/sync/qsbr.h"
#include "tunnel/underlay/transport.h"

namespace tunnel {

class Input {
 public:
  // All references must outlive the object and belong to worker `worker`.
  Input(size_t worker, const EndpointTable& table, Qsbr::Reader& reader,
        Transport& transport, HandoffLanes& lanes,
        WorkerCountersOwned& counters)
      : worker_(worker),
        table_(table),
        reader_(reader),
        transport_(transport),
        counters_(counters),
        writer_(worker, counters.calls(Syscall::kWrite)),
        handoff_(lanes, worker) {}

  // Handles one batch of what waits at transport.receive_fds()[index]; returns
  // its packets, 0 when none waits.
  size_t Run(size_t index) noexcept;

  // Writes what other workers have handed over, at most a batch of each.
  void RunHandoffs() noexcept;
  Handoff& handoff() { return handoff_; }

 private:
  struct Batch {
    uint64_t now_ns = 0;  // RealtimeCoarseNs()
    bool last = false;    // the packet is the last one
  };

  void Receive(IncomingPacket& incoming, const Batch& batch) noexcept;
  // Outer UDP packets that were merged into one, each by itself; false when it
  // is something else.
  bool ReceiveMerged(IncomingPacket& incoming, const Batch& batch) noexcept;
  // A packet that ParseOuter() takes.
  void Match(const encap::OuterInfo& outer, uint32_t ifindex,
             encap::PacketBuffer& packet, const Batch& batch) noexcept;

  // A packet of `variant`, outer headers and all.
  void Deliver(const Variant& variant, const encap::OuterInfo& outer,
               encap::PacketBuffer& packet, const Batch& batch) noexcept;
  // Counts packets of the tunnel that are not delivered. `bytes` begin with
  // `layer`, and stand for `count`.
  void Drop(
      const Endpoint& endpoint, encap::DropReason why, uint64_t count,
      std::span<const uint8_t> bytes,
      CapturedPacket::Layer layer = CapturedPacket::Layer::kOuter) noexcept;
  // True when the inner packet goes by a lane, or was dropped.
  bool HandOver(const Variant& variant, const encap::PacketBuffer& packet,
                uint64_t now_ns) noexcept;
  bool Stage(size_t to, uint32_t flow, const Variant& variant,
             const encap::PacketBuffer& packet, uint64_t now_ns) noexcept;
  // Ends a batch: what was written directly is out before what was staged
  // behind it can be.
  void Flush() noexcept;
  // Writes what waits in a lane, at most a batch.
  void RunLane(HandoffLane& lane) noexcept;
  // Takes an outer fragment; true when `packet` is now the whole packet.
  bool Reassemble(encap::PacketBuffer& packet) noexcept;

  // The kernel puts outer IPv4 fragments together; these are of IPv6. Memory
  // for one worker, taken at the start.
  static constexpr encap::ReassemblyOptions kReassembly{
      .max_packets = 64, .max_bytes = size_t{1} << 20};

  const size_t worker_;
  const EndpointTable& table_;
  Qsbr::Reader& reader_;
  Transport& transport_;
  WorkerCountersOwned& counters_;
  TunWriter writer_;
  Handoff handoff_;
  encap::Reassembler reassembler_{kReassembly};
  uint64_t given_up_ = 0;  // fragments, as counted
};

}  // namespace tunnel

#endif  // TUNNEL_PATH_INPUT_H_
