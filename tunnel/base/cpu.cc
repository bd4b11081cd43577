#include "tunnel/base/cpu.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace tunnel {
namespace {

constexpr int kMaxCpus = 1 << 16;  // above what any kernel is built for

struct CpuSetFree {
  void operator()(cpu_set_t* set) const { CPU_FREE(set); }
};
using CpuSet = std::unique_ptr<cpu_set_t, CpuSetFree>;

}  // namespace

std::vector<int> AllowedCpus() {
  std::vector<int> cpus;
  // The kernel refuses a set smaller than its own; double until it fits.
  for (int count = 1024; count <= kMaxCpus; count *= 2) {
    CpuSet set(CPU_ALLOC(count));
    const size_t bytes = CPU_ALLOC_SIZE(count);
    CPU_ZERO_S(bytes, set.get());
    if (sched_getaffinity(0, bytes, set.get()) != 0) {
      if (errno == EINVAL) continue;
      break;
    }
    for (int cpu = 0; cpu < count; ++cpu) {
      if (CPU_ISSET_S(cpu, bytes, set.get())) cpus.push_back(cpu);
    }
    break;
  }
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

absl::Status PinThread(int cpu) {
  if (cpu < 0 || cpu >= kMaxCpus) {
    return absl::InvalidArgumentError(
        absl::StrCat("cpu: want 0 to ", kMaxCpus - 1, ", got ", cpu));
  }
  CpuSet set(CPU_ALLOC(cpu + 1));
  const size_t bytes = CPU_ALLOC_SIZE(cpu + 1);
  CPU_ZERO_S(bytes, set.get());
  CPU_SET_S(cpu, bytes, set.get());
  const int error = pthread_setaffinity_np(pthread_self(), bytes, set.get());
  if (error != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cpu: want one that this process may run on, got ", cpu));
  }
  return absl::OkStatus();
}

void SetThreadName(absl::string_view name) {
  const std::string cut(name.substr(0, 15));
  pthread_setname_np(pthread_self(), cut.c_str());
}

}  // namespace tunnel
