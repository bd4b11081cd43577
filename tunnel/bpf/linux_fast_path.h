// LinuxFastPath: FastPath by the programs of fast_path.bpf.c at the traffic
// control hooks of TUN and underlay devices.
//
// The programs are loaded when they are first needed, or ahead of that by
// Preload(). A hash leads from a
// device or an input key to a slot number, the slot holds an immutable record:
// a change writes a free slot and then the number, so a program sees one whole
// configuration. A slot that is given up is written again only after all
// programs that may read it have ended.

#ifndef TUNNEL_BPF_LINUX_FAST_PATH_H_
#define TUNNEL_BPF_LINUX_FAST_PATH_H_

#include <array>
#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tunnel/bpf/attachment.h"
#include "tunnel/bpf/claims.h"
#include "tunnel/bpf/fast_path.h"
#include "tunnel/bpf/fast_sender.h"
#include "tunnel/bpf/kernel_object.h"
#include "tunnel/bpf/receive_steering.h"

namespace tunnel {

class LinuxFastPath : public FastPath {
 public:
  explicit LinuxFastPath(Attachment::Via via = Attachment::Via::kBest)
      : via_(via) {}
  // No tunnel of it may be left.
  ~LinuxFastPath() override = default;

  // Begins to load the programs, with the capabilities that the caller has now;
  // Usable() waits for the end. To be called once, before all else.
  void Preload();

  absl::Status Usable() override;
  void AwaitLoaded() const override;
  absl::StatusOr<std::unique_ptr<FastTunnel>> Open(uint32_t ifindex,
                                                   size_t workers) override;
  void SetInput(const FastInputKey& key, const FastEntry* entry) override;
  void ForgetInput(const FastInputKey& key) override;
  void UseUdpPort(uint16_t port) override;
  void LeaveUdpPort(uint16_t port) override;
  std::shared_ptr<const void> ClaimAt(uint32_t ifindex) override;
  void SetClaiming(bool on) override;
  void Wait() override;

 private:
  class Entry;
  class Tunnel;

  // Numbers from 1 up to a limit. One that was given back is given out again
  // only after Settle().
  class Numbers {
   public:
    explicit Numbers(uint32_t end) : end_(end) {}
    std::optional<uint32_t> Take();
    void GiveBack(uint32_t number) { waiting_.push_back(number); }
    bool any_waiting() const { return !waiting_.empty(); }
    void Settle();

   private:
    const uint32_t end_;
    uint32_t next_ = 1;
    std::vector<uint32_t> free_, waiting_;
  };

  // What the kernel has, or would have if the programs were loaded. Keys in
  // `tunnel` nullptr are the user path's.
  struct Input {
    Tunnel* tunnel = nullptr;
    uint32_t slot = 0;
  };
  using InputBytes = std::array<uint8_t, sizeof(fp_input_key)>;
  static InputBytes BytesOf(const fp_input_key& key);
  void RemoveInput(const fp_input_key& key);
  void TellUdpPort(uint16_t port, bool used);
  void WaitForPrograms();
  void AttachClaimants();
  void OpenSenders(size_t workers);
  // After a wait, if there is none without one.
  std::optional<uint32_t> Take(Numbers& numbers);
  absl::StatusOr<std::shared_ptr<Attachment>> AttachUnderlay(uint32_t ifindex);
  absl::StatusOr<std::unique_ptr<FastEntry>> Prepare(Tunnel& tunnel,
                                                     uint32_t id,
                                                     uint32_t device,
                                                     const FastRecord& record);

  const Attachment::Via via_;
  // Set by Preload() alone, so that any thread may wait for it.
  std::shared_future<absl::StatusOr<std::shared_ptr<const KernelObject>>>
      loading_;
  ReceiveSteering steering_;
  Claims claims_;
  std::shared_ptr<const KernelObject> object_;
  std::optional<absl::Status> usable_;  // once it has been tried
  std::map<uint32_t, std::weak_ptr<Attachment>> underlays_;  // by ifindex
  // The programs are at `underlay`, or it was tried, once they are loaded.
  struct Claimant {
    std::shared_ptr<Attachment> underlay;
    bool tried = false;
  };
  std::map<uint32_t, std::weak_ptr<Claimant>> claimants_;  // by ifindex
  std::map<InputBytes, Input> inputs_;
  std::map<uint16_t, uint32_t> udp_ports_;  // number of uses
  // One for each worker, or none; made before the first tunnel.
  std::optional<std::vector<FastSender>> senders_;
  Numbers slots_{kFpMaxSlots}, tunnels_{kFpMaxTunnels};
  bool replaced_ = false;  // something, since the last wait
};

}  // namespace tunnel

#endif  // TUNNEL_BPF_LINUX_FAST_PATH_H_
