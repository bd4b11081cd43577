// ManagerFixture: a TunnelManager over devices, a wire and links in memory.

#ifndef TUNNEL_MANAGER_FIXTURE_H_
#define TUNNEL_MANAGER_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tunnel/base/error.h"
#include "tunnel/netlink/memory_link_control.h"
#include "tunnel/tun/memory_tun.h"
#include "tunnel/tunnel_manager.h"
#include "tunnel/underlay/memory_transport.h"

namespace tunnel {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline encap::IpAddress Address(const char* text) {
  return *encap::IpAddress::Parse(text);
}

// A minimal IPv4 packet from 10.9.0.1 to 10.9.0.2 with 8 payload bytes.
inline std::vector<uint8_t> InnerPacket(uint8_t tag) {
  std::vector<uint8_t> p = {0x45, 0, 0,  28, 0, 0, 0,  0, 64, 253,
                            0,    0, 10, 9,  0, 1, 10, 9, 0,  2};
  p.resize(28, tag);
  uint32_t sum = 0;
  for (int i = 0; i < 20; i += 2) sum += (p[i] << 8) | p[i + 1];
  sum = (sum & 0xffff) + (sum >> 16);
  p[10] = static_cast<uint8_t>(~sum >> 8);
  p[11] = static_cast<uint8_t>(~sum);
  return p;
}

inline bool Eventually(const std::function<bool()>& condition) {
  const auto until = std::chrono::steady_clock::now() + seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
}

class ManagerFixture : public testing::Test {
 protected:
  ManagerFixture() : ManagerFixture(nullptr) {}
  explicit ManagerFixture(ConfigStore* store,
                          Dispatch dispatch = Dispatch::kHybrid) {
    links_.AddLocalAddress(Address("192.0.2.1"));
    manager_ = Start(platform_, store, dispatch);
  }

  static std::unique_ptr<TunnelManager> Start(
      Platform& platform, ConfigStore* store,
      Dispatch dispatch = Dispatch::kHybrid) {
    TunnelManager::Options options;
    options.workers = 2;
    options.max_tunnels = 8;
    options.store = store;
    options.dispatch = dispatch;
    auto manager = TunnelManager::Create(options, platform);
    EXPECT_TRUE(manager.ok()) << manager.status();
    return *std::move(manager);
  }

  static EndpointConfig Gre(const std::string& name,
                            const char* remote = "192.0.2.2",
                            std::optional<uint32_t> key = std::nullopt) {
    EndpointConfig config;
    config.name = name;
    config.encap.mode = encap::Mode::kGre;
    config.encap.local = Address("192.0.2.1");
    config.encap.remote = Address(remote);
    config.encap.input_key = config.encap.output_key = key;
    return config;
  }

  absl::StatusOr<ChangeResult> Create(const EndpointConfig& config) {
    return manager_->CreateTunnel(call_, config, {});
  }
  absl::StatusOr<ChangeResult> Edit(
      const std::string& name,
      const std::function<void(EndpointConfig&)>& edit) {
    return manager_->UpdateTunnel(
        call_, name,
        [&](const EndpointConfig& current) -> absl::StatusOr<EndpointConfig> {
          EndpointConfig next = current;
          edit(next);
          return next;
        },
        {});
  }

  // Applies what `edit` makes of all configurations.
  absl::StatusOr<ApplyResult> Apply(
      const std::function<void(TunnelManager::Configs&)>& edit,
      const ApplyOptions& options = {}) {
    return manager_->Apply(
        call_,
        [&](const TunnelManager::Configs& current)
            -> absl::StatusOr<TunnelManager::Configs> {
          TunnelManager::Configs next = current;
          edit(next);
          return next;
        },
        options);
  }

  MemoryTunFactory tun_;
  MemoryTransportFactory wire_;
  MemoryLinkControl links_;
  Platform platform_{tun_, wire_, links_};
  CallContext call_;
  std::unique_ptr<TunnelManager> manager_;
};

}  // namespace tunnel

#endif  // TUNNEL_MANAGER_FIXTURE_H_
