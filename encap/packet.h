// PacketBuffer: a packet inside storage that the caller owns.
//
//   storage |<- headroom ->|<---- data ---->|<- tailroom ->|
//                          data()           data()+size()
//
// Encapsulation pushes outer headers into the headroom; decapsulation pulls
// them off. No byte of the payload is moved and nothing is allocated.
// The buffer is a view: storage must outlive it. Not thread-safe.

#ifndef ENCAP_PACKET_H_
#define ENCAP_PACKET_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace encap {

// Bytes that every encapsulation of this library fits into: outer IPv6 (40) +
// destination options (8) + UDP (8) + GRE with key, checksum, sequence (16) +
// a link header, rounded up to a cache line.
inline constexpr size_t kMaxEncapHeadroom = 128;

// What kind of super-packet the bytes are; the values of virtio_net_hdr.
enum class GsoType : uint8_t { kNone = 0, kTcp4 = 1, kTcp6 = 4, kUdp = 5 };

// Segmentation and checksum state of the *packet that data() points to*.
// Offsets are in bytes from data(). All zero: an ordinary finished packet.
struct SegmentHint {
  GsoType gso_type = GsoType::kNone;
  bool tcp_ecn = false;          // CWR is set on the first segment only
  bool needs_checksum = false;   // the 16-bit field at checksum_start +
                                 // checksum_offset holds the pseudo-header sum
  uint16_t gso_size = 0;         // payload bytes of each segment
  uint16_t header_len = 0;       // bytes before the payload of the super-packet
  uint16_t checksum_start = 0;   // first byte that the checksum covers
  uint16_t checksum_offset = 0;  // of the checksum field, from checksum_start

  // An ordinary packet, whole and with its checksums.
  bool is_plain() const noexcept {
    return (static_cast<uint8_t>(gso_type) |
            static_cast<uint8_t>(needs_checksum)) == 0;
  }
};

class PacketBuffer {
 public:
  PacketBuffer() = default;

  // `headroom` + `size` must be at most storage.size().
  PacketBuffer(std::span<uint8_t> storage, size_t headroom,
               size_t size) noexcept
      : storage_(storage.data()),
        data_(storage_ + headroom),
        end_(data_ + size),
        storage_end_(storage_ + storage.size()) {}

  uint8_t* data() noexcept { return data_; }
  const uint8_t* data() const noexcept { return data_; }
  size_t size() const noexcept { return static_cast<size_t>(end_ - data_); }
  size_t headroom() const noexcept {
    return static_cast<size_t>(data_ - storage_);
  }
  size_t tailroom() const noexcept {
    return static_cast<size_t>(storage_end_ - end_);
  }
  std::span<uint8_t> bytes() noexcept { return {data_, size()}; }
  std::span<const uint8_t> bytes() const noexcept { return {data_, size()}; }

  // Makes `n` bytes of headroom the new front; nullptr, and no change, when
  // the headroom is smaller. The new bytes are not initialised.
  uint8_t* Push(size_t n) noexcept {
    if (n > headroom()) return nullptr;
    return data_ -= n;
  }

  // The same where the caller has seen that `n` is at most headroom().
  uint8_t* PushInside(size_t n) noexcept { return data_ -= n; }

  // Takes `n` bytes off the front; false, and no change, when size() < n.
  bool Pull(size_t n) noexcept {
    if (n > size()) return false;
    data_ += n;
    return true;
  }

  // The same where the caller has seen that `n` is at most size().
  void PullInside(size_t n) noexcept { data_ += n; }

  // Cuts the packet to `n` bytes from the front; false when size() < n.
  bool Trim(size_t n) noexcept {
    if (n > size()) return false;
    end_ = data_ + n;
    return true;
  }

  // The same where the caller has seen that `n` is at most size().
  void TrimInside(size_t n) noexcept { end_ = data_ + n; }

  // Appends `n` bytes of tailroom; nullptr, and no change, when it is smaller.
  uint8_t* Append(size_t n) noexcept {
    if (n > tailroom()) return nullptr;
    uint8_t* end = end_;
    end_ += n;
    return end;
  }

  SegmentHint& hint() noexcept { return hint_; }
  const SegmentHint& hint() const noexcept { return hint_; }

 private:
  // Each change of the extent is one store of one pointer: a pair of values
  // that are stored apart and loaded together would stall.
  uint8_t* storage_ = nullptr;
  uint8_t* data_ = nullptr;
  uint8_t* end_ = nullptr;
  uint8_t* storage_end_ = nullptr;
  SegmentHint hint_;
};

}  // namespace encap

#endif  // ENCAP_PACKET_H_
