// CPUs and threads of this process.

#ifndef TUNNEL_BASE_CPU_H_
#define TUNNEL_BASE_CPU_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace tunnel {

// The CPUs that the calling thread may run on, ascending, never empty.
std::vector<int> AllowedCpus();

// Pins the calling thread to `cpu`. Errors: InvalidArgument when the process
// may not run there or there is no such CPU.
absl::Status PinThread(int cpu);

// Names the calling thread for ps and debuggers; cut to 15 bytes.
void SetThreadName(absl::string_view name);

}  // namespace tunnel

#endif  // TUNNEL_BASE_CPU_H_
