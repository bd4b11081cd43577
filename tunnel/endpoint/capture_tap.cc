#include "tunnel/endpoint/capture_tap.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "tunnel/base/clock.h"

namespace tunnel {
namespace {

// Of each kind of buffers in a lane, bytes.
constexpr size_t kLaneBytes = size_t{4} << 20;
// Room for an ordinary packet.
constexpr size_t kSmall = 2048;
// Buffers of a lane that its reader gives back at once.
constexpr size_t kGiveBack = 64;

struct Buffer {
  CapturedPacket packet;
  uint8_t* bytes = nullptr;
  bool small = false;
};

// Buffers of one size, and those of them that are free.
class Pool {
 public:
  Pool(size_t size, bool small)
      : count_(kLaneBytes / size),
        // Not initialised: pages that no packet needs are never touched.
        storage_(new uint8_t[count_ * size]),
        buffers_(count_),
        free_(count_) {
    for (size_t i = 0; i < count_; ++i) {
      buffers_[i].bytes = storage_.get() + i * size;
      buffers_[i].small = small;
      free_.Push(&buffers_[i]);
    }
  }
  size_t count() const { return count_; }

  // ---- the worker ----
  bool Get(Buffer*& buffer) noexcept { return free_.Pop(buffer); }

  // ---- the reader ----
  // Free for the worker from Publish() on.
  void Stage(Buffer* buffer) noexcept {
    free_.Claim(staged_ + 1);  // there is room for all
    free_.slot(staged_++) = buffer;
  }
  void Publish() noexcept {
    if (staged_ != 0) free_.Publish(std::exchange(staged_, 0));
  }

 private:
  const size_t count_;
  const std::unique_ptr<uint8_t[]> storage_;
  std::vector<Buffer> buffers_;
  SpscRing<Buffer*> free_;  // from the reader to the worker
  size_t staged_ = 0;       // the reader's
};

}  // namespace

struct CaptureTap::Lane {
  explicit Lane(uint32_t snap_length)
      : small(std::min<size_t>(snap_length, kSmall), true),
        large(std::max<size_t>(snap_length, kSmall), false),
        full(small.count() + large.count()) {}

  // ---- the reader ----
  // The oldest packet that was not handed out; null: there is none.
  Buffer* Next() noexcept {
    if (full.Available() == taken && full.Depth() == taken) return nullptr;
    return full.at(taken);
  }
  // What was handed out is the worker's again. The room in `full` comes first:
  // each free buffer finds a place there.
  void GiveBack() noexcept {
    if (taken == 0) return;
    const size_t found = full.Depth();
    depth.Record(found);
    depth_sum.Add(found);
    if (found > high_watermark.value()) high_watermark.Set(found);
    visits.Add(1);
    delivered.Add(taken);
    for (size_t i = 0; i < taken; ++i) {
      Buffer* const buffer = full.at(i);
      (buffer->small ? small : large).Stage(buffer);
    }
    full.Release(std::exchange(taken, 0));
    small.Publish();
    large.Publish();
  }

  Pool small, large;
  SpscRing<Buffer*> full;  // from the worker to the reader
  // The worker's.
  alignas(64) OwnedCounter accepted;
  OwnedCounter lost;
  // The reader's.
  alignas(64) size_t taken = 0;  // handed out, not given back
  OwnedCounter delivered, visits, depth_sum, high_watermark;
  DepthHistogram depth;
};

CaptureTap::CaptureTap(const CaptureOptions& options, size_t workers)
    : options_(options) {
  for (size_t i = 0; i < workers; ++i)
    lanes_.push_back(std::make_unique<Lane>(options.snap_length));
}

CaptureTap::~CaptureTap() = default;

void CaptureTap::Copy(size_t worker, const CapturedPacket& packet) noexcept {
  Lane& lane = *lanes_[worker];
  const size_t kept =
      std::min<size_t>(packet.bytes.size(), options_.snap_length);
  Pool& pool = kept <= kSmall ? lane.small : lane.large;
  Buffer* buffer = nullptr;
  if (!pool.Get(buffer)) return lane.lost.Add(1);
  if (kept > 0) std::memcpy(buffer->bytes, packet.bytes.data(), kept);
  buffer->packet = packet;
  buffer->packet.bytes = {buffer->bytes, kept};
  lane.full.Push(buffer);  // it has room for all buffers
  lane.accepted.Add(1);
}

CaptureTap::Lane* CaptureTap::Oldest() noexcept {
  Lane* first = nullptr;
  uint64_t first_ns = 0;
  for (const auto& lane : lanes_) {
    const Buffer* const oldest = lane->Next();
    if (oldest == nullptr) continue;
    const uint64_t ns = oldest->packet.time_ns;
    if (first != nullptr && ns >= first_ns) continue;
    first = lane.get();
    first_ns = ns;
  }
  return first;
}

size_t CaptureTap::Drain(size_t max_packets, size_t max_bytes,
                         absl::FunctionRef<void(const CapturedPacket&)> take) {
  size_t packets = 0, bytes = 0;
  while (packets < max_packets && bytes < max_bytes) {
    // Two looks: what was copied before something that the first one found, by
    // the worker that had the flow until then, is there at the second.
    Lane* const first = Oldest() == nullptr ? nullptr : Oldest();
    if (first == nullptr) break;
    const CapturedPacket& packet = first->Next()->packet;
    take(packet);
    ++packets;
    bytes += packet.bytes.size();
    if (++first->taken == kGiveBack) first->GiveBack();
  }
  for (const auto& lane : lanes_) lane->GiveBack();
  return packets;
}

size_t CaptureTap::Waiting() noexcept {
  size_t sum = 0;
  for (const auto& lane : lanes_) sum += lane->full.Depth();
  return sum;
}

HandoffCounters CaptureTap::Counters() const {
  HandoffCounters sum;
  for (const auto& lane : lanes_) {
    const uint64_t done = lane->delivered.value();
    const uint64_t taken = lane->accepted.value();
    sum.packets += taken;
    sum.depth += taken > done ? taken - done : 0;
    sum.capacity += lane->small.count() + lane->large.count();
    sum.high_watermark =
        std::max(sum.high_watermark, lane->high_watermark.value());
    sum.reads += lane->visits.value();
    sum.depth_sum += lane->depth_sum.value();
    sum.drops += lane->lost.value();
    lane->depth.AddTo(sum.depths);
  }
  // Each copy is handed over by itself.
  sum.batches = sum.batch[0] = sum.packets;
  return sum;
}

uint64_t CaptureTap::lost() const noexcept {
  uint64_t sum = 0;
  for (const auto& lane : lanes_) sum += lane->lost.value();
  return sum;
}

TapSet::TapSet(std::vector<std::shared_ptr<CaptureTap>> taps)
    : taps_(std::move(taps)) {}

void TapSet::Give(size_t worker, bool CaptureOptions::*wanted,
                  const CapturedPacket& packet) const noexcept {
  for (const auto& tap : taps_) {
    if (tap->options().*wanted) tap->Copy(worker, packet);
  }
}

void TapSet::Outer(size_t worker, bool transmit, std::span<const uint8_t> bytes,
                   uint64_t time_ns) const noexcept {
  Give(worker, &CaptureOptions::outer,
       {time_ns, CapturedPacket::Layer::kOuter, transmit,
        encap::DropReason::kNone, static_cast<uint32_t>(bytes.size()), bytes});
}

void TapSet::Inner(size_t worker, bool transmit,
                   std::span<const uint8_t> bytes) const noexcept {
  Give(worker, &CaptureOptions::inner,
       {RealtimeNs(), CapturedPacket::Layer::kInner, transmit,
        encap::DropReason::kNone, static_cast<uint32_t>(bytes.size()), bytes});
}

void TapSet::Drop(size_t worker, bool transmit, encap::DropReason why,
                  CapturedPacket::Layer layer, std::span<const uint8_t> bytes,
                  uint64_t time_ns) const noexcept {
  Give(worker, &CaptureOptions::drops,
       {time_ns, layer, transmit, why, static_cast<uint32_t>(bytes.size()),
        bytes});
}

}  // namespace tunnel
