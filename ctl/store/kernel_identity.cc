#include "ctl/store/kernel_identity.h"

#include <asm/socket.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstdint>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "tunnel/base/unique_fd.h"

namespace tunnel::ctl {
namespace {

std::string BootId() {
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  std::string id;
  if (std::getline(in, id) && !id.empty()) return id;
  uint64_t number = 0;
  if (getrandom(&number, sizeof(number), 0) != sizeof(number)) number = 0;
  return absl::StrCat("unknown-", absl::Hex(number));
}

std::string NamespaceId() {
  const UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  uint64_t cookie = 0;
  socklen_t size = sizeof(cookie);
  if (fd &&
      getsockopt(fd.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) == 0) {
    return absl::StrCat("cookie-", cookie);
  }
  struct stat info {};
  if (stat("/proc/self/ns/net", &info) != 0) return "unknown";
  return absl::StrCat("inode-", info.st_ino);
}

}  // namespace

std::string KernelIdentity() {
  return absl::StrCat(BootId(), "/", NamespaceId());
}

}  // namespace tunnel::ctl
