#include "ctl/listen_socket.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tunnel/base/log.h"
#include "tunnel/base/status_macros.h"

namespace tunnel::ctl {
namespace {

constexpr int kBacklog = 64;

absl::Status SystemError(absl::string_view what) {
  return absl::FailedPreconditionError(
      absl::StrCat(what, ": ", strerror(errno)));
}

absl::StatusOr<sockaddr_un> MakeAddress(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path[0] != '/' ||
      path.size() >= sizeof(address.sun_path)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "--listen: \"", path, "\" is no socket path; want an ",
        "absolute path of at most ", sizeof(address.sun_path) - 1, " bytes"));
  }
  memcpy(address.sun_path, path.data(), path.size());
  return address;
}

absl::Status MakeDirectory(const std::string& path) {
  const std::string directory = path.substr(0, path.rfind('/'));
  if (directory.empty() || mkdir(directory.c_str(), 0755) == 0) {
    return absl::OkStatus();
  }
  if (errno == EEXIST) return absl::OkStatus();
  return SystemError(absl::StrCat("--listen: can not make ", directory));
}

absl::StatusOr<UniqueFd> TakeLock(const std::string& path) {
  const std::string name = path + ".lock";
  UniqueFd fd(
      open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return SystemError(absl::StrCat("can not open ", name));
  if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno != EWOULDBLOCK) return SystemError(absl::StrCat("lock ", name));
  return absl::FailedPreconditionError(
      absl::StrCat("another tunneld serves ", path, " (", name, " is locked)"));
}

// Removes the socket of a daemon that is gone. Anything else stays, with an
// error.
absl::Status RemoveStale(const std::string& path, const sockaddr_un& address) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) {
    return errno == ENOENT ? absl::OkStatus() : SystemError(path);
  }
  if (!S_ISSOCK(info.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " exists and is no socket; remove it by hand"));
  }
  const UniqueFd probe(
      socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return SystemError("socket");
  const int rc =
      connect(probe.get(), reinterpret_cast<const sockaddr*>(&address),
              sizeof(address));
  // EAGAIN: alive, with a full backlog.
  if (rc == 0 || errno == EAGAIN) {
    return absl::FailedPreconditionError(
        absl::StrCat("another process answers at ", path));
  }
  if (errno != ECONNREFUSED) return SystemError(absl::StrCat("probe ", path));
  if (unlink(path.c_str()) != 0) {
    return SystemError(absl::StrCat("can not remove stale ", path));
  }
  return absl::OkStatus();
}

// Lets the owner and `groups` connect, and nobody else: the list of acl(5), in
// the kernel's form. The owner of a file needs no capability for it.
bool SetAccessList(const std::string& path, const std::vector<gid_t>& groups) {
  constexpr uint16_t kReadWrite = ACL_READ | ACL_WRITE;
  std::vector<posix_acl_xattr_entry> entries;
  const auto add = [&](uint16_t tag, uint16_t perm, uint32_t id) {
    entries.push_back(
        {.e_tag = htole16(tag), .e_perm = htole16(perm), .e_id = htole32(id)});
  };
  const auto none = static_cast<uint32_t>(ACL_UNDEFINED_ID);
  add(ACL_USER_OBJ, kReadWrite, none);
  add(ACL_GROUP_OBJ, 0, none);
  for (const gid_t group : groups) add(ACL_GROUP, kReadWrite, group);
  add(ACL_MASK, kReadWrite, none);
  add(ACL_OTHER, 0, none);
  const posix_acl_xattr_header header{.a_version =
                                          htole32(POSIX_ACL_XATTR_VERSION)};
  std::string value(reinterpret_cast<const char*>(&header), sizeof(header));
  value.append(reinterpret_cast<const char*>(entries.data()),
               entries.size() * sizeof(posix_acl_xattr_entry));
  return setxattr(path.c_str(), "system.posix_acl_access", value.data(),
                  value.size(), 0) == 0;
}

absl::Status SetMode(const std::string& path, mode_t mode) {
  if (chmod(path.c_str(), mode) == 0) return absl::OkStatus();
  return SystemError(absl::StrCat("chmod ", path));
}

absl::Status SetAccess(const ListenSocket::Options& options) {
  const std::string& path = options.path;
  const auto& admin = options.admin_group;
  const auto& reader = options.read_only_group;
  if (!admin && !reader) return SetMode(path, 0600);
  // One group is what a mode can say, if we may give the file to that group.
  if (!reader && chown(path.c_str(), static_cast<uid_t>(-1), *admin) == 0) {
    return SetMode(path, 0660);
  }
  std::vector<gid_t> groups;
  if (admin) groups.push_back(*admin);
  if (reader) groups.push_back(*reader);
  if (SetAccessList(path, groups)) return absl::OkStatus();
  LogInfo(
      "the file system has no access control lists: anybody may connect to "
      "the socket, and strangers are turned away then",
      {{"path", path}, {"cause", strerror(errno)}});
  return SetMode(path, 0666);
}

}  // namespace

absl::StatusOr<ListenSocket> ListenSocket::Open(const Options& options) {
  ASSIGN_OR_RETURN(const sockaddr_un address, MakeAddress(options.path));
  RETURN_IF_ERROR(MakeDirectory(options.path));
  UniqueFd lock;
  ASSIGN_OR_RETURN(lock, TakeLock(options.path));
  RETURN_IF_ERROR(RemoveStale(options.path, address));
  ListenSocket result;
  result.socket_.reset(
      socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!result.socket_) return SystemError("socket");
  // Closed to everybody until the mode is set. No other thread makes files yet.
  const mode_t old_mask = umask(0177);
  const int rc =
      bind(result.socket_.get(), reinterpret_cast<const sockaddr*>(&address),
           sizeof(address));
  const int bind_errno = errno;
  umask(old_mask);
  errno = bind_errno;
  if (rc != 0) return SystemError(absl::StrCat("bind ", options.path));
  result.path_ = options.path;
  result.lock_ = std::move(lock);
  RETURN_IF_ERROR(SetAccess(options));
  if (listen(result.socket_.get(), kBacklog) != 0) return SystemError("listen");
  return result;
}

ListenSocket::~ListenSocket() {
  // A moved-from or unbound one has no lock. The lock file stays: removing it
  // would let two later daemons lock two different files.
  if (lock_.valid()) unlink(path_.c_str());
}

}  // namespace tunnel::ctl
