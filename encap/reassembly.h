// Reassembler: puts IPv4 and IPv6 packets together from their fragments, within
// bounds (RFC 791 3.2, RFC 815, RFC 8200 4.5, RFC 5722, RFC 6946).
//
// For receivers that the kernel gives fragments: packet sockets, XDP, a router
// of one's own. Raw sockets need it not. All memory is taken at construction.
// One thread at a time; give each receiving thread one of its own, with all
// fragments between two addresses going to the same thread. No lock, log,
// exception or clock: the caller says what time it is.

#ifndef ENCAP_REASSEMBLY_H_
#define ENCAP_REASSEMBLY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "encap/fragment_parse.h"
#include "encap/fragment_store.h"
#include "encap/packet.h"

namespace encap {

struct ReassemblyOptions {
  // Packets in progress. One more makes the oldest of them give way.
  size_t max_packets = 256;
  // Bytes held, counted in blocks of FragmentStore::kBlockLen of which each
  // fragment takes as many as it needs. Where they run out the oldest packets
  // give way.
  size_t max_bytes = 4u << 20;
  // Fragments of one packet.
  size_t max_fragments = 64;
  // From the first fragment on: 60 s (RFC 8200 4.5, RFC 1122 3.3.2).
  uint64_t timeout_ns = 60'000'000'000;
  // Spreads the packets over the buckets: not to be guessed by a sender.
  uint64_t hash_seed = 0x9e3779b97f4a7c15;
};

// Why fragments were dropped. X(Enumerator, "name", "what happened")
#define ENCAP_REASSEMBLY_DROPS(X)                                      \
  X(Malformed, "malformed",                                            \
    "lengths or headers of a fragment that can not be")                \
  X(Overlap, "overlap",                                                \
    "fragments of a packet overlap: all of it is dropped (RFC 5722)")  \
  X(Inconsistent, "inconsistent", "two ends, or bytes behind the end") \
  X(Duplicate, "duplicate", "the same fragment once more")             \
  X(Ecn, "ecn", "fragments with and without ECN (RFC 3168 5.3)")       \
  X(TooLong, "too_long", "longer than 65,535 bytes when put together") \
  X(TooMany, "too_many", "more fragments than a packet may have")      \
  X(Timeout, "timeout", "not complete in time")                        \
  X(PacketLimit, "packet_limit", "gave way to a newer packet")         \
  X(ByteLimit, "byte_limit", "gave way to newer fragments")

enum class ReassemblyDrop : uint8_t {
#define ENCAP_X(id, name, text) k##id,
  ENCAP_REASSEMBLY_DROPS(ENCAP_X)
#undef ENCAP_X
};

inline constexpr size_t kReassemblyDropCount = 0
#define ENCAP_X(id, name, text) +1
    ENCAP_REASSEMBLY_DROPS(ENCAP_X)
#undef ENCAP_X
    ;

// lower_snake_case, stable.
std::string_view ReassemblyDropName(ReassemblyDrop drop) noexcept;

// All in fragments, but for `completed`. At any time
// received == joined + held + the sum of dropped.
struct ReassemblyStats {
  uint64_t received = 0;   // fragments, well-formed or not
  uint64_t joined = 0;     // went into a packet that was completed
  uint64_t completed = 0;  // packets
  uint64_t held = 0;       // now
  std::array<uint64_t, kReassemblyDropCount> dropped{};
  uint64_t dropped_for(ReassemblyDrop drop) const noexcept {
    return dropped[static_cast<size_t>(drop)];
  }
};

enum class ReassemblyVerdict : uint8_t {
  kWhole,     // no fragment: `packet` is untouched, to be used as it is
  kHeld,      // kept, in a copy: the storage of `packet` is free again
  kComplete,  // `packet` is now the whole packet
  kDropped,   // counted; `packet` is untouched
};

class Reassembler {
 public:
  // Every limit is taken as at least 1, and `max_bytes` as what one packet of
  // any length may need.
  explicit Reassembler(const ReassemblyOptions& options = {});
  ~Reassembler();
  Reassembler(const Reassembler&) = delete;
  Reassembler& operator=(const Reassembler&) = delete;

  // `packet` starts at the IP header. On kComplete it views storage of the
  // Reassembler, with kMaxEncapHeadroom bytes of headroom, until the next
  // call: header of the first fragment (IPv6: without the fragment header),
  // lengths and IPv4 checksum set anew, ECN field by RFC 3168 5.3. Its hint is
  // that of an ordinary packet. `now_ns` never goes back; any start.
  ReassemblyVerdict Add(PacketBuffer& packet, uint64_t now_ns) noexcept;

  // Drops what is too old. Add() does so too: this is for quiet times.
  void Expire(uint64_t now_ns) noexcept;

  const ReassemblyStats& stats() const noexcept { return stats_; }
  size_t packets_in_progress() const noexcept { return in_progress_; }

 private:
  using Index = FragmentStore::Index;
  static constexpr Index kNil = FragmentStore::kNil;
  struct Entry;  // a packet in progress
  // Between which fragments of its packet one belongs.
  struct Place {
    Index before;
    Index behind;
  };

  size_t BucketOf(const FragmentInfo& info) const noexcept;
  Index FindEntry(const FragmentInfo& info, size_t bucket) const noexcept;
  Index NewEntry(const FragmentInfo& info, size_t bucket,
                 uint64_t now_ns) noexcept;
  void FreeEntry(Index index) noexcept;

  // Takes `info` into `entry`; false when it was dropped, and counted.
  bool Take(Entry& entry, const FragmentInfo& info) noexcept;
  static bool EndFits(const Entry& entry, const FragmentInfo& info) noexcept;
  static bool LengthFits(const Entry& entry, const FragmentInfo& info) noexcept;
  Place FindPlace(const Entry& entry, const FragmentInfo& info) const noexcept;
  void Store(Entry& entry, const FragmentInfo& info, Place place) noexcept;
  // Makes room for `blocks` at the expense of entries other than `kept`.
  void MakeRoom(size_t blocks, const Entry& kept) noexcept;
  void FreeFragments(Entry& entry) noexcept;

  bool Drop(ReassemblyDrop why, uint64_t fragments = 1) noexcept;
  // Drops the fragments that `entry` holds.
  void DropHeld(Entry& entry, ReassemblyDrop why) noexcept;
  // The same with the one that has just come, and all that will come.
  bool Condemn(Entry& entry, ReassemblyDrop why) noexcept;

  ReassemblyVerdict Complete(Index index, PacketBuffer& packet) noexcept;
  // Writes the whole packet and returns its length.
  size_t Join(const Entry& entry) noexcept;

  ReassemblyOptions options_;
  ReassemblyStats stats_;
  size_t in_progress_ = 0;
  FragmentStore store_;
  std::vector<Entry> entries_;
  std::vector<Index> buckets_;  // by hash: the first entry
  std::vector<uint8_t> whole_;  // headroom and the completed packet
  Index free_entry_ = kNil;
  Index oldest_ = kNil;
  Index newest_ = kNil;
};

}  // namespace encap

#endif  // ENCAP_REASSEMBLY_H_
