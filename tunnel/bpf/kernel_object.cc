#include "tunnel/bpf/kernel_object.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/capability.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/bpf/object_bytes.h"

namespace tunnel {
namespace {

// The library's lines are for its developers: the errno says enough.
int Silent(libbpf_print_level, const char*, va_list) { return 0; }

// Has CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN, which has stood for both.
bool MayLoad() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3,
                                  .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  if (syscall(SYS_capget, &header, data.data()) != 0) return true;
  const auto has = [&](int capability) {
    return (data[CAP_TO_INDEX(capability)].effective &
            CAP_TO_MASK(capability)) != 0;
  };
  return has(CAP_SYS_ADMIN) || (has(CAP_BPF) && has(CAP_PERFMON));
}

absl::Status Refused(const std::string& what, int error) {
  const std::string words = absl::StrCat(what, ": ", std::strerror(error));
  // What the verifier says without them differs by kernel.
  if (error == EPERM || error == EACCES || !MayLoad()) {
    return MakeError(Reason::kMissingCapability,
                     absl::StrCat(words,
                                  "; the daemon needs CAP_BPF and CAP_PERFMON "
                                  "when it starts"),
                     {{"capability", "CAP_BPF,CAP_PERFMON"}});
  }
  return MakeError(Reason::kKernelFeatureMissing, words);
}

// libbpf gives -1 with errno or -errno, by its mode.
int ErrnoOf(int result) {
  if (result >= 0) return 0;
  return errno != 0 ? errno : -result;
}

constexpr size_t kTurnBytes = sizeof(fp_turn) * kFpMaxTunnels * kFpDirections;
constexpr size_t kSenderBytes = sizeof(fp_sender) * kFpMaxSenders;

// nullptr: see errno.
void* Share(int map, size_t bytes) {
  void* const memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace

void KernelObject::Close::operator()(bpf_object* object) const {
  bpf_object__close(object);
}

KernelObject::~KernelObject() = default;

absl::StatusOr<std::unique_ptr<KernelObject>> KernelObject::Load() {
  libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
  libbpf_set_print(Silent);
  std::unique_ptr<KernelObject> made(new KernelObject);
  LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "tunneld");
  const auto bytes = FastPathObjectBytes();
  made->object_.reset(
      bpf_object__open_mem(bytes.data(), bytes.size(), &options));
  if (made->object_ == nullptr)
    return Refused("opening the programs of the fast path", errno);
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, made->object_.get()) {
    bpf_program__set_type(program, BPF_PROG_TYPE_SCHED_CLS);
  }
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return Refused("counting the CPUs", -cpus);
  made->cpus_ = static_cast<size_t>(cpus);
  if (const int error = bpf_object__load(made->object_.get()); error != 0)
    return Refused("loading the programs of the fast path", -error);
  RETURN_IF_ERROR(made->Find());
  RETURN_IF_ERROR(made->ShareMaps());
  return made;
}

absl::Status KernelObject::ShareMaps() {
  const auto map = [&](const char* name) {
    return bpf_object__find_map_fd_by_name(object_.get(), name);
  };
  turns_.reset(static_cast<fp_turn*>(Share(map("fp_turns"), kTurnBytes)));
  if (turns_ != nullptr) {
    senders_.reset(
        static_cast<fp_sender*>(Share(map("fp_senders"), kSenderBytes)));
  }
  if (senders_ == nullptr)
    return Refused("sharing a map of the fast path", errno);
  return absl::OkStatus();
}

void KernelObject::Unmap::operator()(fp_turn* turns) const {
  munmap(turns, kTurnBytes);
}

void KernelObject::Unmap::operator()(fp_sender* senders) const {
  munmap(senders, kSenderBytes);
}

absl::Status KernelObject::Find() {
  const auto program = [&](const char* name) {
    bpf_program* const found =
        bpf_object__find_program_by_name(object_.get(), name);
    return found == nullptr ? -1 : bpf_program__fd(found);
  };
  const auto map = [&](const char* name) {
    return bpf_object__find_map_fd_by_name(object_.get(), name);
  };
  encap_ = program("tunneld_encap");
  decap_ = program("tunneld_decap");
  outputs_ = map("fp_outputs");
  inputs_ = map("fp_inputs");
  slots_ = map("fp_slots");
  counters_ = map("fp_counters");
  udp_ports_ = map("fp_udp_ports");
  sender_cookies_ = map("fp_sender_cookies");
  claims_ = map("fp_claims");
  modes_ = map("fp_modes");
  grace_ = map("fp_grace");
  grace_inner_ = map("fp_grace_inner");
  for (const int fd :
       {encap_, decap_, outputs_, inputs_, slots_, counters_, udp_ports_,
        sender_cookies_, claims_, modes_, grace_, grace_inner_}) {
    if (fd < 0) return Refused("a program or map is missing", ENOENT);
  }
  return absl::OkStatus();
}

int KernelObject::SetOutput(uint32_t device, uint32_t slot) const {
  return ErrnoOf(bpf_map_update_elem(outputs_, &device, &slot, BPF_ANY));
}

int KernelObject::RemoveOutput(uint32_t device) const {
  return ErrnoOf(bpf_map_delete_elem(outputs_, &device));
}

int KernelObject::SetInput(const fp_input_key& key, uint32_t slot) const {
  return ErrnoOf(bpf_map_update_elem(inputs_, &key, &slot, BPF_ANY));
}

int KernelObject::RemoveInput(const fp_input_key& key) const {
  return ErrnoOf(bpf_map_delete_elem(inputs_, &key));
}

int KernelObject::WriteSlot(uint32_t slot, const fp_slot& record) const {
  return ErrnoOf(bpf_map_update_elem(slots_, &slot, &record, BPF_ANY));
}

int KernelObject::ClearCounters(uint32_t tunnel) const {
  const std::vector<fp_counter_block> zero(cpus_);
  return ErrnoOf(bpf_map_update_elem(counters_, &tunnel, zero.data(), BPF_ANY));
}

int KernelObject::SetUdpPort(uint16_t port, bool used) const {
  const uint32_t word = port / 64;
  const uint64_t bit = uint64_t{1} << (port % 64);
  uint64_t bits = 0;
  if (const int error = ErrnoOf(bpf_map_lookup_elem(udp_ports_, &word, &bits)))
    return error;
  bits = used ? bits | bit : bits & ~bit;
  return ErrnoOf(bpf_map_update_elem(udp_ports_, &word, &bits, BPF_ANY));
}

int KernelObject::SetSender(uint64_t cookie, uint32_t index) const {
  return ErrnoOf(
      bpf_map_update_elem(sender_cookies_, &cookie, &index, BPF_ANY));
}

int KernelObject::SetClaim(const fp_input_key& key, bool claimed) const {
  if (!claimed) return ErrnoOf(bpf_map_delete_elem(claims_, &key));
  const uint8_t yes = 1;
  return ErrnoOf(bpf_map_update_elem(claims_, &key, &yes, BPF_ANY));
}

int KernelObject::SetMode(uint32_t bit, bool on) const {
  const uint32_t zero = 0;
  uint32_t modes = 0;
  if (const int error = ErrnoOf(bpf_map_lookup_elem(modes_, &zero, &modes)))
    return error;
  modes = on ? modes | bit : modes & ~bit;
  return ErrnoOf(bpf_map_update_elem(modes_, &zero, &modes, BPF_ANY));
}

fp_counter_block KernelObject::ReadCounters(uint32_t tunnel) const {
  fp_counter_block sum{};
  std::vector<fp_counter_block> each(cpus_);
  if (bpf_map_lookup_elem(counters_, &tunnel, each.data()) != 0) return sum;
  for (const fp_counter_block& one : each) {
    sum.transmit_packets += one.transmit_packets;
    sum.transmit_bytes += one.transmit_bytes;
    sum.receive_packets += one.receive_packets;
    sum.receive_bytes += one.receive_bytes;
    sum.send_errors += one.send_errors;
    sum.inner_write_errors += one.inner_write_errors;
    sum.transmit_passed += one.transmit_passed;
    sum.last_receive_ns = std::max(sum.last_receive_ns, one.last_receive_ns);
  }
  return sum;
}

void KernelObject::WaitForPrograms() const {
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0) return;
  // Not on every kernel. One that replaces a map in a map waits for all
  // programs that may use the old one.
  const uint32_t zero = 0;
  bpf_map_update_elem(grace_, &zero, &grace_inner_, BPF_ANY);
}

}  // namespace tunnel
