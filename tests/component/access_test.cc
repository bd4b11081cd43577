// Who may connect, how many, and what a reader may not do.

#include <errno.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ctl/listen_socket.h"
#include "tests/component/daemon.h"

namespace tunnel::ctl {
namespace {

using Clock = std::chrono::steady_clock;

constexpr gid_t kAdminGroup = 54321;
constexpr gid_t kReaderGroup = 54322;
constexpr uid_t kUser = 54323;

DaemonOptions Groups() {
  DaemonOptions options;
  options.server.listen.admin_group = kAdminGroup;
  options.server.listen.read_only_group = kReaderGroup;
  options.server.acceptor.max_connections = 24;
  options.server.acceptor.max_connections_per_uid = 4;
  return options;
}

grpc::Status List(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::seconds(5));
  v1::ListTunnelsResponse response;
  return v1::TunnelService::NewStub(channel)->ListTunnels(&context, {},
                                                          &response);
}

// True when the other side closes the connection within 2 s without HTTP/2.
bool IsTurnedAway(const UniqueFd& fd) {
  pollfd waiting{.fd = fd.get(), .events = POLLIN, .revents = 0};
  if (poll(&waiting, 1, 2000) != 1) return false;
  char text[64] = {};
  const ssize_t n = recv(fd.get(), text, sizeof(text) - 1, 0);
  return n == 0 || (n < 0 && errno == ECONNRESET) ||
         std::string(text).rfind("tunneld: ", 0) == 0;
}

class AccessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root to become other users";
  }

  UniqueFd Connect(uid_t uid, gid_t gid, std::vector<gid_t> groups = {},
                   int* error = nullptr) {
    return ConnectAs(daemon_.socket_path(), uid, gid, groups, error);
  }
  // Sends one call of each mutation; all must be refused.
  void ExpectReadOnly(const std::shared_ptr<grpc::Channel>& channel);

  TestDaemon daemon_{Groups()};
};

TEST_F(AccessTest, MembersOfTheAdminGroupMayChange) {
  for (const auto& [gid, groups] :
       std::vector<std::pair<gid_t, std::vector<gid_t>>>{
           {kAdminGroup, {}}, {65534, {1, 2, kAdminGroup}}}) {
    UniqueFd fd = Connect(kUser, gid, groups);
    ASSERT_TRUE(fd.valid());
    auto stub = v1::TunnelService::NewStub(ChannelFrom(std::move(fd)));
    v1::TunnelChange change;
    grpc::ClientContext create;
    EXPECT_EQ(ReasonOf(stub->CreateTunnel(&create, GreRequest("t"), &change)),
              "OK");
    grpc::ClientContext remove;
    v1::DeleteTunnelRequest request;
    request.set_name("t");
    EXPECT_EQ(ReasonOf(stub->DeleteTunnel(&remove, request, &change)), "OK");
  }
}

void AccessTest::ExpectReadOnly(const std::shared_ptr<grpc::Channel>& channel) {
  auto stub = v1::TunnelService::NewStub(channel);
  auto config = v1::ConfigService::NewStub(channel);
  v1::TunnelChange change;
  const auto refused = [](const grpc::Status& status) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
    EXPECT_EQ(ReasonOf(status), "READ_ONLY_CLIENT");
  };
  const auto call = [&](auto method, auto request) {
    grpc::ClientContext context;
    refused((stub.get()->*method)(&context, request, &change));
  };
  using Stub = v1::TunnelService::Stub;
  call(&Stub::CreateTunnel, GreRequest("t"));
  call(&Stub::UpdateTunnel, v1::UpdateTunnelRequest());
  call(&Stub::DeleteTunnel, v1::DeleteTunnelRequest());
  call(&Stub::PauseTunnel, v1::PauseTunnelRequest());
  call(&Stub::ResumeTunnel, v1::ResumeTunnelRequest());
  call(&Stub::DetachEndpoint, v1::DetachEndpointRequest());
  call(&Stub::AttachEndpoint, v1::AttachEndpointRequest());
  v1::ConfigChange config_change;
  const auto call_config = [&](auto method, auto request) {
    grpc::ClientContext context;
    refused((config.get()->*method)(&context, request, &config_change));
  };
  using Config = v1::ConfigService::Stub;
  v1::ApplyConfigRequest check;  // not even to look what it would do
  *check.add_tunnels() = GreRequest("t").tunnel();
  check.mutable_options()->set_validate_only(true);
  call_config(&Config::ApplyConfig, check);
  call_config(&Config::ConfirmApply, v1::ConfirmApplyRequest());
  call_config(&Config::RevertApply, v1::RevertApplyRequest());
  grpc::ClientContext context;
  v1::InterruptConfigLockResponse response;
  refused(config->InterruptConfigLock(&context, {}, &response));
  grpc::ClientContext resize_context;
  v1::ResizeHandoffResponse resized;
  refused(config->ResizeHandoff(&resize_context, {}, &resized));
  // It reads, but what others send.
  auto telemetry = v1::TelemetryService::NewStub(channel);
  grpc::ClientContext capture_context;
  v1::CaptureRequest capture;
  capture.set_name("t");
  refused(telemetry->Capture(&capture_context, capture)->Finish());
  grpc::ClientContext end_context;
  v1::EndCaptureResponse ended;
  refused(telemetry->EndCapture(&end_context, {}, &ended));
}

TEST_F(AccessTest, MembersOfTheReaderGroupMayOnlyRead) {
  UniqueFd fd = Connect(kUser, 65534, {kReaderGroup});
  ASSERT_TRUE(fd.valid());
  auto channel = ChannelFrom(std::move(fd));
  EXPECT_TRUE(List(channel).ok());
  ExpectReadOnly(channel);
  EXPECT_EQ(daemon_.manager().List().tunnels.size(), 0u);
}

TEST_F(AccessTest, StrangersAreTurnedAwayByTheSocketItself) {
  int error = 0;
  const UniqueFd fd = Connect(kUser, 65534, {1, 2}, &error);
  // Where the file system has no access control lists, the acceptor does it.
  if (fd.valid()) {
    EXPECT_TRUE(IsTurnedAway(fd));
  } else {
    EXPECT_EQ(error, EACCES);
  }
}

TEST_F(AccessTest, AcceptorTurnsStrangersAwayBeforeTheFirstByte) {
  ASSERT_EQ(chmod(daemon_.socket_path().c_str(), 0666), 0);
  const UniqueFd fd = Connect(kUser, 65534, {1, 2});
  ASSERT_TRUE(fd.valid());
  EXPECT_TRUE(IsTurnedAway(fd));
}

TEST_F(AccessTest, OneUserCanNotTakeAllConnections) {
  std::vector<UniqueFd> held;
  for (int i = 0; i < 4; ++i) {
    held.push_back(Connect(kUser, kAdminGroup));
    ASSERT_TRUE(held.back().valid());
  }
  EXPECT_TRUE(IsTurnedAway(Connect(kUser, kAdminGroup)));
  EXPECT_TRUE(List(ChannelFrom(Connect(kUser + 1, kAdminGroup))).ok());
  // One that ends makes room.
  held.pop_back();
  const auto limit = Clock::now() + std::chrono::minutes(1);
  bool served = false;
  while (!served && Clock::now() < limit) {
    served = List(ChannelFrom(Connect(kUser, kAdminGroup))).ok();
  }
  EXPECT_TRUE(served);
}

TEST_F(AccessTest, RootGetsInWhenOthersHaveTakenTheirShare) {
  std::vector<UniqueFd> held;
  for (uid_t user = kUser; user < kUser + 8; ++user) {
    for (int i = 0; i < 4; ++i) held.push_back(Connect(user, kAdminGroup));
  }
  EXPECT_TRUE(IsTurnedAway(Connect(kUser + 9, kAdminGroup)));
  EXPECT_TRUE(List(daemon_.Connect()).ok());
}

TEST_F(AccessTest, RecoversFromAFloodOfIdleConnections) {
  std::vector<UniqueFd> flood;
  for (int i = 0; i < 200; ++i) flood.push_back(Connect(0, 0));
  EXPECT_FALSE(List(daemon_.Connect()).ok());
  flood.clear();
  const auto limit = Clock::now() + std::chrono::minutes(1);
  bool served = false;
  while (!served && Clock::now() < limit) {
    served = List(daemon_.Connect()).ok();
  }
  EXPECT_TRUE(served);
}

TEST(KeepaliveTest, SilentConnectionsAreGivenUp) {
  DaemonOptions options;
  options.server.acceptor.max_connections = 8;
  options.server.keepalive = std::chrono::milliseconds(200);
  options.server.keepalive_timeout = std::chrono::milliseconds(200);
  TestDaemon daemon(options);
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 8; ++i) {
    silent.push_back(ConnectAs(daemon.socket_path(), geteuid(), getegid(), {}));
  }
  const auto limit = Clock::now() + std::chrono::minutes(1);
  bool served = false;
  while (!served && Clock::now() < limit) served = List(daemon.Connect()).ok();
  EXPECT_TRUE(served);
}

// ---- the socket file ----

class ListenTest : public ::testing::Test {
 protected:
  ~ListenTest() override { std::filesystem::remove_all(directory_); }
  absl::StatusOr<ListenSocket> Open() {
    return ListenSocket::Open({.path = path_});
  }
  mode_t Mode() {
    struct stat info {};
    EXPECT_EQ(stat(path_.c_str(), &info), 0);
    return info.st_mode & 07777;
  }

  const std::string directory_ = MakeTempDir();
  const std::string path_ = directory_ + "/run/sock";
};

TEST_F(ListenTest, MakesDirectoryAndSocketAndRemovesTheSocket) {
  {
    const auto socket = Open();
    ASSERT_TRUE(socket.ok()) << socket.status();
    EXPECT_EQ(Mode(), 0600u);
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(ListenTest, SecondDaemonLeavesTheFirstAlone) {
  const auto first = Open();
  ASSERT_TRUE(first.ok());
  const auto second = Open();
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.status().message().find("another tunneld"),
            absl::string_view::npos)
      << second.status();
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(ListenTest, ReplacesTheSocketOfADeadDaemon) {
  {
    auto first = Open();
    ASSERT_TRUE(first.ok());
    // What a killed daemon leaves behind.
    std::filesystem::rename(path_, path_ + ".kept");
  }
  std::filesystem::rename(path_ + ".kept", path_);
  EXPECT_TRUE(Open().ok());
}

TEST_F(ListenTest, LeavesWhatIsNoSocketOfADaemon) {
  std::filesystem::create_directories(directory_ + "/run");
  ASSERT_EQ(symlink("/etc/passwd", path_.c_str()), 0);
  EXPECT_FALSE(Open().ok());
  EXPECT_TRUE(std::filesystem::is_symlink(path_));
}

TEST_F(ListenTest, RefusesAPathThatIsTooLong) {
  const auto socket =
      ListenSocket::Open({.path = "/tmp/" + std::string(200, 'x')});
  ASSERT_FALSE(socket.ok());
  EXPECT_NE(socket.status().message().find("107 bytes"),
            absl::string_view::npos)
      << socket.status();
}

}  // namespace
}  // namespace tunnel::ctl
