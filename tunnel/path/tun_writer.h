// TunWriter: the end of the walk from the wire to a device queue, for one
// worker: merges received packets of a flow (GRO), writes and counts them.
//
// Packets of one tunnel at a time are merged: those of another one flush what
// is held. All of them leave in the order of their flow; see
// encap/offload/coalesce.h for what is merged. The caller flushes at the end of
// each batch, inside the ReadSection in which it wrote, or while what was
// handed over still keeps the tunnel alive. No lock, no allocation after the
// constructor, no atomic read-modify-write. One thread.

#ifndef TUNNEL_PATH_TUN_WRITER_H_
#define TUNNEL_PATH_TUN_WRITER_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "encap/offload/coalesce.h"
#include "encap/packet.h"
#include "tunnel/endpoint/endpoint.h"
#include "tunnel/path/inner_segments.h"
#include "tunnel/stats/owned_counter.h"
#include "tunnel/tun/tun_device.h"

namespace tunnel {

class TunWriter : private encap::CoalesceSink {
 public:
  // `writes`: of the worker, the system calls; outlives the object.
  TunWriter(size_t worker, OwnedCounter& writes);

  // Writes the packet of `variant`, decapsulated and with a hint as RepairGso()
  // leaves it, or holds a copy until Flush(). `last`: nothing of this batch
  // comes behind it, so that it need not be held.
  void Write(const Variant& variant, encap::PacketBuffer& packet,
             bool last) noexcept {
    Write(*variant.endpoint, variant.ethernet, packet, last);
  }
  void Write(Endpoint& endpoint, bool ethernet, encap::PacketBuffer& packet,
             bool last) noexcept;
  // Writes what is held. The tunnel is forgotten, it may go then.
  void Flush() noexcept {
    WriteHeld();
    endpoint_ = nullptr;
  }

 private:
  // Flows of a tunnel that are merged at once, 64 KB each of memory, which is
  // touched as far as it is used.
  static constexpr size_t kFlows = 8;

  void WriteHeld() noexcept { coalescer_.Flush(*this); }
  void Begin(Endpoint& endpoint) noexcept;
  void WriteFrame(encap::PacketBuffer& frame) noexcept;
  void Take(encap::PacketBuffer& packet) noexcept override;
  void Put(encap::PacketBuffer& packet) noexcept;

  const size_t worker_;
  OwnedCounter& writes_;
  encap::Coalescer coalescer_;
  // Of the packets that are held; nullptr between two batches.
  Endpoint* endpoint_ = nullptr;
  TunQueue* queue_ = nullptr;
  size_t link_len_ = 0;  // Ethernet header of all of them
  std::array<uint8_t, kMaxLinkHeader> link_{};
};

}  // namespace tunnel

#endif  // TUNNEL_PATH_TUN_WRITER_H_
