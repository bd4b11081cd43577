// XdpSocket: an AF_XDP socket in copy mode on queue 0 of a device, with its
// frames and four rings (Documentation/networking/af_xdp.rst). One thread.
// Whatever fails ends the process.

#ifndef TESTS_BENCH_PACKET_IO_XDP_SOCKET_H_
#define TESTS_BENCH_PACKET_IO_XDP_SOCKET_H_

#include <linux/if_xdp.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "tunnel/base/unique_fd.h"

namespace bench {

// One ring in memory that is shared with the kernel: one side produces, the
// other consumes. `Slot` is uint64_t (fill, completion) or xdp_desc.
template <typename Slot>
class XdpRing {
 public:
  // Maps the ring of `slots` (a power of two) at `page_offset` of `fd`.
  void Map(int fd, off_t page_offset, const xdp_ring_offset& offset,
           uint32_t slots);
  ~XdpRing();

  // Slots that this side may fill, as producer, or read, as consumer.
  uint32_t Free() const noexcept;
  uint32_t Ready() const noexcept;
  // Slot `i` of those, from 0.
  Slot& ToFill(uint32_t i) noexcept { return At(*producer_ + i); }
  const Slot& ToRead(uint32_t i) noexcept { return At(*consumer_ + i); }
  // Gives the first `n` of them to the kernel.
  void Produced(uint32_t n) noexcept;
  void Consumed(uint32_t n) noexcept;

 private:
  Slot& At(uint32_t index) noexcept { return slots_[index & mask_]; }

  void* map_ = nullptr;
  size_t map_len_ = 0;  // bytes
  uint32_t* producer_ = nullptr;
  uint32_t* consumer_ = nullptr;
  Slot* slots_ = nullptr;
  uint32_t mask_ = 0;
};

class XdpSocket {
 public:
  static constexpr uint32_t kFrames = 4096;
  static constexpr uint32_t kFrameLen = 2048;  // bytes

  // Binds to `device` in the network namespace of the caller. A socket that
  // receives gives all frames to the kernel and gets what XdpRedirect sends it.
  enum class Use { kSend, kReceive };
  XdpSocket(const std::string& device, Use use);
  ~XdpSocket();
  XdpSocket(const XdpSocket&) = delete;
  XdpSocket& operator=(const XdpSocket&) = delete;

  int fd() const { return fd_.get(); }
  uint8_t* frame(uint64_t address) { return frames_ + address; }

  XdpRing<uint64_t> fill;        // frames for packets that come
  XdpRing<xdp_desc> receive;     // packets that have come
  XdpRing<xdp_desc> transmit;    // packets to send
  XdpRing<uint64_t> completion;  // frames that have been sent

 private:
  void RegisterFrames();
  void MapRings(Use use);

  const tunnel::UniqueFd fd_;
  uint8_t* frames_ = nullptr;
};

// Hands packets of protocol 47 over IPv4 that come in by queue 0 of a device to
// an XdpSocket, and all others on. Goes away with the object.
class XdpRedirect {
 public:
  // kNative: before the kernel makes a packet buffer of its own; kGeneric:
  // behind that, for any device.
  enum class Hook { kNative, kGeneric };
  XdpRedirect(const std::string& device, Hook hook, const XdpSocket& socket);

 private:
  tunnel::UniqueFd map_, program_, link_;
};

}  // namespace bench

#endif  // TESTS_BENCH_PACKET_IO_XDP_SOCKET_H_
