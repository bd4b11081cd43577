#include "ctl/cli/connect.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tunnel::ctl::cli {
namespace {

using ::testing::HasSubstr;

constexpr uid_t kNobody = 65534;

class ConnectTest : public ::testing::Test {
 protected:
  ConnectTest() {
    char directory[] = "/tmp/connect_test.XXXXXX";
    directory_ = mkdtemp(directory);
    chmod(directory_.c_str(), 0755);
    path_ = directory_ + "/socket";
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(
        bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
        0);
    EXPECT_EQ(listen(listener_, 8), 0);
    chmod(path_.c_str(), 0666);
  }
  ~ConnectTest() override {
    close(listener_);
    std::filesystem::remove_all(directory_);
  }

  CallError Try(absl::Duration timeout = absl::Seconds(5)) {
    return Connect("unix:" + path_, timeout, &fd_);
  }

  // Takes one connection, sends `greeting` and closes it.
  std::thread ServeOne(std::string greeting) {
    return std::thread([this, greeting] {
      const int connection = accept(listener_, nullptr, nullptr);
      if (!greeting.empty()) {
        EXPECT_EQ(write(connection, greeting.data(), greeting.size()),
                  static_cast<ssize_t>(greeting.size()));
      }
      close(connection);
    });
  }

  std::string directory_;
  std::string path_;
  int listener_ = -1;
  int fd_ = -1;
};

TEST_F(ConnectTest, SucceedsOnceTheDaemonSpeaksAndTakesNothingOfIt) {
  // An empty SETTINGS frame (RFC 7540 6.5).
  const std::string settings("\0\0\0\4\0\0\0\0\0", 9);
  std::thread server = ServeOne(settings);
  EXPECT_TRUE(Try().ok());
  ASSERT_GE(fd_, 0);
  server.join();
  char text[16];
  ASSERT_EQ(read(fd_, text, sizeof(text)), 9);
  EXPECT_EQ(std::string(text, 9), settings);
  close(fd_);
}

TEST_F(ConnectTest, ARefusalInWordsIsTheCause) {
  std::thread server = ServeOne("tunneld: too many connections\nmore");
  const CallError error = Try();
  server.join();
  EXPECT_EQ(ExitCode(error), kExitUnavailable);
  EXPECT_THAT(error.message,
              ::testing::EndsWith(": tunneld: too many connections"));
  EXPECT_EQ(fd_, -1);
}

TEST_F(ConnectTest, ClosedUnansweredIsUnreachableForRoot) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  std::thread server = ServeOne("");
  const CallError error = Try();
  server.join();
  EXPECT_EQ(ExitCode(error), kExitUnavailable);
  EXPECT_THAT(error.message, HasSubstr("closed the connection"));
  EXPECT_EQ(fd_, -1);
}

TEST_F(ConnectTest, ClosedUnansweredIsNotPermittedForOthers) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  std::thread server = ServeOne("");
  ASSERT_EQ(seteuid(kNobody), 0);
  const CallError error = Try();
  ASSERT_EQ(seteuid(0), 0);
  server.join();
  EXPECT_EQ(ExitCode(error), kExitNoPermission);
  EXPECT_EQ(error.reason, "SOCKET_PERMISSION");
}

TEST_F(ConnectTest, ASocketThatMayNotBeOpenedIsNotPermitted) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  chmod(path_.c_str(), 0600);
  ASSERT_EQ(seteuid(kNobody), 0);
  const CallError error = Try();
  ASSERT_EQ(seteuid(0), 0);
  EXPECT_EQ(ExitCode(error), kExitNoPermission);
  EXPECT_THAT(error.message, HasSubstr("Permission denied"));
  EXPECT_THAT(ErrorText(error), HasSubstr("group tunnel"));
}

TEST_F(ConnectTest, SilenceEndsWithTheTimeout) {
  const absl::Duration timeout = absl::Milliseconds(100);
  const CallError error = Try(timeout);
  EXPECT_EQ(ExitCode(error), kExitUnavailable);
  EXPECT_THAT(error.message, HasSubstr("does not answer"));
}

TEST_F(ConnectTest, AFullBacklogIsWaitedForAndGivenUp) {
  ASSERT_EQ(listen(listener_, 0), 0);
  int first = -1;
  Connect("unix:" + path_, absl::Milliseconds(20), &first);
  // One place may be left; the second or third finds none.
  CallError error;
  for (int i = 0; i < 3; ++i) error = Try(absl::Milliseconds(50));
  EXPECT_EQ(ExitCode(error), kExitUnavailable);
}

TEST(Connect, TriesTheFormsOfTargets) {
  int fd = 0;
  for (const char* target : {"", "unix:", "localhost", "localhost:", ":80"}) {
    const CallError error = Connect(target, absl::Seconds(1), &fd);
    EXPECT_EQ(ExitCode(error), kExitUsage) << target;
    EXPECT_EQ(fd, -1);
  }
  const CallError long_path =
      Connect("unix:/" + std::string(200, 'x'), absl::Seconds(1), &fd);
  EXPECT_EQ(ExitCode(long_path), kExitUsage);
  for (const char* target :
       {"unix:/nonexistent", "unix:///nonexistent", "127.0.0.1:1", "[::1]:1"}) {
    const CallError error = Connect(target, absl::Seconds(1), &fd);
    EXPECT_EQ(ExitCode(error), kExitUnavailable) << target;
    EXPECT_THAT(error.message, HasSubstr(target));
  }
}

}  // namespace
}  // namespace tunnel::ctl::cli
