// MemoryTunFactory: TUN devices without a kernel device, for tests.
//
// A queue is a socket pair: the program under test holds one end and can wait
// for it with epoll, the test holds the other. Packets on it carry a
// virtio_net_hdr, as on a real queue.
//
// Threads: a TunQueue belongs to one worker; all functions of the factory may
// be called by any thread. The factory must outlive its devices. A persistent
// device outlives its TunDevice, and can then be adopted.

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
    uint64_t order = 0;  // of the writes to all queues, from 0
    std::vector<uint8_t> bytes;
    encap::SegmentHint hint;
  };

  MemoryTunFactory();
  ~MemoryTunFactory() override;

  // ---- the program under test ----
  absl::StatusOr<std::unique_ptr<TunDevice>> Open(
      const Request& request) override;
  absl::StatusOr<std::unique_ptr<TunDevice>> Adopt(const Request& request,
                                                   uint32_t ifindex) override;

  // ---- the test ----
  // The n-th Open(), Adopt() or SetPersistent() from now (1: the next) fails
  // with `status` and does nothing.
  void FailOpen(size_t n, absl::Status status);
  void FailAdopt(size_t n, absl::Status status);
  void FailPersist(size_t n, absl::Status status);

  // A device of somebody else; its ifindex. Adopt() refuses it even with that.
  uint32_t AddForeign(absl::string_view name);

  bool Exists(absl::string_view name) const;
  // Interface names of the devices that exist, sorted.
  std::vector<std::string> names() const;
  // Whether a device stays without its TunDevice; false when there is none.
  bool IsPersistent(absl::string_view name) const;
  size_t created() const;
  size_t destroyed() const;
  size_t adopted() const;

  // Makes a packet wait in queue `queue`. False when there is no such device or
  // queue, or its queue is full.
  bool Inject(absl::string_view name, size_t queue,
              std::span<const uint8_t> packet,
              const encap::SegmentHint& hint = {});

  // The next packet that was written to the device, on any queue, of each queue
  // in order; waits for it until `timeout` is over.
  std::optional<Delivered> Take(absl::string_view name,
                                std::chrono::milliseconds timeout);

  // While true, Write() is refused as by a link that is down.
  void SetRefuse(absl::string_view name, bool refuse);

  // Makes the queues read and write as those of a device that has been removed
  // by somebody else; its name is free for Open(). A device without a TunDevice
  // goes at once.
  void Vanish(absl::string_view name);

 private:
  struct State;
  class Queue;
  class Device;

  // Fails the n-th call of a kind.
  struct Trap {
    size_t calls = 0;
    std::map<size_t, absl::Status> failures;

    void Set(size_t n, absl::Status status);
    // Counts a call; the injected error, if it is the turn of one.
    absl::Status Step();
  };

  std::shared_ptr<State> Find(absl::string_view name) const;
  absl::StatusOr<std::unique_ptr<TunDevice>> Attach(
      const Request& request, std::shared_ptr<State> state)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status SetPersistent(State& state, bool persistent);
  void Closed(const std::shared_ptr<State>& state);

  mutable Mutex mu_;
  std::map<std::string, std::shared_ptr<State>> devices_ ABSL_GUARDED_BY(mu_);
  Trap opens_ ABSL_GUARDED_BY(mu_);
  Trap adopts_ ABSL_GUARDED_BY(mu_);
  Trap persists_ ABSL_GUARDED_BY(mu_);
  size_t created_ ABSL_GUARDED_BY(mu_) = 0;
  size_t destroyed_ ABSL_GUARDED_BY(mu_) = 0;
  size_t adopted_ ABSL_GUARDED_BY(mu_) = 0;
  uint32_t next_ifindex_ ABSL_GUARDED_BY(mu_) = 100;
};

}  // namespace tunnel

#endif  // TUNNEL_TUN_MEMORY_TUN_H_
