// FastPath: packets of a tunnel that the kernel carries by itself, below the
// TUN device. What it does not carry, or not yet, goes the user path.
//
// A worker that has a super-packet gives it back by Send(), where the kernel is
// many times faster: it cuts it once, when it has its outer header.
//
// It mirrors the steps of a rewire. A tunnel has a FastTunnel for as long as
// its device lives, each variant a FastEntry: prepared while the change can
// still fail, entered by SetOutput() and SetInput(), which can not fail and
// leave the packets to the user path where the kernel refuses. All calls but
// Read(), Send() and AwaitLoaded() need the configuration lock.
//
// A direction that is entered while it was not turns: packets go the user path
// until it is done with those before them, which the caller tells (Turn()).

#ifndef TUNNEL_BPF_FAST_PATH_H_
#define TUNNEL_BPF_FAST_PATH_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "encap/address.h"
#include "encap/encap_config.h"
#include "encap/packet.h"

namespace tunnel {

// What the kernel needs to know of one variant.
struct FastRecord {
  encap::EncapConfig config;      // with the outer source in force
  uint32_t underlay_ifindex = 0;  // that packets are sent by
  uint32_t bound_ifindex = 0;     // of the underlay device; 0: any
  uint32_t fwmark = 0;
  uint32_t path_mtu = 0;  // largest outer packet, bytes

  friend bool operator==(const FastRecord&, const FastRecord&) = default;
};

// What a received packet is looked up by; as the key of an endpoint.
struct FastInputKey {
  encap::AddressPair addresses;
  std::optional<uint32_t> key;
  uint32_t ifindex = 0;
  uint8_t protocol = 0;
  uint16_t udp_port = 0;  // with protocol 17
};

// Sums over the CPUs. Packets and bytes are inner ones.
struct FastCounters {
  uint64_t transmit_packets = 0, transmit_bytes = 0;
  uint64_t receive_packets = 0, receive_bytes = 0;
  uint64_t send_errors = 0;         // packets lost on their way out
  uint64_t inner_write_errors = 0;  // packets lost on their way in
  uint64_t transmit_passed = 0;     // packets left to the user path
  uint64_t last_receive_ns = 0;     // CLOCK_MONOTONIC_COARSE; 0: none
};

// Whether packets that the kernel has decapsulated are shared among CPUs.
enum class FastSteering {
  kOff,   // takes back what was set; leaves a mask that somebody else has set
  kAuto,  // steers, unless somebody else has set a mask
  kOn,    // steers
};

enum class FastDirection { kOut, kIn };

// What became of a packet that was given back.
enum class FastSend : uint8_t {
  kSent,     // encapsulated, and counted, as what enters the device is
  kRefused,  // the kernel does not carry it now: nothing has happened
  kLost,     // no program saw it, since somebody has taken ours away: it waits
             // in the device's queue once more
};

// How far a direction has turned.
struct FastTurn {
  bool turned = true;   // packets take the fast path, or nothing is entered
  uint64_t passed = 0;  // packets left to the user path while turning, ever
};

// The record of a variant in the kernel. Must be out of SetOutput() and
// SetInput() when it is destroyed; the kernel may still use it then.
class FastEntry {
 public:
  virtual ~FastEntry() = default;
};

// A device under whose queues packets are encapsulated.
class FastTunnel {
 public:
  virtual ~FastTunnel() = default;
  // `record` must be eligible (eligibility.h). Errors: KERNEL_FEATURE_MISSING
  // with what the kernel refused; TUNNEL_LIMIT.
  virtual absl::StatusOr<std::unique_ptr<FastEntry>> Prepare(
      const FastRecord& record) = 0;
  // Packets that the kernel sends through the device are encapsulated by
  // `entry`; nullptr: they go to the device's queues. Programs that have begun
  // may still use what was there before; Wait() tells when they have ended.
  virtual void SetOutput(const FastEntry* entry) = 0;
  // Receive packet steering of the device over `cpus`. Says what is in force:
  // "cpus 0-3", "off", or "off: " and why it can not be on.
  virtual std::string Steer(FastSteering steering,
                            std::span<const int> cpus) = 0;
  virtual FastCounters Read() const = 0;
  // Gives the kernel a super-packet that was read from the device, as it was
  // read. By worker `worker`, below the number that Open() was told, after
  // those before it have been sent. Neither blocks nor allocates.
  virtual FastSend Send(size_t worker,
                        const encap::PacketBuffer& packet) const noexcept = 0;

  virtual FastTurn Turn(FastDirection direction) const = 0;
  // The user path is done with so many of the packets that were passed to it:
  // when none is left, the next packet takes the fast path.
  virtual void SetDone(FastDirection direction, uint64_t done) = 0;
  // The next packet takes the fast path, whatever is left.
  virtual void ForceTurn(FastDirection direction) = 0;
};

class FastPath {
 public:
  virtual ~FastPath() = default;
  // OK, or why nothing can be carried: MISSING_CAPABILITY,
  // KERNEL_FEATURE_MISSING.
  virtual absl::Status Usable() = 0;
  // Returns when Usable() does so at once.
  virtual void AwaitLoaded() const = 0;
  // Of the device `ifindex`, which is a TUN device; `workers`, the same in all
  // calls, read from it. Errors: those of Usable(); KERNEL_FEATURE_MISSING,
  // TUNNEL_LIMIT.
  virtual absl::StatusOr<std::unique_ptr<FastTunnel>> Open(uint32_t ifindex,
                                                           size_t workers) = 0;
  // Packets with this key are decapsulated by `entry`, an entry of any tunnel;
  // nullptr: they go the user path, even if the entry of a key without an
  // interface fits them too.
  virtual void SetInput(const FastInputKey& key, const FastEntry* entry) = 0;
  // Nobody has this key any more.
  virtual void ForgetInput(const FastInputKey& key) = 0;
  // Packets to this port may be those of a tunnel in UDP, until each use has
  // been left.
  virtual void UseUdpPort(uint16_t port) = 0;
  virtual void LeaveUdpPort(uint16_t port) = 0;
  // Packets with a key that has been set, which arrive at the device `ifindex`
  // and are not decapsulated there, are kept from the IP stack: the packet
  // sockets of the daemon have them. As long as somebody has the result and
  // SetClaiming() is on; where the kernel can not, the stack gets them too.
  virtual std::shared_ptr<const void> ClaimAt(uint32_t ifindex) {
    static_cast<void>(ifindex);
    return nullptr;
  }
  // Off at the start.
  virtual void SetClaiming(bool on) { static_cast<void>(on); }
  // When it returns, no program uses what SetOutput() and SetInput() replaced
  // before the call. Returns at once where they have replaced nothing.
  virtual void Wait() = 0;
};

// Where there is no kernel that could carry packets.
class NoFastPath : public FastPath {
 public:
  absl::Status Usable() override;
  void AwaitLoaded() const override {}
  absl::StatusOr<std::unique_ptr<FastTunnel>> Open(uint32_t ifindex,
                                                   size_t workers) override;
  void SetInput(const FastInputKey&, const FastEntry*) override {}
  void ForgetInput(const FastInputKey&) override {}
  void UseUdpPort(uint16_t) override {}
  void LeaveUdpPort(uint16_t) override {}
  void Wait() override {}
};

}  // namespace tunnel

#endif  // TUNNEL_BPF_FAST_PATH_H_
