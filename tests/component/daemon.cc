#include "tests/component/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/google/rpc/status.pb.h"

namespace tunnel::ctl {

absl::StatusOr<std::unique_ptr<TunDevice>> GatedTunFactory::Open(
    const Request& request) {
  Wait();
  return inner_.Open(request);
}

absl::StatusOr<std::unique_ptr<TunDevice>> GatedTunFactory::Adopt(
    const Request& request, uint32_t ifindex) {
  Wait();
  return inner_.Adopt(request, ifindex);
}

void GatedTunFactory::Wait() {
  std::unique_lock lock(mu_);
  ++waiting_;
  changed_.notify_all();
  changed_.wait(lock, [this] { return !shut_; });
  --waiting_;
}

void GatedTunFactory::Shut() {
  std::lock_guard lock(mu_);
  shut_ = true;
}

void GatedTunFactory::OpenGate() {
  std::lock_guard lock(mu_);
  shut_ = false;
  changed_.notify_all();
}

void GatedTunFactory::AwaitArrival() {
  std::unique_lock lock(mu_);
  changed_.wait(lock, [this] { return waiting_ > 0; });
}

std::string MakeTempDir() {
  char name[] = "/tmp/tunneld-test-XXXXXX";
  EXPECT_NE(mkdtemp(name), nullptr);
  // Strangers must reach the socket to be turned away by it.
  EXPECT_EQ(chmod(name, 0755), 0);
  return name;
}

TestDaemon::TestDaemon(DaemonOptions options)
    : directory_(MakeTempDir()), socket_path_(directory_ + "/sock") {
  for (const char* local : {"192.0.2.1", "198.51.100.1", "2001:db8::1"}) {
    links_.AddLocalAddress(*encap::IpAddress::Parse(local));
  }
  auto manager = TunnelManager::Create(options.manager, platform_);
  if (!manager.ok()) {
    ADD_FAILURE() << manager.status();
    abort();
  }
  manager_ = *std::move(manager);
  options.server.listen.path = socket_path_;
  options.server.acceptor.policy.own_uid = geteuid();
  options.server.acceptor.policy.admin_group =
      options.server.listen.admin_group;
  options.server.acceptor.policy.read_only_group =
      options.server.listen.read_only_group;
  auto server = Server::Start(options.server, *manager_);
  if (!server.ok()) {
    ADD_FAILURE() << server.status();
    abort();
  }
  server_ = *std::move(server);
  const std::shared_ptr<grpc::Channel> channel = Connect();
  tunnels_ = v1::TunnelService::NewStub(channel);
  config_ = v1::ConfigService::NewStub(channel);
  telemetry_ = v1::TelemetryService::NewStub(channel);
}

TestDaemon::~TestDaemon() {
  gate_.OpenGate();
  Stop();
  std::filesystem::remove_all(directory_);
}

void TestDaemon::Stop() {
  if (manager_ == nullptr) return;
  server_->StopAdmission();
  manager_->Shutdown();
  server_->Shutdown(std::chrono::milliseconds(1000));
  manager_.reset();
}

std::shared_ptr<grpc::Channel> TestDaemon::Connect(
    grpc::ChannelArguments arguments) const {
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  return grpc::CreateCustomChannel(
      "unix:" + socket_path_, grpc::InsecureChannelCredentials(), arguments);
}

UniqueFd ConnectAs(const std::string& path, uid_t uid, gid_t gid,
                   const std::vector<gid_t>& groups, int* error) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.data(), path.size());
  int failure = 0;
  // Credentials belong to a thread in Linux; the raw calls change this one's
  // alone.
  std::thread([&] {
    if (syscall(SYS_setgroups, groups.size(), groups.data()) != 0 ||
        syscall(SYS_setresgid, gid, gid, gid) != 0 ||
        syscall(SYS_setresuid, uid, uid, uid) != 0 ||
        connect(fd.get(), reinterpret_cast<const sockaddr*>(&address),
                sizeof(address)) != 0) {
      failure = errno;
    }
  }).join();
  if (error != nullptr) *error = failure;
  if (failure != 0) fd.reset();
  return fd;
}

std::shared_ptr<grpc::Channel> ChannelFrom(UniqueFd fd) {
  fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
  return grpc::CreateInsecureChannelFromFd("test", fd.release());
}

v1::CreateTunnelRequest GreRequest(const std::string& name, int host) {
  v1::CreateTunnelRequest request;
  v1::Tunnel& tunnel = *request.mutable_tunnel();
  tunnel.set_name(name);
  tunnel.set_mode(v1::GRE);
  tunnel.set_local("192.0.2.1");
  tunnel.set_remote(absl::StrCat("192.0.2.", host));
  return request;
}

google::rpc::ErrorInfo InfoOf(const grpc::Status& status) {
  google::rpc::Status rpc;
  EXPECT_TRUE(rpc.ParseFromString(status.error_details()));
  google::rpc::ErrorInfo found;
  int count = 0;
  for (const auto& any : rpc.details()) {
    if (any.UnpackTo(&found)) ++count;
  }
  EXPECT_EQ(count, 1) << status.error_code() << " " << status.error_message();
  EXPECT_EQ(found.domain(), "tunneld");
  return found;
}

std::string ReasonOf(const grpc::Status& status) {
  return status.ok() ? "OK" : InfoOf(status).reason();
}

std::vector<std::string> BadFieldsOf(const grpc::Status& status) {
  google::rpc::Status rpc;
  EXPECT_TRUE(rpc.ParseFromString(status.error_details()));
  std::vector<std::string> fields;
  for (const auto& any : rpc.details()) {
    google::rpc::BadRequest bad;
    if (!any.UnpackTo(&bad)) continue;
    for (const auto& violation : bad.field_violations()) {
      fields.push_back(violation.field());
    }
  }
  return fields;
}

}  // namespace tunnel::ctl
