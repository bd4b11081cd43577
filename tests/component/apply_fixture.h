// ApplyTest: ConfigService called over one connection of a TestDaemon.

#ifndef TESTS_COMPONENT_APPLY_FIXTURE_H_
#define TESTS_COMPONENT_APPLY_FIXTURE_H_

#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/component/daemon.h"

namespace tunnel::ctl {

class ApplyTest : public ::testing::Test {
 protected:
  static v1::Tunnel Gre(const std::string& name, int host) {
    return GreRequest(name, host).tunnel();
  }
  static v1::ApplyConfigRequest Wanted(const std::vector<v1::Tunnel>& tunnels,
                                       bool prune = false) {
    v1::ApplyConfigRequest request;
    for (const v1::Tunnel& tunnel : tunnels) *request.add_tunnels() = tunnel;
    request.set_prune(prune);
    return request;
  }

  grpc::Status Apply(const v1::ApplyConfigRequest& request) {
    change_.Clear();
    grpc::ClientContext context;
    SetDeadline(context);
    return daemon_.config().ApplyConfig(&context, request, &change_);
  }
  grpc::Status Confirm(std::string id = "") {
    change_.Clear();
    grpc::ClientContext context;
    v1::ConfirmApplyRequest request;
    request.set_id(id);
    return daemon_.config().ConfirmApply(&context, request, &change_);
  }
  grpc::Status Revert(std::string id = "") {
    change_.Clear();
    grpc::ClientContext context;
    v1::RevertApplyRequest request;
    request.set_id(id);
    return daemon_.config().RevertApply(&context, request, &change_);
  }
  static void SetDeadline(grpc::ClientContext& context) {
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::minutes(1));
  }

  v1::ListTunnelsResponse List() {
    grpc::ClientContext context;
    v1::ListTunnelsResponse response;
    EXPECT_TRUE(daemon_.tunnels().ListTunnels(&context, {}, &response).ok());
    return response;
  }
  // NAME -> remote.
  std::map<std::string, std::string> Remotes() {
    std::map<std::string, std::string> out;
    const v1::ListTunnelsResponse list = List();
    for (const auto& tunnel : list.tunnels())
      out[tunnel.name()] = tunnel.remote();
    return out;
  }
  v1::ConfigLockState Lock() {
    grpc::ClientContext context;
    v1::ConfigLockState state;
    EXPECT_TRUE(daemon_.config().GetConfigLock(&context, {}, &state).ok());
    return state;
  }
  // What is committed, byte by byte.
  std::string State() { return List().SerializeAsString(); }

  // False when it does not come true within a minute.
  static bool Await(const std::function<bool()>& condition) {
    using Clock = std::chrono::steady_clock;
    const auto limit = Clock::now() + std::chrono::minutes(1);
    while (!condition()) {
      if (Clock::now() > limit) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
  }

  using Pairs = std::map<std::string, std::string>;

  TestDaemon daemon_;
  v1::ConfigChange change_;  // of the last mutation
};

}  // namespace tunnel::ctl

#endif  // TESTS_COMPONENT_APPLY_FIXTURE_H_
