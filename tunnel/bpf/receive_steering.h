// ReceiveSteering: receive packet steering (RPS) of tunnel devices. What the
// kernel's fast path decapsulates goes on to one of several CPUs, by the hash
// of its inner flow, instead of staying on the one CPU that the outer flow
// arrives on.
//
// Documentation/networking/scaling.rst of Linux. The kernel takes the CPUs of a
// device by sysfs alone, and sysfs shows the network namespace in which it was
// mounted. One thread at a time.

#ifndef TUNNEL_BPF_RECEIVE_STEERING_H_
#define TUNNEL_BPF_RECEIVE_STEERING_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tunnel/base/unique_fd.h"
#include "tunnel/bpf/fast_path.h"

namespace tunnel {

class ReceiveSteering {
 public:
  // Uses a sysfs of the caller's network namespace, mounted for this object
  // alone, if the caller may mount (CAP_SYS_ADMIN); else the one at /sys.
  ReceiveSteering();

  // Sets the masks of all receive queues of the device `ifindex` to `cpus`:
  // what the kernel decapsulates and what the workers write then wait for the
  // same CPU in one queue, so a flow that changes over between the two keeps
  // its order. Says what is in force afterwards: "cpus 0-3", "off", or "off: "
  // and why it can not be set ("on: ", why it can not be taken back).
  std::string Set(uint32_t ifindex, FastSteering mode,
                  std::span<const int> cpus);

 private:
  UniqueFd sysfs_;
};

// `cpus` as the kernel reads a bitmap: "3", "80000000,00000001".
std::string CpuMask(std::span<const int> cpus);
// As people read them, ascending: "0", "0-3,8".
std::string CpuRanges(std::vector<int> cpus);

}  // namespace tunnel

#endif  // TUNNEL_BPF_RECEIVE_STEERING_H_
