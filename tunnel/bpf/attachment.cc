#include "tunnel/bpf/attachment.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"

namespace tunnel {
namespace {

using Hook = Attachment::Hook;

constexpr uint32_t kTcxIngress = 46, kTcxEgress = 47;  // enum bpf_attach_type
constexpr uint32_t kLinkCreate = 28;                   // enum bpf_cmd
// Behind the filters of others; tc gives 49152 to one that names no priority.
constexpr uint32_t kPriority = 49000, kHandle = 1;

// libbpf 1.1 does not know tcx. Zeros: at the end, whatever the revision.
struct LinkCreate {
  uint32_t program, ifindex, type, flags;
  uint32_t relative, pad;
  uint64_t revision;
  uint64_t zero[4];
};

absl::Status Refused(uint32_t ifindex, const char* how, int error) {
  const std::string words =
      absl::StrCat("attaching a program to interface ", ifindex, " by ", how,
                   ": ", std::strerror(error));
  if (error == EPERM || error == EACCES) {
    return MakeError(Reason::kMissingCapability, words,
                     {{"capability", "CAP_NET_ADMIN"}});
  }
  if (error == ENODEV) return MakeError(Reason::kDeviceNotFound, words);
  return MakeError(Reason::kKernelFeatureMissing, words);
}

bpf_tc_hook HookOf(uint32_t ifindex, Hook hook) {
  bpf_tc_hook made{};
  made.sz = sizeof(made);
  made.ifindex = static_cast<int>(ifindex);
  made.attach_point = hook == Hook::kIngress ? BPF_TC_INGRESS : BPF_TC_EGRESS;
  return made;
}

bpf_tc_opts FilterOptions() {
  bpf_tc_opts options{};
  options.sz = sizeof(options);
  options.handle = kHandle;
  options.priority = kPriority;
  return options;
}

// The filter of our place is one of our programs.
bool IsOurs(const bpf_tc_hook& hook) {
  bpf_tc_opts options = FilterOptions();
  if (bpf_tc_query(&hook, &options) != 0) return false;
  const UniqueFd program(bpf_prog_get_fd_by_id(options.prog_id));
  bpf_prog_info info{};
  uint32_t size = sizeof(info);
  return program.valid() &&
         bpf_obj_get_info_by_fd(program.get(), &info, &size) == 0 &&
         absl::StartsWith(info.name, "tunneld_");
}

int DetachFilter(const bpf_tc_hook& hook) {
  const bpf_tc_opts options = FilterOptions();
  return bpf_tc_detach(&hook, &options);
}

// 0 or an errno.
int AttachFilter(int program, uint32_t ifindex, Hook where) {
  bpf_tc_hook hook = HookOf(ifindex, where);
  int error = -bpf_tc_hook_create(&hook);
  if (error != 0 && error != EEXIST) return error;
  if (IsOurs(hook)) DetachFilter(hook);
  bpf_tc_opts options = FilterOptions();
  options.prog_fd = program;
  return -bpf_tc_attach(&hook, &options);
}

}  // namespace

absl::StatusOr<Attachment> Attachment::Make(int program, uint32_t ifindex,
                                            Hook hook, Via via) {
  if (via != Via::kClsact) {
    LinkCreate request{};
    request.program = static_cast<uint32_t>(program);
    request.ifindex = ifindex;
    request.type = hook == Hook::kIngress ? kTcxIngress : kTcxEgress;
    UniqueFd link(static_cast<int>(
        syscall(SYS_bpf, kLinkCreate, &request, sizeof(request))));
    if (link.valid()) return Attachment(std::move(link), ifindex, hook);
    // A kernel that does not know tcx says EINVAL.
    if (via == Via::kTcx || errno != EINVAL)
      return Refused(ifindex, "tcx", errno);
  }
  if (const int error = AttachFilter(program, ifindex, hook); error != 0)
    return Refused(ifindex, "clsact", error);
  return Attachment(UniqueFd(), ifindex, hook);
}

Attachment::Attachment(Attachment&& other) noexcept
    : link_(std::move(other.link_)),
      ifindex_(std::exchange(other.ifindex_, 0)),
      hook_(other.hook_) {}

Attachment::~Attachment() {
  if (ifindex_ == 0 || link_.valid()) return;
  DetachFilter(HookOf(ifindex_, hook_));  // the device may have gone
}

int SweepFilters() {
  const std::unique_ptr<struct if_nameindex, decltype(&if_freenameindex)> all(
      if_nameindex(), if_freenameindex);
  int removed = 0;
  libbpf_set_print(nullptr);  // the kernel's words on devices without clsact
  if (all == nullptr) return removed;
  for (const struct if_nameindex* one = all.get(); one->if_index != 0; ++one) {
    for (const Hook where : {Hook::kIngress, Hook::kEgress}) {
      const bpf_tc_hook hook = HookOf(one->if_index, where);
      if (IsOurs(hook) && DetachFilter(hook) == 0) ++removed;
    }
  }
  return removed;
}

}  // namespace tunnel
