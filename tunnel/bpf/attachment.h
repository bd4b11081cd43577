// Attachment: one program at one hook of one network device.
//
// By a tcx link where the kernel has them (Linux 6.6): it goes when this object
// does, or the process. Else as a clsact filter, behind which filters of others
// may stand; it outlives a process that is killed, so the next one sweeps. Both
// come after what others have attached, and let packets that are not ours go on
// to them.

#ifndef TUNNEL_BPF_ATTACHMENT_H_
#define TUNNEL_BPF_ATTACHMENT_H_

#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "tunnel/base/unique_fd.h"

namespace tunnel {

class Attachment {
 public:
  enum class Hook { kIngress, kEgress };
  enum class Via {
    kBest,  // tcx, else clsact
    kTcx,
    kClsact,
  };

  // `program` is a descriptor and stays the caller's. Errors:
  // MISSING_CAPABILITY; KERNEL_FEATURE_MISSING; DEVICE_NOT_FOUND.
  static absl::StatusOr<Attachment> Make(int program, uint32_t ifindex,
                                         Hook hook, Via via);
  Attachment(Attachment&& other) noexcept;
  Attachment& operator=(Attachment&&) = delete;
  ~Attachment();

  bool is_link() const { return link_.valid(); }

 private:
  Attachment(UniqueFd link, uint32_t ifindex, Hook hook)
      : link_(std::move(link)), ifindex_(ifindex), hook_(hook) {}

  UniqueFd link_;     // none: a filter
  uint32_t ifindex_;  // 0: moved from
  Hook hook_;
};

// Removes the filters that a process which was killed has left on the devices
// of this namespace. Returns their number.
int SweepFilters();

}  // namespace tunnel

#endif  // TUNNEL_BPF_ATTACHMENT_H_
