// What the daemon does around its start: state directory, readiness, judging
// callers.

#include <gtest/gtest.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <string>

#include "ctl/peer_credentials.h"
#include "ctl/peer_directory.h"
#include "ctl/sd_notify.h"
#include "ctl/state_dir.h"
#include "tunnel/base/unique_fd.h"

namespace tunnel::ctl {
namespace {

TEST(StateDirTest, IsMadePrivateAndHasOneOwner) {
  const std::string path = ::testing::TempDir() + "/state";
  {
    const auto first = LockStateDir(path);
    ASSERT_TRUE(first.ok()) << first.status();
    struct stat info {};
    ASSERT_EQ(stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0700u);
    const auto second = LockStateDir(path);
    ASSERT_FALSE(second.ok());
    EXPECT_NE(second.status().message().find("another tunneld"),
              absl::string_view::npos)
        << second.status();
  }
  EXPECT_TRUE(LockStateDir(path).ok());
}

TEST(StateDirTest, SaysWhatCanNotBeMade) {
  const auto lock = LockStateDir("/proc/no/such/place");
  ASSERT_FALSE(lock.ok());
  EXPECT_NE(lock.status().message().find("/proc/no/such/place"),
            absl::string_view::npos);
}

// A bound datagram socket; `name` as $NOTIFY_SOCKET has it.
UniqueFd Bind(const std::string& name) {
  UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, name.data(), name.size());
  if (name[0] == '@') address.sun_path[0] = '\0';
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address),
                 offsetof(sockaddr_un, sun_path) + name.size()),
            0)
      << strerror(errno);
  return fd;
}

TEST(SdNotifyTest, SendsToPathAndAbstractName) {
  char directory[] = "/tmp/notify-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const std::string path = std::string(directory) + "/sock";
  for (const std::string& name :
       {path, "@tunneld-test-" + std::to_string(getpid())}) {
    const UniqueFd fd = Bind(name);
    setenv("NOTIFY_SOCKET", name.c_str(), 1);
    EXPECT_TRUE(SdNotify("READY=1")) << name;
    char text[32] = {};
    EXPECT_EQ(recv(fd.get(), text, sizeof(text), MSG_DONTWAIT), 7) << name;
    EXPECT_STREQ(text, "READY=1");
  }
  unlink(path.c_str());
  rmdir(directory);
}

TEST(SdNotifyTest, IsQuietWithoutASocket) {
  unsetenv("NOTIFY_SOCKET");
  EXPECT_FALSE(SdNotify("READY=1"));
  for (const char* name : {"", "@", "relative", "/no/such/socket"}) {
    setenv("NOTIFY_SOCKET", name, 1);
    EXPECT_FALSE(SdNotify("READY=1")) << name;
  }
  setenv("NOTIFY_SOCKET", std::string(300, '/').c_str(), 1);
  EXPECT_FALSE(SdNotify("READY=1"));
  unsetenv("NOTIFY_SOCKET");
}

TEST(JudgeAccessTest, GoesByUidThenGroups) {
  const AccessPolicy policy{
      .own_uid = 100, .admin_group = 10, .read_only_group = 20};
  const auto judge = [&](uint32_t uid, std::vector<gid_t> groups) {
    return JudgeAccess(policy, {.uid = uid, .pid = 1, .groups = groups});
  };
  EXPECT_EQ(judge(0, {}), Access::kFull);
  EXPECT_EQ(judge(100, {}), Access::kFull);
  EXPECT_EQ(judge(1, {10}), Access::kFull);
  EXPECT_EQ(judge(1, {5, 6, 10}), Access::kFull);
  EXPECT_EQ(judge(1, {20}), Access::kReadOnly);
  EXPECT_EQ(judge(1, {20, 10}), Access::kFull);
  EXPECT_EQ(judge(1, {}), Access::kNone);
  EXPECT_EQ(judge(1, {0, 100}), Access::kNone);
  EXPECT_EQ(JudgeAccess({.own_uid = 100}, {.uid = 1, .groups = {10, 20}}),
            Access::kNone);
}

TEST(PeerCredentialsTest, AreOurOwnOverASocketPair) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const UniqueFd near(ends[0]);
  const UniqueFd far(ends[1]);
  const auto peer = ReadPeerCredentials(near.get());
  ASSERT_TRUE(peer.ok()) << peer.status();
  EXPECT_EQ(peer->uid, geteuid());
  EXPECT_EQ(peer->pid, getpid());
  ASSERT_FALSE(peer->groups.empty());
  EXPECT_EQ(peer->groups[0], getegid());
  EXPECT_FALSE(ReadPeerCredentials(-1).ok());
}

TEST(PeerDirectoryTest, FindsByTheNameThatGrpcGives) {
  PeerDirectory peers;
  peers.Add(12, {1000, 77});
  EXPECT_EQ(peers.Find("fd:12").uid, 1000u);
  EXPECT_EQ(peers.Find("fd:12").pid, 77);
  peers.Add(12, {1001, 78});
  EXPECT_EQ(peers.Find("fd:12").uid, 1001u);
  peers.Remove(12);
  for (const char* unknown : {"fd:12", "fd:", "unix:", "", "fd:x"}) {
    EXPECT_EQ(peers.Find(unknown).uid, 65534u) << unknown;
  }
}

}  // namespace
}  // namespace tunnel::ctl
