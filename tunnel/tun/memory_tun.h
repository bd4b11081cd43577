// MemoryTunFactory: TUN devices without a kernel device, for tests.
//
// A queue is a socket pair: the program under test holds one end and can wait
// for it with epoll, the test holds the other. Packets on it carry a
// virtio_net_hdr, as on a real queue.
//
// Threads: a TunQueue belongs to one worker; all functions of the factory may
// be called by any thread. The factory must outlive its devices.

#ifndef TUNNEL_TUN_MEMORY_TUN_H_
#define TUNNEL_TUN_MEMORY_TUN_H_

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tunnel/sync/mutex.h"
#include "tunnel/tun/tun_device.h"

namespace tunnel {

class MemoryTunFactory : public TunFactory {
 public:
  struct Delivered {
    size_t queue = 0;
    std::vector<uint8_t> bytes;
    encap::SegmentHint hint;
  };

  MemoryTunFactory();
  ~MemoryTunFactory() override;

  // ---- the program under test ----
  absl::StatusOr<std::unique_ptr<TunDevice>> Open(
      const Request& request) override;

  // ---- the test ----
  // The n-th Open() from now (1: the next) fails with `status`.
  void FailOpen(size_t n, absl::Status status);

  bool Exists(absl::string_view name) const;
  // Interface names of the devices that exist, sorted.
  std::vector<std::string> names() const;
  size_t created() const;
  size_t destroyed() const;

  // Makes a packet wait in queue `queue`. False when there is no such device or
  // queue, or its queue is full.
  bool Inject(absl::string_view name, size_t queue,
              std::span<const uint8_t> packet,
              const encap::SegmentHint& hint = {});

  // The next packet that was written to the device, on any queue; waits for it
  // until `timeout` is over.
  std::optional<Delivered> Take(absl::string_view name,
                                std::chrono::milliseconds timeout);

  // While true, Write() is refused as by a link that is down.
  void SetRefuse(absl::string_view name, bool refuse);

  // Makes the queues read and write as those of a device that has been removed
  // by somebody else. The name stays taken until the device is destroyed.
  void Vanish(absl::string_view name);

 private:
  struct State;
  class Queue;
  class Device;

  std::shared_ptr<State> Find(absl::string_view name) const;
  void Destroyed(const std::string& name);

  mutable Mutex mu_;
  std::map<std::string, std::shared_ptr<State>> devices_ ABSL_GUARDED_BY(mu_);
  std::map<size_t, absl::Status> failures_ ABSL_GUARDED_BY(mu_);  // by Open()
  size_t opens_ ABSL_GUARDED_BY(mu_) = 0;
  size_t created_ ABSL_GUARDED_BY(mu_) = 0;
  size_t destroyed_ ABSL_GUARDED_BY(mu_) = 0;
  uint32_t next_ifindex_ ABSL_GUARDED_BY(mu_) = 100;
};

}  // namespace tunnel

#endif  // TUNNEL_TUN_MEMORY_TUN_H_
