// What an interface index belongs to.

#ifndef CTL_STORE_KERNEL_IDENTITY_H_
#define CTL_STORE_KERNEL_IDENTITY_H_

#include <string>

namespace tunnel::ctl {

// The running kernel and the network namespace of the process: boot id, and
// cookie or (before Linux 5.14) inode of the namespace. Where the kernel tells
// no boot id, a random one: nothing that was stored before matches it.
std::string KernelIdentity();

}  // namespace tunnel::ctl

#endif  // CTL_STORE_KERNEL_IDENTITY_H_
