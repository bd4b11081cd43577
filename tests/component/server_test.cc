// Health, reflection, limits and the end of the server.

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/component/daemon.h"

namespace tunnel::ctl {
namespace {

// The health and reflection messages are written by hand: generated ones would
// be in the program twice, since the library of gRPC has them.

grpc::ByteBuffer Bytes(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

std::string Text(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string out;
  for (const grpc::Slice& slice : slices) {
    out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return out;
}

// Field `number` of type string.
std::string StringField(int number, const std::string& value) {
  return std::string(1, static_cast<char>(number << 3 | 2)) +
         std::string(1, static_cast<char>(value.size())) + value;
}

grpc::Status CallRaw(const std::shared_ptr<grpc::Channel>& channel,
                     const std::string& method, const std::string& request,
                     std::string* response) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::minutes(1));
  grpc::CompletionQueue queue;
  auto call = stub.PrepareUnaryCall(&context, method, Bytes(request), &queue);
  call->StartCall();
  grpc::ByteBuffer reply;
  grpc::Status status;
  call->Finish(&reply, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  EXPECT_TRUE(queue.Next(&tag, &ok));
  if (status.ok()) *response = Text(reply);
  return status;
}

// ServingStatus of grpc.health.v1; -1 when the call fails.
int Health(const std::shared_ptr<grpc::Channel>& channel,
           const std::string& service) {
  std::string response;
  const grpc::Status status =
      CallRaw(channel, "/grpc.health.v1.Health/Check",
              service.empty() ? "" : StringField(1, service), &response);
  if (!status.ok() || response.size() != 2 || response[0] != 8) return -1;
  return response[1];
}

constexpr int kServing = 1;
constexpr int kNotServing = 2;

TEST(HealthTest, AnswersForTheWholeAndForEachService) {
  TestDaemon daemon;
  auto channel = daemon.Connect();
  for (const char* service :
       {"", "tunnel.v1.TunnelService", "tunnel.v1.ConfigService",
        "tunnel.v1.TelemetryService"}) {
    EXPECT_EQ(Health(channel, service), kServing) << service;
  }
  EXPECT_EQ(Health(channel, "no.such.Service"), -1);
}

TEST(HealthTest, SaysNotServingWhileDraining) {
  MemoryTunFactory tun;
  MemoryTransportFactory wire;
  MemoryLinkControl links;
  Platform platform{tun, wire, links};
  auto manager = TunnelManager::Create({.workers = 1}, platform);
  ASSERT_TRUE(manager.ok());
  const std::string directory = MakeTempDir();
  Server::Options options;
  options.listen.path = directory + "/sock";
  options.acceptor.policy.own_uid = geteuid();
  auto server = Server::Start(options, **manager);
  ASSERT_TRUE(server.ok());
  auto channel =
      ChannelFrom(ConnectAs(options.listen.path, geteuid(), getegid(), {}));
  EXPECT_EQ(Health(channel, ""), kServing);
  (*server)->StopAdmission();
  EXPECT_EQ(Health(channel, ""), kNotServing);
  EXPECT_EQ(Health(channel, "tunnel.v1.TunnelService"), kNotServing);
  (*server)->Shutdown(std::chrono::milliseconds(100));
  EXPECT_FALSE(std::filesystem::exists(options.listen.path));
  std::filesystem::remove_all(directory);
}

TEST(ReflectionTest, ListsTheServices) {
  TestDaemon daemon;
  grpc::GenericStub stub(daemon.Connect());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::minutes(1));
  grpc::CompletionQueue queue;
  auto call = stub.PrepareCall(
      &context,
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  const auto step = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  call->StartCall(nullptr);
  ASSERT_TRUE(step());
  call->Write(Bytes(StringField(7, "*")), nullptr);
  ASSERT_TRUE(step());
  grpc::ByteBuffer reply;
  call->Read(&reply, nullptr);
  ASSERT_TRUE(step());
  const std::string text = Text(reply);
  for (const char* service :
       {"tunnel.v1.TunnelService", "tunnel.v1.ConfigService",
        "tunnel.v1.TelemetryService", "grpc.health.v1.Health"}) {
    EXPECT_NE(text.find(service), std::string::npos) << service;
  }
  call->WritesDone(nullptr);
  step();
  grpc::Status status;
  call->Finish(&status, nullptr);
  step();
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST(LimitTest, TakesTheLargestTunnelAndRefusesAHugeMessage) {
  TestDaemon daemon;
  v1::CreateTunnelRequest request = GreRequest("big");
  for (int i = 0; i < 64; ++i) {
    (*request.mutable_tunnel()->mutable_labels())["k" + std::to_string(i)] =
        std::string(240, 'v');
    request.mutable_tunnel()->add_addresses("10.0." + std::to_string(i) +
                                            ".1/30");
  }
  v1::TunnelChange change;
  grpc::ClientContext fits;
  EXPECT_EQ(ReasonOf(daemon.tunnels().CreateTunnel(&fits, request, &change)),
            "OK");
  request.mutable_tunnel()->set_local(std::string(9'000'000, '1'));
  grpc::ClientContext huge;
  EXPECT_EQ(daemon.tunnels().CreateTunnel(&huge, request, &change).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST(StopTest, RefusesChangesAndGoesAway) {
  TestDaemon daemon;
  auto channel = daemon.Connect();
  auto stub = v1::TunnelService::NewStub(channel);
  v1::TunnelChange change;
  grpc::ClientContext before;
  ASSERT_TRUE(stub->CreateTunnel(&before, GreRequest("t"), &change).ok());
  daemon.manager().Shutdown();
  grpc::ClientContext after;
  const grpc::Status status =
      stub->CreateTunnel(&after, GreRequest("u", 3), &change);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReasonOf(status), "SHUTTING_DOWN");
  daemon.Stop();  // although a client is connected
  EXPECT_FALSE(std::filesystem::exists(daemon.socket_path()));
}

}  // namespace
}  // namespace tunnel::ctl
