#include "tunnel/path/input.h"

#include <algorithm>
#include <span>

#include "encap/drop_reason.h"
#include "encap/merged_udp.h"
#include "encap/mss_clamp.h"
#include "encap/outer_parse.h"
#include "tunnel/base/clock.h"
#include "tunnel/endpoint/capture_tap.h"
#include "tunnel/path/inner_segments.h"
#include "tunnel/underlay/vnet_translate.h"

namespace tunnel {

using encap::DropReason;

namespace {

// Packet sockets see packets before the kernel's IP input has summed the
// header.
constexpr encap::ParseOptions kOptions{.verify_header_checksum = true,
                                       .any_udp_port = true};

}  // namespace

size_t Input::Run(size_t index) noexcept {
  const ReadSection section(reader_);
  const std::span<IncomingPacket> packets = transport_.ReceiveBatch(index);
  counters_.calls(Syscall::kReceive).Add(1);
  if (packets.empty()) return 0;
  counters_.receive_batches.Add(1);
  counters_.receive_packets.Add(packets.size());
  counters_.receive_batch.Record(packets.size());
  Batch batch{.now_ns = RealtimeCoarseNs()};
  for (IncomingPacket& incoming : packets) {
    batch.last = &incoming == &packets.back();
    Receive(incoming, batch);
  }
  Flush();
  return packets.size();
}

void Input::Flush() noexcept {
  writer_.Flush();
  counters_.calls(Syscall::kWake).Add(handoff_.Flush());
}

void Input::RunHandoffs() noexcept {
  for (size_t from = 0; from < handoff_.lane_count(); ++from) {
    HandoffLane* const lane = handoff_.lane_from(from);
    if (lane == nullptr || lane->Waiting() == 0) continue;
    const ReadSection section(reader_);  // for who captures
    RunLane(*lane);
  }
}

// The slots are given back when the packets are written: until then their
// tunnels can not go.
void Input::RunLane(HandoffLane& lane) noexcept {
  lane.CountDepth();
  const size_t count = std::min(lane.Waiting(), Handoff::kBatch);
  for (size_t i = 0; i < count; ++i) {
    HandoffSlot& slot = lane.at(i);
    slot.endpoint->counters(worker_).last_receive_ns.Set(slot.receive_ns);
    writer_.Write(*slot.endpoint, slot.ethernet, slot.packet, i + 1 == count);
  }
  writer_.Flush();
  lane.Done(count);
}

// Fragments of packets that were not completed count when they are given up:
// each is a packet of the wire that nobody got.
bool Input::Reassemble(encap::PacketBuffer& packet) noexcept {
  const encap::ReassemblyVerdict verdict =
      reassembler_.Add(packet, SteadyCoarseNs());
  const encap::ReassemblyStats& stats = reassembler_.stats();
  uint64_t dropped = 0;
  for (const uint64_t n : stats.dropped) dropped += n;
  for (; given_up_ < dropped; ++given_up_)
    counters_.CountUnmatched(DropReason::kReassemblyFailed);
  return verdict == encap::ReassemblyVerdict::kComplete;
}

void Input::Receive(IncomingPacket& incoming, const Batch& batch) noexcept {
  encap::PacketBuffer& packet = incoming.packet;
  if (packet.hint().gso_type == encap::GsoType::kUdp &&
      ReceiveMerged(incoming, batch)) {
    return;
  }
  encap::OuterInfo outer;
  DropReason why = encap::ParseOuter(packet.bytes(), kOptions, outer);
  if (why == DropReason::kReassemblyFailed) {
    if (!Reassemble(packet)) return;
    why = encap::ParseOuter(packet.bytes(), kOptions, outer);
    // A fragment of UDP comes here for whatever program it is.
    if (outer.udp_port != 0 &&
        !table_.ReceivesUdp(outer.addresses.local, outer.udp_port)) {
      return;
    }
  }
  if (why != DropReason::kNone) return counters_.CountUnmatched(why);
  Match(outer, incoming.ifindex, packet, batch);
}

bool Input::ReceiveMerged(IncomingPacket& incoming,
                          const Batch& batch) noexcept {
  encap::MergedUdp merged;
  if (!encap::MergedUdp::Start(incoming.packet, kOptions, merged)) return false;
  while (!merged.done()) {
    encap::PacketBuffer packet;
    encap::OuterInfo outer;
    const DropReason why = merged.Next(packet, outer);
    if (why == DropReason::kNone) {
      Match(outer, incoming.ifindex, packet,
            {batch.now_ns, batch.last && merged.done()});
    } else {
      counters_.CountUnmatched(why);
    }
  }
  return true;
}

void Input::Match(const encap::OuterInfo& outer, uint32_t ifindex,
                  encap::PacketBuffer& packet, const Batch& batch) noexcept {
  const EndpointTable::Found found = table_.Find(outer, ifindex);
  const Variant* variant = found.variant;
  if (variant == nullptr) {
    // A tunnel that is being changed, or detached, still loses its own packets.
    if (found.holder != nullptr) {
      found.holder->counters(worker_).input_frames.Add(1);
      return Drop(*found.holder, found.why, MergedCount(packet),
                  packet.bytes());
    }
    return counters_.CountUnmatched(found.why);
  }
  Deliver(*variant, outer, packet, batch);
}

void Input::Drop(const Endpoint& endpoint, DropReason why, uint64_t count,
                 std::span<const uint8_t> bytes,
                 CapturedPacket::Layer layer) noexcept {
  endpoint.counters(worker_).CountDropRx(why, count);
  if (const TapSet* taps = endpoint.taps().Load(); taps != nullptr)
    taps->Drop(worker_, false, why, layer, bytes);
}

void Input::Deliver(const Variant& variant, const encap::OuterInfo& outer,
                    encap::PacketBuffer& packet, const Batch& batch) noexcept {
  TunnelWorkerCounters& tunnel = variant.endpoint->counters(worker_);
  tunnel.input_frames.Add(1);
  const std::span<const uint8_t> received = packet.bytes();
  if (const TapSet* taps = variant.endpoint->taps().Load(); taps != nullptr)
    taps->Outer(worker_, false, received);
  DropReason why = variant.receive_block;
  if (why == DropReason::kNone) {
    why = variant.decapsulator.Decapsulate(packet, outer,
                                           variant.contexts->of(worker_).input);
  }
  if (why == DropReason::kNone && !RepairGso(packet, variant.ethernet)) {
    why = DropReason::kTruncated;
  }
  if (why != DropReason::kNone)
    return Drop(*variant.endpoint, why, MergedCount(packet), received);

  if (variant.mss.any()) encap::ClampMss(packet, variant.ethernet, variant.mss);
  if (handoff_.Concerns(variant.steer) &&
      HandOver(variant, packet, batch.now_ns)) {
    return;
  }
  tunnel.last_receive_ns.Set(batch.now_ns);
  writer_.Write(variant, packet, batch.last);
}

bool Input::HandOver(const Variant& variant, const encap::PacketBuffer& packet,
                     uint64_t now_ns) noexcept {
  const uint32_t flow = Handoff::FlowOf(packet, variant.ethernet);
  const size_t to = handoff_.Route(variant.steer, flow);
  if (to == Handoff::kHere) return false;
  if (!Stage(to, flow, variant, packet, now_ns)) {
    Drop(*variant.endpoint, DropReason::kQueueFull, MergedCount(packet),
         packet.bytes(), CapturedPacket::Layer::kInner);
  } else if (handoff_.BatchIsFull(to)) {
    // The other worker begins while this one goes on.
    Flush();
  }
  return true;
}

bool Input::Stage(size_t to, uint32_t flow, const Variant& variant,
                  const encap::PacketBuffer& packet, uint64_t now_ns) noexcept {
  while (handoff_.OwnLaneFirst(to, flow)) {
    Flush();
    RunLane(*handoff_.lane_from(worker_));
  }
  return handoff_.Stage(to, flow, *variant.endpoint, variant.ethernet, packet,
                        now_ns);
}

}  // namespace tunnel
