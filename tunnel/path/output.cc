#include "tunnel/path/output.h"

#include <algorithm>
#include <array>
#include <optional>
#include <random>
#include <span>

#include "encap/address.h"
#include "encap/checksum.h"
#include "encap/encap_limit.h"
#include "encap/fragment.h"
#include "encap/inner_packet.h"
#include "encap/size_policy.h"
#include "encap/wire/udp.h"
#include "tunnel/base/clock.h"
#include "tunnel/base/fault.h"
#include "tunnel/path/own_outer.h"
#include "tunnel/path/shaped_read.h"

namespace tunnel {

using encap::DropReason;
using encap::PacketBuffer;
using encap::SizeAction;

Output::Output(size_t worker, const EndpointTable& table, Qsbr::Reader& reader,
               Transport& transport, WorkerCountersOwned& counters)
    : worker_(worker),
      table_(table),
      reader_(reader),
      transport_(transport),
      counters_(counters),
      storage_(new uint8_t[kBatch * kPacketBytes]),
      piece_storage_(new uint8_t[kPieceBytes]),
      segment_storage_(new uint8_t[kPacketBytes]),
      packets_(kBatch),
      pieces_(kBatch),
      outgoing_(kBatch),
      charges_(kBatch),
      fragment_count_(std::random_device{}()),
      reply_(counters.calls(Syscall::kWrite)) {
  PrepareBuffers(kBatch);
}

void Output::PrepareBuffers(size_t count) noexcept {
  for (size_t i = 0; i < count; ++i) {
    packets_[i] = PacketBuffer(
        {storage_.get() + i * kPacketBytes, kPacketBytes},
        encap::kMaxEncapHeadroom, kPacketBytes - encap::kMaxEncapHeadroom);
  }
}

Output::Result Output::Run(QueueContext& queue) noexcept {
  const ReadSection section(reader_);
  // Before the first read: what is read is sent, or counted as dropped.
  const Variant* variant = queue.endpoint->output().Load();
  if (variant == nullptr) return Result::kPaused;
  queue.wait_ns = 0;
  const TunQueue::ReadResult read = Read(*variant, queue);
  counters_.calls(Syscall::kRead).Add(read.calls);
  if (FaultActive(Fault::kSectionEndsEarly)) reader_.Leave();
  if (read.packets > 0) {
    if (variant->transmit_block == DropReason::kNone) {
      Transmit(*variant, *queue.queue, read.packets);
    } else {
      Drop(*variant, std::span(packets_).first(read.packets));
    }
    PrepareBuffers(read.packets);
    queue.endpoint->counters(worker_).output_frames.Add(read.packets);
  }
  if (FaultActive(Fault::kSectionEndsEarly)) reader_.Enter();
  if (read.gone) return Result::kGone;
  return queue.wait_ns != 0 ? Result::kWait : Result::kDone;
}

TunQueue::ReadResult Output::Read(const Variant& variant,
                                  QueueContext& queue) noexcept {
  if (!variant.shape.any() || variant.transmit_block != DropReason::kNone)
    return queue.queue->ReadBatch(packets_);
  const ShapedReadResult read =
      ReadShaped(*queue.queue, packets_, variant.shape,
                 variant.contexts->of(worker_).shaper, SteadyNs());
  queue.wait_ns = read.wait_ns;
  return {read.packets, read.calls, read.gone};
}

void Output::Drop(const Variant& variant,
                  std::span<const PacketBuffer> packets) noexcept {
  uint64_t count = 0;
  for (const PacketBuffer& packet : packets) {
    InnerSegments segments;
    const bool super = packet.hint().gso_type != encap::GsoType::kNone &&
                       InnerSegments::Plan(packet, variant.ethernet,
                                           segments) == DropReason::kNone;
    count += super ? segments.count() : 1;
  }
  variant.endpoint->counters(worker_).CountDropTx(variant.transmit_block,
                                                  count);
  const TapSet* const taps = variant.endpoint->taps().Load();
  if (taps == nullptr) return;
  for (const PacketBuffer& packet : packets) {
    taps->Inner(worker_, true, packet.bytes());
    taps->Drop(worker_, true, variant.transmit_block,
               CapturedPacket::Layer::kInner, packet.bytes());
  }
}

void Output::Transmit(const Variant& variant, TunQueue& queue,
                      size_t count) noexcept {
  const uint64_t now_ns = SteadyCoarseNs();
  const TapSet* const taps = variant.endpoint->taps().Load();
  const Batch batch{
      variant,
      variant.contexts->of(worker_),
      variant.endpoint->counters(worker_),
      queue,
      taps,
      now_ns,
      variant.path == nullptr ? 0 : variant.path->Mtu(now_ns),
      taps != nullptr ? nullptr : variant.endpoint->fast_output().Load()};
  if (batch.taps != nullptr) {
    for (size_t i = 0; i < count; ++i)
      batch.taps->Inner(worker_, true, packets_[i].bytes());
  }
  for (size_t i = 0; i < count; ++i) Take(batch, packets_[i]);
  Flush(batch);
}

void Output::Take(const Batch& batch, PacketBuffer& packet) noexcept {
  const Variant& variant = batch.variant;
  if (IsNested(variant, packet))
    return DropInner(batch, packet, DropReason::kRecursion);
  if (variant.mss.any()) encap::ClampMss(packet, variant.ethernet, variant.mss);
  const encap::SizeVerdict verdict =
      variant.size_policy.Judge(packet, batch.path_mtu);
  if (packet.hint().gso_type != encap::GsoType::kNone) {
    if (verdict.action == SizeAction::kSend && GiveBack(batch, packet)) return;
    return TakeSuper(batch, packet, verdict);
  }
  Act(batch, packet, verdict);
}

bool Output::GiveBack(const Batch& batch, const PacketBuffer& packet) noexcept {
  // Those that the kernel refuses are of a kind, or it has begun to take none.
  constexpr uint64_t kSkips = 64;
  if (batch.fast == nullptr) return false;
  uint64_t& skips = batch.context.fast_skips;
  if (skips != 0) {
    --skips;
    return false;
  }
  Flush(batch);
  counters_.calls(Syscall::kSend).Add(1);
  const FastSend result = batch.fast->Send(worker_, packet);
  if (result == FastSend::kRefused) skips = kSkips;
  if (result == FastSend::kLost) skips = UINT64_MAX;
  return result != FastSend::kRefused;
}

// What is not understood is not sent: its segments can not be told.
void Output::TakeSuper(const Batch& batch, const PacketBuffer& packet,
                       const encap::SizeVerdict& verdict) noexcept {
  InnerSegments segments;
  const DropReason reason =
      InnerSegments::Plan(packet, batch.variant.ethernet, segments);
  if (reason != DropReason::kNone) return DropInner(batch, packet, reason);
  if (verdict.action == SizeAction::kSend) {
    for (size_t i = 0; i < segments.count(); ++i) {
      PacketBuffer& piece = NewPiece(batch, segments.max_len());
      segments.Write(i, piece);
      Send(batch, piece);
    }
    return;
  }
  for (size_t i = 0; i < segments.count(); ++i) {
    PacketBuffer segment({segment_storage_.get(), kPacketBytes}, kPieceHeadroom,
                         0);
    segments.Write(i, segment);
    // The sender is told by one segment as it would have crossed.
    if (verdict.action == SizeAction::kRefuse)
      return Refuse(batch, segment, verdict.mtu, segments.count());
    Act(batch, segment,
        batch.variant.size_policy.Judge(segment, batch.path_mtu));
  }
}

void Output::Act(const Batch& batch, PacketBuffer& packet,
                 const encap::SizeVerdict& verdict) noexcept {
  const DropReason reason = encap::FinishChecksum(packet);
  if (reason != DropReason::kNone) return DropInner(batch, packet, reason);
  switch (verdict.action) {
    case SizeAction::kSend:
      return Send(batch, packet);
    case SizeAction::kFragmentInner:
      return CutInner(batch, packet, verdict.mtu);
    case SizeAction::kFragmentOuter:
      return CutOuter(batch, packet, verdict.mtu);
    case SizeAction::kRefuse:
      return Refuse(batch, packet, verdict.mtu);
  }
}

void Output::Send(const Batch& batch, PacketBuffer& packet) noexcept {
  const auto inner_bytes = static_cast<uint32_t>(packet.size());
  if (Encapsulate(batch, packet)) Queue(batch, packet, {inner_bytes, true});
}

// Each fragment is an inner packet of its own.
void Output::CutInner(const Batch& batch, PacketBuffer& packet,
                      uint32_t mtu) noexcept {
  encap::FragmentOptions options;
  options.mtu = mtu;
  if (batch.variant.ethernet) {
    encap::InnerPacket inner;
    encap::ReadInnerFrame(packet.bytes(), inner);
    options.prefix_len = inner.ip_offset;
  }
  encap::Fragmenter cut;
  const DropReason reason =
      encap::Fragmenter::Start(packet.bytes(), options, cut);
  if (reason != DropReason::kNone) return DropInner(batch, packet, reason);
  while (!cut.done()) {
    PacketBuffer& piece = NewPiece(batch, cut.max_size());
    piece.Append(cut.max_size());
    piece.Trim(cut.Next(piece.bytes()));
    Send(batch, piece);
  }
}

void Output::CutOuter(const Batch& batch, PacketBuffer& packet,
                      uint32_t mtu) noexcept {
  const auto inner_bytes = static_cast<uint32_t>(packet.size());
  if (!Encapsulate(batch, packet)) return;
  // An IPv6 packet of up to 1280 bytes passes whatever the DF policy says (RFC
  // 4213 3.2).
  const encap::FragmentOptions options{.mtu = mtu,
                                       .identification = NextFragmentId(),
                                       .ignore_dont_fragment = true};
  encap::Fragmenter cut;
  const DropReason reason =
      encap::Fragmenter::Start(packet.bytes(), options, cut);
  if (reason != DropReason::kNone) {
    batch.tunnel.CountDropTx(reason);
    return TapDrop(batch, CapturedPacket::Layer::kOuter, packet, reason);
  }
  while (!cut.done()) {
    PacketBuffer& piece = NewPiece(batch, cut.max_size());
    piece.Append(cut.max_size());
    piece.Trim(cut.Next(piece.bytes()));
    Queue(batch, piece, {inner_bytes, cut.done()});
  }
}

void Output::Refuse(const Batch& batch, const PacketBuffer& packet,
                    uint32_t mtu, size_t count) noexcept {
  DropInner(batch, packet, DropReason::kTooBig, count);
  if (mtu == 0) return;
  reply_.Send({encap::InnerError::Kind::kTooBig, mtu}, packet.bytes(),
              batch.variant.ethernet, batch.context.inner_errors, batch.now_ns,
              batch.queue);
}

bool Output::Encapsulate(const Batch& batch, PacketBuffer& packet) noexcept {
  const DropReason reason =
      batch.variant.encapsulator.Encapsulate(packet, batch.context.output);
  if (reason == DropReason::kNone) return true;
  DropInner(batch, packet, reason);
  if (reason != DropReason::kRecursion || batch.variant.ethernet) return false;
  // No further encapsulation is allowed (RFC 2473 4.1.1).
  const std::optional<encap::EncapLimit> limit =
      encap::FindEncapLimit(packet.bytes());
  if (!limit.has_value()) return false;
  reply_.Send({encap::InnerError::Kind::kParameterProblem, limit->offset},
              packet.bytes(), false, batch.context.inner_errors, batch.now_ns,
              batch.queue);
  return false;
}

void Output::Queue(const Batch& batch, PacketBuffer& packet,
                   const Charge& charge) noexcept {
  outgoing_[ready_] = {&packet, &batch.variant.route, DropReason::kNone};
  charges_[ready_] = charge;
  if (++ready_ == kBatch) Flush(batch);
}

void Output::Flush(const Batch& batch) noexcept {
  used_pieces_ = 0;
  used_bytes_ = 0;
  if (ready_ == 0) return;
  // An answer may come before the call returns: it must not seem the older.
  const uint64_t handed_ns = batch.taps == nullptr ? 0 : RealtimeNs();
  counters_.calls(Syscall::kSend)
      .Add(transport_.SendBatch({outgoing_.data(), ready_}));
  counters_.transmit_batches.Add(1);
  counters_.transmit_batch.Record(ready_);
  uint64_t sent = 0;
  uint64_t bytes = 0;
  if (batch.taps != nullptr) TapSent(batch, handed_ns);
  for (size_t i = 0; i < ready_; ++i) {
    if (failed_ == DropReason::kNone) failed_ = outgoing_[i].result;
    if (!charges_[i].last) continue;
    if (failed_ == DropReason::kNone) {
      ++sent;
      bytes += charges_[i].inner_bytes;
    } else {
      batch.tunnel.CountDropTx(failed_);
    }
    failed_ = DropReason::kNone;
  }
  ready_ = 0;
  counters_.transmit_packets.Add(sent);
  batch.tunnel.transmit_packets.Add(sent);
  batch.tunnel.transmit_bytes.Add(bytes);
}

void Output::TapSent(const Batch& batch, uint64_t handed_ns) noexcept {
  for (size_t i = 0; i < ready_; ++i) {
    const OutgoingPacket& out = outgoing_[i];
    if (out.result == DropReason::kNone) {
      batch.taps->Outer(worker_, true, out.packet->bytes(), handed_ns);
    } else {
      batch.taps->Drop(worker_, true, out.result, CapturedPacket::Layer::kOuter,
                       out.packet->bytes(), handed_ns);
    }
  }
}

void Output::TapDrop(const Batch& batch, CapturedPacket::Layer layer,
                     const PacketBuffer& packet, DropReason why) noexcept {
  if (batch.taps != nullptr)
    batch.taps->Drop(worker_, true, why, layer, packet.bytes());
}

void Output::DropInner(const Batch& batch, const PacketBuffer& packet,
                       DropReason why, size_t count) noexcept {
  batch.tunnel.CountDropTx(why, count);
  TapDrop(batch, CapturedPacket::Layer::kInner, packet, why);
}

PacketBuffer& Output::NewPiece(const Batch& batch, size_t size) noexcept {
  constexpr size_t kCacheLine = 64;
  const size_t room =
      (kPieceHeadroom + size + kCacheLine - 1) / kCacheLine * kCacheLine;
  if (used_pieces_ == kBatch || used_bytes_ + room > kPieceBytes) Flush(batch);
  PacketBuffer& piece = pieces_[used_pieces_++];
  piece = PacketBuffer({piece_storage_.get() + used_bytes_, room},
                       kPieceHeadroom, 0);
  used_bytes_ += room;
  return piece;
}

// Of two workers never the same, also in the low 16 bits that IPv4 has.
uint32_t Output::NextFragmentId() noexcept {
  constexpr int kWorkerBits = 4;
  return fragment_count_++ << kWorkerBits |
         (worker_ & ((1u << kWorkerBits) - 1));
}

// A packet that a tunnel of this host has made already would be nested: refused
// at the first level, as the BSDs do, so that tunnels routed into each other
// can not loop (RFC 2473 4.1).
bool Output::IsNested(const Variant& variant,
                      const PacketBuffer& packet) const noexcept {
  const std::optional<OwnOuter> outer =
      ReadOwnOuter(packet.bytes(), variant.ethernet);
  if (!outer.has_value()) return false;
  if (outer->protocol == encap::kProtoUdp && !table_.HasUdp()) return false;
  return table_.IsOwnOuter(outer->protocol, outer->addresses, outer->udp_port);
}

}  // namespace tunnel
