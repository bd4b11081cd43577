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

#include <array>
#include <cstdint>
#include <utility>

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

// Lets `reader` connect too: the list of `man 5 acl`, in the kernel's form.
bool SetAccessList(const std::string& path, bool group_may, gid_t reader) {
  constexpr uint16_t kReadWrite = ACL_READ | ACL_WRITE;
  struct {
    posix_acl_xattr_header header;
    std::array<posix_acl_xattr_entry, 5> entries;
  } acl{};
  const auto entry = [](uint16_t tag, uint16_t perm, uint32_t id) {
    return posix_acl_xattr_entry{
        .e_tag = htole16(tag), .e_perm = htole16(perm), .e_id = htole32(id)};
  };
  const auto none = static_cast<uint32_t>(ACL_UNDEFINED_ID);
  acl.header.a_version = htole32(POSIX_ACL_XATTR_VERSION);
  acl.entries = {entry(ACL_USER_OBJ, kReadWrite, none),
                 entry(ACL_GROUP_OBJ, group_may ? kReadWrite : 0, none),
                 entry(ACL_GROUP, kReadWrite, reader),
                 entry(ACL_MASK, kReadWrite, none), entry(ACL_OTHER, 0, none)};
  return setxattr(path.c_str(), "system.posix_acl_access", &acl, sizeof(acl),
                  0) == 0;
}

absl::Status SetAccess(const ListenSocket::Options& options) {
  const std::string& path = options.path;
  const bool group_may = options.admin_group.has_value();
  if (group_may &&
      chown(path.c_str(), static_cast<uid_t>(-1), *options.admin_group) != 0) {
    return SystemError(absl::StrCat("can not give ", path, " to group ",
                                    *options.admin_group));
  }
  mode_t mode = group_may ? 0660 : 0600;
  const bool list_needed = options.read_only_group.has_value();
  const bool list_set =
      list_needed && SetAccessList(path, group_may, *options.read_only_group);
  if (list_set) return absl::OkStatus();
  if (list_needed) {
    LogInfo(
        "no access control list on the socket; anybody may connect and "
        "strangers are turned away",
        {{"path", path}, {"cause", strerror(errno)}});
    mode = 0666;
  }
  if (chmod(path.c_str(), mode) != 0) {
    return SystemError(absl::StrCat("chmod ", path));
  }
  return absl::OkStatus();
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
