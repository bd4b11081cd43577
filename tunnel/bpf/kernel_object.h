// KernelObject: the programs and maps of the fast path, loaded into the kernel.

#ifndef TUNNEL_BPF_KERNEL_OBJECT_H_
#define TUNNEL_BPF_KERNEL_OBJECT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "tunnel/bpf/fast_path_abi.h"

struct bpf_object;

namespace tunnel {

class KernelObject {
 public:
  // Errors: MISSING_CAPABILITY (metadata "capability"),
  // KERNEL_FEATURE_MISSING with the kernel's words.
  static absl::StatusOr<std::unique_ptr<KernelObject>> Load();
  ~KernelObject();
  KernelObject(const KernelObject&) = delete;
  KernelObject& operator=(const KernelObject&) = delete;

  int encap_program() const { return encap_; }
  int decap_program() const { return decap_; }

  // Each returns 0 or an errno.
  int SetOutput(uint32_t device, uint32_t slot) const;
  int RemoveOutput(uint32_t device) const;
  int SetInput(const fp_input_key& key, uint32_t slot) const;
  int RemoveInput(const fp_input_key& key) const;
  int WriteSlot(uint32_t slot, const fp_slot& record) const;
  int ClearCounters(uint32_t tunnel) const;
  int SetUdpPort(uint16_t port, bool used) const;
  // Packets with this key are the daemon's in mode kFpClaims.
  int SetClaim(const fp_input_key& key, bool claimed) const;
  // Sets or clears a bit of the modes: kFpInputs, kFpClaims, kFpBound.
  int SetMode(uint32_t bit, bool on) const;
  // The socket with this cookie (SO_COOKIE) is number `index`, below
  // kFpMaxSenders.
  int SetSender(uint64_t cookie, uint32_t index) const;

  // Sums over the CPUs, `last_receive_ns` the latest.
  fp_counter_block ReadCounters(uint32_t tunnel) const;

  // That of `direction` (kFpOut, kFpIn) of a tunnel, shared with the programs.
  fp_turn& turn(uint32_t tunnel, uint32_t direction) const {
    return turns_.get()[tunnel * kFpDirections + direction];
  }

  // Shared with the programs.
  fp_sender& sender(uint32_t index) const { return senders_.get()[index]; }

  // Returns when every program that had begun has ended. 5 to 40 ms; sleeps.
  void WaitForPrograms() const;

 private:
  KernelObject() = default;

  struct Close {
    void operator()(bpf_object* object) const;
  };
  struct Unmap {
    void operator()(fp_turn* turns) const;
    void operator()(fp_sender* senders) const;
  };
  absl::Status Find();
  absl::Status ShareMaps();

  std::unique_ptr<bpf_object, Close> object_;
  std::unique_ptr<fp_turn, Unmap> turns_;
  std::unique_ptr<fp_sender, Unmap> senders_;
  size_t cpus_ = 1;  // possible ones
  int encap_ = -1, decap_ = -1;
  int outputs_ = -1, inputs_ = -1, slots_ = -1, counters_ = -1;
  int claims_ = -1, modes_ = -1;
  int udp_ports_ = -1, sender_cookies_ = -1, grace_ = -1, grace_inner_ = -1;
};

}  // namespace tunnel

#endif  // TUNNEL_BPF_KERNEL_OBJECT_H_
