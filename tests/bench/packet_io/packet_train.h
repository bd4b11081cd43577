// PacketTrain: finished GRE packets (RFC 2784) of one inner flow, as Ethernet
// frames that are written once and sent again and again. Immutable.

#ifndef TESTS_BENCH_PACKET_IO_PACKET_TRAIN_H_
#define TESTS_BENCH_PACKET_IO_PACKET_TRAIN_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "tests/bench/packet_io/probe.h"

namespace bench {

enum class Inner {
  kUdp,  // datagrams, which nothing merges
  kTcp,  // consecutive segments, which GRO merges
};

class PacketTrain {
 public:
  static constexpr size_t kPackets = 64;  // as many as one call sends
  static constexpr size_t kEthernetLen = 14;
  static constexpr size_t kMinSize = 64;
  static constexpr size_t kMaxSize = 1500;

  // Packets of `size` bytes, outer IP header included, kMinSize to kMaxSize.
  PacketTrain(const Link& link, Inner inner, size_t size);

  std::span<const uint8_t> frame(size_t i) const {
    return {frames_[i].data() + kHeadroom, kEthernetLen + size_};
  }
  std::span<const uint8_t> packet(size_t i) const {
    return frame(i).subspan(kEthernetLen);
  }

  // How many packets of a train an outer packet of `size` bytes is: more than
  // one when it has been merged, 0 when it is none.
  size_t PacketsIn(size_t size) const;

 private:
  static constexpr size_t kHeadroom = 128;

  void WriteInner(std::span<uint8_t> packet, size_t number) const;
  void WriteTcp(std::span<uint8_t> segment, size_t number) const;

  const Inner inner_;
  const size_t size_;
  std::array<std::array<uint8_t, kHeadroom + kEthernetLen + kMaxSize>, kPackets>
      frames_{};
};

}  // namespace bench

#endif  // TESTS_BENCH_PACKET_IO_PACKET_TRAIN_H_
