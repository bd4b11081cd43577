#include "tests/concurrency/lab.h"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <utility>

#include "encap/bytes.h"
#include "encap/checksum.h"
#include "encap/encapsulator.h"
#include "encap/packet.h"
#include "tests/concurrency/sanitizers.h"
#include "tunnel/base/clock.h"
#include "tunnel/stats/counters.h"

namespace tunnel {
namespace {

constexpr size_t kIpLen = 20, kPayloadLen = 8;
constexpr uint16_t kMagic = 0x7e57;
constexpr size_t kPayload = kInnerHeaderLen;

uint64_t Sum(const DropCounts& drops) {
  return std::accumulate(drops.begin(), drops.end(), uint64_t{0});
}

}  // namespace

Lab::Lab(int workers, size_t max_lock_waiters, ConfigStore* store) {
  // A packet injected while its device goes away is EPIPE, not a signal.
  signal(SIGPIPE, SIG_IGN);
  links.AddLocalAddress(LocalAddress());
  TunnelManager::Options options;
  options.workers = workers;
  options.max_lock_waiters = max_lock_waiters;
  options.store = store;
  manager = *TunnelManager::Create(options, platform);
}

encap::IpAddress LocalAddress() {
  const uint8_t bytes[4] = {192, 0, 2, 1};
  return encap::IpAddress::V4(bytes);
}

encap::IpAddress RemoteAddress(size_t index) {
  const uint8_t bytes[4] = {198, 51, 100, static_cast<uint8_t>(10 + index)};
  return encap::IpAddress::V4(bytes);
}

bool LockComesFree(const TunnelManager& manager) {
  const SteadyTime start = SteadyNow();
  while (manager.LockInfo().holder.has_value()) {
    if (Since(start) > std::chrono::minutes(1)) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

EndpointConfig GreConfig(const std::string& name, size_t remote,
                         std::optional<uint32_t> key) {
  EndpointConfig config;
  config.name = name;
  config.encap.mode = encap::Mode::kGre;
  config.encap.local = LocalAddress();
  config.encap.remote = RemoteAddress(remote);
  config.encap.input_key = config.encap.output_key = key;
  return config;
}

std::vector<uint8_t> InnerDatagram(uint16_t source_port, size_t payload) {
  std::vector<uint8_t> p(kInnerHeaderLen + payload);
  p[0] = 0x45;
  encap::Put16(&p[2], static_cast<uint16_t>(p.size()));
  p[8] = 64;  // TTL
  p[9] = 17;  // UDP
  encap::Put32(&p[12], 0x0a090001);
  encap::Put32(&p[16], 0x0a090002);
  encap::StoreBe16(&p[10], encap::InternetChecksum({p.data(), kIpLen}));
  encap::Put16(&p[20], source_port);
  encap::Put16(&p[22], 4242);
  encap::Put16(&p[24], static_cast<uint16_t>(p.size() - kIpLen));
  return p;
}

std::vector<uint8_t> InnerPacket(uint16_t tag, uint32_t number) {
  std::vector<uint8_t> p =
      InnerDatagram(static_cast<uint16_t>(1024 + number % 50'000), kPayloadLen);
  encap::Put16(&p[kPayload], kMagic);
  encap::Put16(&p[kPayload + 2], tag);
  encap::Put32(&p[kPayload + 4], number);
  return p;
}

std::optional<uint16_t> TagOf(std::span<const uint8_t> inner) {
  if (inner.size() != kPayload + kPayloadLen || inner[0] != 0x45 ||
      encap::Get16(&inner[kPayload]) != kMagic) {
    return std::nullopt;
  }
  return encap::Get16(&inner[kPayload + 2]);
}

uint32_t NumberOf(std::span<const uint8_t> inner) {
  return encap::Get32(&inner[kPayload + 4]);
}

std::vector<uint8_t> FromPeer(const encap::EncapConfig& config,
                              std::span<const uint8_t> inner) {
  encap::EncapConfig peer = config;
  std::swap(peer.local, peer.remote);
  std::swap(peer.input_key, peer.output_key);
  std::vector<uint8_t> storage(encap::kMaxEncapHeadroom + inner.size());
  std::copy(inner.begin(), inner.end(),
            storage.begin() + encap::kMaxEncapHeadroom);
  encap::PacketBuffer packet(storage, encap::kMaxEncapHeadroom, inner.size());
  encap::OutputState state;
  if (encap::Encapsulator(peer).Encapsulate(packet, state) !=
      encap::DropReason::kNone) {
    return {};
  }
  return {packet.bytes().begin(), packet.bytes().end()};
}

std::map<std::string, uint64_t> TransmitTotals(const StatsSnapshot& stats) {
  std::map<std::string, uint64_t> totals;
  for (const StatsSnapshot::Tunnel& tunnel : stats.tunnels) {
    totals[tunnel.name] =
        tunnel.counters.transmit_packets + Sum(tunnel.counters.transmit_drops);
  }
  return totals;
}

uint64_t ReceiveTotal(const StatsSnapshot& stats) {
  uint64_t total = Sum(stats.unmatched_drops);
  for (const StatsSnapshot::Tunnel& tunnel : stats.tunnels) {
    total += tunnel.counters.receive_packets;
    total += Sum(tunnel.counters.receive_drops);
  }
  return total;
}

std::string DropsText(const StatsSnapshot& stats) {
  std::string text;
  const auto add = [&](const char* direction, const DropCounts& drops) {
    for (size_t i = 0; i < drops.size(); ++i) {
      if (drops[i] == 0) continue;
      text += std::string(direction) + " " +
              std::string(encap::kDropReasonInfo[i].name) + " " +
              std::to_string(drops[i]) + ", ";
    }
  };
  TunnelCounters sum;
  for (const StatsSnapshot::Tunnel& tunnel : stats.tunnels) {
    AddTo(tunnel.counters, sum);
  }
  add("transmit", sum.transmit_drops);
  add("receive", sum.receive_drops);
  add("unmatched", stats.unmatched_drops);
  return text;
}

uint32_t Seed() {
  static const uint32_t seed = [] {
    const char* text = std::getenv("TORTURE_SEED");
    const uint32_t value =
        text != nullptr ? static_cast<uint32_t>(std::strtoul(text, nullptr, 0))
                        : std::random_device{}();
    std::printf("TORTURE_SEED=%u repeats the choices of this run\n", value);
    std::fflush(stdout);
    return value;
  }();
  return seed;
}

int LoadSeconds() {
  if (const char* text = std::getenv("TORTURE_SECONDS")) {
    return std::max(1, std::atoi(text));
  }
  if (kHasTsan) return 20;
  return kHasAsan ? 8 : 3;
}

}  // namespace tunnel
