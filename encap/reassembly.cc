#include "encap/reassembly.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "encap/bytes.h"
#include "encap/checksum.h"
#include "encap/dscp_ecn.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"

namespace encap {
namespace {

constexpr size_t kMaxTotalLen = 65535;
// The payload length of IPv6 does not count the first 40 bytes.
constexpr size_t kMaxWholeLen = kMaxTotalLen + ConstIpv6Header::kLen;
constexpr size_t kMaxFragments = kMaxTotalLen / 8 + 1;
constexpr size_t kMaxHeaderLen =
    ConstIpv6Header::kLen + kMaxFragmentExtensionBytes;

uint64_t Mix(uint64_t hash, uint64_t word) noexcept {
  hash = (hash ^ word) * 0x9fb21c651e98df25;
  return hash ^ (hash >> 29);
}

uint64_t MixAddress(uint64_t hash, const IpAddress& address) noexcept {
  const std::span<const uint8_t> bytes = address.bytes();
  if (address.is_v4()) return Mix(hash, LoadRaw<uint32_t>(bytes.data()));
  hash = Mix(hash, LoadRaw<uint64_t>(bytes.data()));
  return Mix(hash, LoadRaw<uint64_t>(bytes.data() + 8));
}

// Each fragment fills all its blocks but one.
size_t BlockCount(const ReassemblyOptions& options) noexcept {
  return std::max(options.max_bytes / FragmentStore::kBlockLen,
                  FragmentStore::BlocksFor(kMaxTotalLen) +
                      std::min(options.max_fragments, kMaxFragments) + 1);
}

constexpr std::array<std::string_view, kReassemblyDropCount> kDropNames = {
#define ENCAP_X(id, name, text) name,
    ENCAP_REASSEMBLY_DROPS(ENCAP_X)
#undef ENCAP_X
};

}  // namespace

std::string_view ReassemblyDropName(ReassemblyDrop drop) noexcept {
  return kDropNames[static_cast<size_t>(drop)];
}

struct Reassembler::Entry {
  IpAddress source;
  IpAddress destination;
  uint32_t id = 0;
  uint8_t protocol = 0;
  uint8_t ecn_seen = 0;  // bit n: codepoint n
  uint8_t next_header = 0;
  bool condemned = false;
  bool has_end = false;
  ReassemblyDrop why = ReassemblyDrop::kTimeout;  // condemned for
  uint16_t next_header_at = 0;
  uint16_t header_len = 0;  // 0: the first fragment is missing
  uint32_t fragments = 0;
  uint32_t bytes = 0;  // held
  uint32_t end = 0;    // of the payload; without has_end of what is held
  Index first = kNil;  // fragments
  Index last = kNil;
  Index next_in_bucket = kNil;  // or in the free list
  Index older = kNil;
  Index newer = kNil;
  uint64_t since_ns = 0;
  std::array<uint8_t, kMaxHeaderLen> header;
};

Reassembler::Reassembler(const ReassemblyOptions& options)
    : options_(options),
      store_(BlockCount(options)),
      entries_(std::max<size_t>(options.max_packets, 1)),
      buckets_(std::bit_ceil(2 * entries_.size()), kNil),
      whole_(kMaxEncapHeadroom + kMaxWholeLen) {
  options_.max_fragments =
      std::clamp<size_t>(options.max_fragments, 1, kMaxFragments);
  for (Index i = 0; i < entries_.size(); ++i) {
    entries_[i].next_in_bucket = std::exchange(free_entry_, i);
  }
}

Reassembler::~Reassembler() = default;

ReassemblyVerdict Reassembler::Add(PacketBuffer& packet,
                                   uint64_t now_ns) noexcept {
  FragmentInfo info;
  const FragmentKind kind = ParseFragment(std::as_const(packet).bytes(), info);
  if (kind == FragmentKind::kWhole) return ReassemblyVerdict::kWhole;
  ++stats_.received;
  if (kind == FragmentKind::kMalformed) {
    Drop(ReassemblyDrop::kMalformed);
    return ReassemblyVerdict::kDropped;
  }
  Expire(now_ns);
  const size_t bucket = BucketOf(info);
  Index index = FindEntry(info, bucket);
  if (index == kNil) index = NewEntry(info, bucket, now_ns);
  Entry& entry = entries_[index];
  if (!Take(entry, info)) return ReassemblyVerdict::kDropped;
  if (!entry.has_end || entry.bytes != entry.end) {
    return ReassemblyVerdict::kHeld;
  }
  return Complete(index, packet);
}

void Reassembler::Expire(uint64_t now_ns) noexcept {
  while (oldest_ != kNil) {
    Entry& entry = entries_[oldest_];
    if (now_ns - entry.since_ns < options_.timeout_ns) return;
    DropHeld(entry, ReassemblyDrop::kTimeout);
    FreeEntry(oldest_);
  }
}

size_t Reassembler::BucketOf(const FragmentInfo& info) const noexcept {
  uint64_t hash = MixAddress(options_.hash_seed, info.source);
  hash = MixAddress(hash, info.destination);
  hash = Mix(hash, uint64_t{info.protocol} << 32 | info.id);
  return hash & (buckets_.size() - 1);
}

Reassembler::Index Reassembler::FindEntry(const FragmentInfo& info,
                                          size_t bucket) const noexcept {
  Index index = buckets_[bucket];
  while (index != kNil) {
    const Entry& entry = entries_[index];
    if (entry.id == info.id && entry.protocol == info.protocol &&
        entry.source == info.source && entry.destination == info.destination) {
      break;
    }
    index = entry.next_in_bucket;
  }
  return index;
}

Reassembler::Index Reassembler::NewEntry(const FragmentInfo& info,
                                         size_t bucket,
                                         uint64_t now_ns) noexcept {
  if (free_entry_ == kNil) {
    DropHeld(entries_[oldest_], ReassemblyDrop::kPacketLimit);
    FreeEntry(oldest_);
  }
  const Index index = free_entry_;
  Entry& entry = entries_[index];
  free_entry_ = entry.next_in_bucket;
  entry.source = info.source;
  entry.destination = info.destination;
  entry.id = info.id;
  entry.protocol = info.protocol;
  entry.ecn_seen = 0;
  entry.condemned = entry.has_end = false;
  entry.header_len = 0;
  entry.fragments = entry.bytes = entry.end = 0;
  entry.first = entry.last = kNil;
  entry.since_ns = now_ns;
  entry.next_in_bucket = std::exchange(buckets_[bucket], index);
  entry.newer = kNil;
  entry.older = newest_;
  (newest_ == kNil ? oldest_ : entries_[newest_].newer) = index;
  newest_ = index;
  ++in_progress_;
  return index;
}

void Reassembler::FreeEntry(Index index) noexcept {
  Entry& entry = entries_[index];
  FreeFragments(entry);
  FragmentInfo key;
  key.source = entry.source;
  key.destination = entry.destination;
  key.id = entry.id;
  key.protocol = entry.protocol;
  Index* link = &buckets_[BucketOf(key)];
  while (*link != index) link = &entries_[*link].next_in_bucket;
  *link = entry.next_in_bucket;
  (entry.older == kNil ? oldest_ : entries_[entry.older].newer) = entry.newer;
  (entry.newer == kNil ? newest_ : entries_[entry.newer].older) = entry.older;
  entry.next_in_bucket = std::exchange(free_entry_, index);
  --in_progress_;
}

bool Reassembler::Take(Entry& entry, const FragmentInfo& info) noexcept {
  if (entry.condemned) return Drop(entry.why);
  if (entry.fragments == options_.max_fragments) {
    return Condemn(entry, ReassemblyDrop::kTooMany);
  }
  const size_t end = info.offset + info.data.size();
  const Place place = FindPlace(entry, info);
  for (const Index near : {place.before, place.behind}) {
    if (near == kNil || store_.offset(near) >= end ||
        store_.offset(near) + store_.len(near) <= info.offset) {
      continue;
    }
    // An exact copy does no harm, and networks do make them (RFC 8200 4.5).
    return store_.Equals(near, info.offset, info.data)
               ? Drop(ReassemblyDrop::kDuplicate)
               : Condemn(entry, ReassemblyDrop::kOverlap);
  }
  if (!EndFits(entry, info)) {
    return Condemn(entry, ReassemblyDrop::kInconsistent);
  }
  if (!LengthFits(entry, info)) {
    return Condemn(entry, ReassemblyDrop::kTooLong);
  }
  entry.ecn_seen |= static_cast<uint8_t>(1 << (info.tos & kEcnMask));
  if ((entry.ecn_seen & 1) != 0 && entry.ecn_seen != 1) {
    return Condemn(entry, ReassemblyDrop::kEcn);
  }
  MakeRoom(FragmentStore::BlocksFor(info.data.size()), entry);
  Store(entry, info, place);
  return true;
}

// One end, and nothing behind it.
bool Reassembler::EndFits(const Entry& entry,
                          const FragmentInfo& info) noexcept {
  const size_t end = info.offset + info.data.size();
  if (!info.more) return !entry.has_end && end >= entry.end;
  return !entry.has_end || end < entry.end;
}

// The header of the whole packet is that of its first fragment.
bool Reassembler::LengthFits(const Entry& entry,
                             const FragmentInfo& info) noexcept {
  const size_t header_len =
      info.offset == 0 ? info.header.size() : entry.header_len;
  const size_t end =
      std::max<size_t>(entry.end, info.offset + info.data.size());
  return header_len + end <=
         (info.source.is_v6() ? kMaxWholeLen : kMaxTotalLen);
}

Reassembler::Place Reassembler::FindPlace(
    const Entry& entry, const FragmentInfo& info) const noexcept {
  // In order, as most come.
  if (entry.last != kNil && store_.offset(entry.last) < info.offset) {
    return {entry.last, kNil};
  }
  Place place{kNil, entry.first};
  while (place.behind != kNil && store_.offset(place.behind) < info.offset) {
    place.before = place.behind;
    place.behind = store_.next(place.behind);
  }
  return place;
}

void Reassembler::Store(Entry& entry, const FragmentInfo& info,
                        Place place) noexcept {
  const Index index = store_.Put(info.offset, info.data);
  store_.next(index) = place.behind;
  (place.before == kNil ? entry.first : store_.next(place.before)) = index;
  if (place.behind == kNil) entry.last = index;
  ++entry.fragments;
  ++stats_.held;
  const auto len = static_cast<uint32_t>(info.data.size());
  entry.bytes += len;
  entry.end = std::max(entry.end, info.offset + len);
  if (!info.more) entry.has_end = true;
  if (info.offset == 0) {
    std::copy(info.header.begin(), info.header.end(), entry.header.begin());
    entry.header_len = static_cast<uint16_t>(info.header.size());
    entry.next_header = info.next_header;
    entry.next_header_at = info.next_header_at;
  }
}

void Reassembler::MakeRoom(size_t blocks, const Entry& kept) noexcept {
  Index index = oldest_;
  while (store_.free_blocks() < blocks) {
    Entry& entry = entries_[index];
    const Index newer = entry.newer;
    if (&entry != &kept) {
      DropHeld(entry, ReassemblyDrop::kByteLimit);
      FreeEntry(index);
    }
    index = newer;
  }
}

void Reassembler::FreeFragments(Entry& entry) noexcept {
  for (Index fragment = entry.first; fragment != kNil;) {
    store_.Free(std::exchange(fragment, store_.next(fragment)));
  }
  stats_.held -= entry.fragments;
  entry.first = entry.last = kNil;
  entry.fragments = 0;
}

bool Reassembler::Drop(ReassemblyDrop why, uint64_t fragments) noexcept {
  stats_.dropped[static_cast<size_t>(why)] += fragments;
  return false;
}

void Reassembler::DropHeld(Entry& entry, ReassemblyDrop why) noexcept {
  Drop(why, entry.fragments);
  FreeFragments(entry);
}

bool Reassembler::Condemn(Entry& entry, ReassemblyDrop why) noexcept {
  DropHeld(entry, why);
  entry.condemned = true;
  entry.why = why;
  return Drop(why);
}

ReassemblyVerdict Reassembler::Complete(Index index,
                                        PacketBuffer& packet) noexcept {
  const Entry& entry = entries_[index];
  const size_t len = Join(entry);
  stats_.joined += entry.fragments;
  ++stats_.completed;
  FreeEntry(index);
  packet = PacketBuffer(whole_, kMaxEncapHeadroom, len);
  return ReassemblyVerdict::kComplete;
}

size_t Reassembler::Join(const Entry& entry) noexcept {
  uint8_t* ip = whole_.data() + kMaxEncapHeadroom;
  std::memcpy(ip, entry.header.data(), entry.header_len);
  uint8_t* to = ip + entry.header_len;
  for (Index fragment = entry.first; fragment != kNil;
       fragment = store_.next(fragment)) {
    to = store_.CopyTo(fragment, to);
  }
  const auto len = static_cast<size_t>(to - ip);
  const bool ce = (entry.ecn_seen >> static_cast<int>(Ecn::kCe)) & 1;
  if (entry.source.is_v6()) {
    Ipv6Header header(ip);
    header.set_payload_length(static_cast<uint16_t>(len - Ipv6Header::kLen));
    ip[entry.next_header_at] = entry.next_header;
    if (ce) {
      header.set_traffic_class(WithEcn(header.traffic_class(), Ecn::kCe));
    }
    return len;
  }
  Ipv4Header header(ip);
  header.set_total_length(static_cast<uint16_t>(len));
  header.set_fragment(header.dont_fragment(), false, 0);
  if (ce) header.set_tos(WithEcn(header.tos(), Ecn::kCe));
  header.set_checksum(Be16());
  header.set_checksum(InternetChecksum({ip, entry.header_len}));
  return len;
}

}  // namespace encap
