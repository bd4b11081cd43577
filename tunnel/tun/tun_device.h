// TunDevice, TunQueue: a TUN or TAP network device with several queues.

#ifndef TUNNEL_TUN_TUN_DEVICE_H_
#define TUNNEL_TUN_TUN_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "encap/packet.h"

namespace tunnel {

// What a device does with super-packets.
struct TunOffloads {
  // ReadBatch() may give TCP super-packets and partial checksums, and received
  // TCP packets should be merged before Write().
  bool tcp = false;
  // The same of UDP.
  bool udp = false;
};

// One queue of a device. Used by one worker at a time; no function blocks.
class TunQueue {
 public:
  virtual ~TunQueue() = default;

  // Becomes readable when a packet waits. Owned by the queue.
  virtual int fd() const = 0;

  // Super-packets that were read and wait to be sent would push each other out
  // of the cache.
  static constexpr size_t kReadBytes = size_t{64} << 10;

  struct ReadResult {
    size_t packets = 0;
    size_t calls = 0;  // system calls made
    // The device is gone (EBADFD, ENODEV): nothing more will ever come.
    bool gone = false;
  };
  // Reads up to packets.size() packets that wait, and none behind the one with
  // which they reach kReadBytes. Each packets[i] must come
  // with its storage and a size() of its whole room behind the headroom;
  // afterwards the first `packets` of them hold an IP packet (Ethernet frame on
  // TAP) with its hint set. Those behind stay as they were.
  virtual ReadResult ReadBatch(
      std::span<encap::PacketBuffer> packets) noexcept = 0;

  enum class WriteResult : uint8_t {
    kOk,
    kRefused,  // not taken (EIO: link down, EINVAL: malformed, ENOBUFS):
               // counted, not retried
    kGone,
  };
  // Hands a packet, with its hint, to the kernel as if it had been received.
  // Needs kTunHeadroom bytes of headroom; `packet` is changed.
  virtual WriteResult Write(encap::PacketBuffer& packet) noexcept = 0;

  // Constant. Write() takes TCP super-packets whatever it says, and those of
  // UDP where the kernel knows them.
  virtual TunOffloads offloads() const noexcept { return {}; }
};

// Headroom that TunQueue::Write() takes for the virtio_net_hdr, bytes.
inline constexpr size_t kTunHeadroom = 16;

// The device. Made and destroyed by the control path; destruction removes it
// from the system (unless it is persistent) and its queues must be idle by
// then.
class TunDevice {
 public:
  virtual ~TunDevice() = default;
  virtual const std::string& name() const = 0;
  virtual uint32_t ifindex() const = 0;
  virtual size_t queue_count() const = 0;
  // i < queue_count().
  virtual TunQueue& queue(size_t i) = 0;
  // Whether the device outlives its owner (TUNSETPERSIST). A new device does
  // not, an adopted one does. Errors: NETLINK_ERROR with the kernel's words.
  virtual absl::Status SetPersistent(bool persistent) = 0;
};

class TunFactory {
 public:
  virtual ~TunFactory() = default;

  struct Request {
    std::string name;
    bool ethernet = false;  // TAP
    size_t queues = 1;
  };
  // Makes a device that does not exist yet; its link is down.
  // Errors: NAME_IN_USE (any interface has the name), TUN_UNAVAILABLE,
  // MISSING_CAPABILITY, FD_LIMIT, KERNEL_FEATURE_MISSING.
  virtual absl::StatusOr<std::unique_ptr<TunDevice>> Open(
      const Request& request) = 0;

  // Takes over the persistent device `request.name` that a process before made
  // and left. Its link settings stay as they are. Errors: DEVICE_NOT_FOUND (no
  // interface has the name); NAME_IN_USE, which says what differs, when it has
  // another ifindex, kind or flags than Open() would give it, or is in use; and
  // those of Open().
  virtual absl::StatusOr<std::unique_ptr<TunDevice>> Adopt(
      const Request& request, uint32_t ifindex) = 0;
};

}  // namespace tunnel

#endif  // TUNNEL_TUN_TUN_DEVICE_H_
