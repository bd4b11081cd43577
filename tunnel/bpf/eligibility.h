// Which configurations the kernel's fast path carries, and what its record of
// one looks like. Pure.

#ifndef TUNNEL_BPF_ELIGIBILITY_H_
#define TUNNEL_BPF_ELIGIBILITY_H_

#include <cstdint>
#include <string>

#include "encap/encap_config.h"
#include "tunnel/bpf/fast_path.h"
#include "tunnel/bpf/fast_path_abi.h"

namespace tunnel {

// What else decides than the configuration.
struct FastSurroundings {
  bool admin_up = true;
  bool can_transmit = true;         // nothing blocks it
  uint32_t underlay_ifindex = 0;    // of the route; 0: no route
  bool underlay_ethernet = false;   // has a link header of Ethernet
  bool underlay_is_tunnel = false;  // a device of this daemon
  bool has_xfrm_policy = false;     // packets may have to be encrypted
};

// Empty where packets of such a tunnel can take the fast path in surroundings
// that allow it; else why never, in one clause ("checksum is on").
std::string WhyNeverFast(const encap::EncapConfig& config);

// Empty where packets of this tunnel can take the fast path; else why not, in
// one clause: that of WhyNeverFast(), or "no route to the remote".
std::string WhyUserPath(const encap::EncapConfig& config,
                        const FastSurroundings& around);

// `record.config` is one that WhyUserPath() finds nothing against.
fp_slot SlotFor(uint32_t tunnel_id, uint32_t device_ifindex,
                const FastRecord& record);

fp_input_key InputKeyFor(const FastInputKey& key);

}  // namespace tunnel

#endif  // TUNNEL_BPF_ELIGIBILITY_H_
