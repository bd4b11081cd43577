// Claims: which packets are the daemon's, as the program at the ingress of
// underlay devices is told (claim.bpf.h).

#ifndef TUNNEL_BPF_CLAIMS_H_
#define TUNNEL_BPF_CLAIMS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>

#include "tunnel/bpf/fast_path_abi.h"
#include "tunnel/bpf/kernel_object.h"

namespace tunnel {

// Not thread-safe.
class Claims {
 public:
  // The programs are loaded: `object`, which stays the caller's, gets what has
  // been claimed.
  void Use(const KernelObject& object);
  // Packets with this key are the daemon's, and are so no more. More than one
  // key in UDP may come to one claim.
  void Add(const fp_input_key& key);
  void Remove(const fp_input_key& key);
  void Switch(bool on);

 private:
  using Bytes = std::array<uint8_t, sizeof(fp_input_key)>;
  void Tell(const Bytes& claim, bool claimed);
  void SetMode(uint32_t bit, bool on) const;

  const KernelObject* object_ = nullptr;
  std::map<Bytes, std::set<Bytes>> claims_;  // with the keys that want each
  size_t bound_ = 0;                         // claims with an interface
  bool on_ = false;
};

}  // namespace tunnel

#endif  // TUNNEL_BPF_CLAIMS_H_
