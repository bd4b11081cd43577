// Eight clients create, move, pause, detach and delete tunnels over few pairs,
// while workers carry packets both ways and an operator interrupts. At every
// moment:
//   - no two tunnels have one identity;
//   - a packet is sent with a configuration that is in force, and never with
//     parts of two; sequence numbers go on without a gap;
//   - nothing is sent between the return of pause, detach, down or delete and
//     the call that undoes it;
//   - a call that fails has changed nothing, and leaves soon after its cancel,
//     deadline or timeout;
//   - what went into a device came out or was counted as dropped.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "tests/concurrency/client.h"
#include "tests/concurrency/lab.h"
#include "tests/concurrency/latency.h"
#include "tests/concurrency/ledger.h"
#include "tunnel/base/clock.h"

namespace tunnel {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr size_t kClients = 8;
constexpr size_t kWorkers = 2;
constexpr uint64_t kLeastChanges = 400;

class Torture {
 public:
  Torture();
  void RunLoad();
  void Drain();
  void CheckSumsAtRest();
  void CheckLeaveTimes();
  void CheckCoverage();
  void DeleteAll();
  const Failures& failures() const { return failures_; }

 private:
  using Stop = std::atomic<bool>;
  // Threads that run until `stop`.
  void InjectLoop(const Stop& stop);
  void PeerLoop(const Stop& stop);
  void TakeLoop(const Stop& stop);
  void WatchLoop(const Stop& stop);

  bool InjectOnce(Slot& slot, uint32_t number);
  void PeersOnce(uint32_t number);
  bool TakeAll();
  void CheckList(const TunnelList& list);
  StatsSnapshot Stats() { return *lab_.manager->Stats({}); }
  // False when `done` does not come true in a minute.
  bool Await(const char* what, const std::function<bool()>& done);

  Failures failures_;
  Ledger ledger_{failures_};
  Holders holders_{failures_};
  Alarm alarm_;
  Lab lab_{kWorkers};
  std::vector<std::unique_ptr<Client>> clients_;
  std::atomic<uint64_t> delivered_{0}, lists_{0};
  uint64_t taken_ = 0;
  Latencies wake_times_;
};

Torture::Torture() {
  lab_.wire.SetSink(
      [this](size_t, std::span<const uint8_t> packet, const SendRoute& route) {
        ledger_.CheckSent(packet, route);
      });
  const auto& slots = ledger_.slots();
  for (size_t c = 0; c < kClients; ++c) {
    clients_.push_back(std::make_unique<Client>(
        Client::World{*lab_.manager, holders_, failures_, alarm_},
        std::vector<Slot*>{slots[c].get(), slots[c + kClients].get()}, c + 1));
    clients_.back()->CreateKeepers();
  }
}

bool Torture::InjectOnce(Slot& slot, uint32_t number) {
  // Counted first: it may be sent before Inject() has returned.
  slot.injected.fetch_add(1, std::memory_order_relaxed);
  if (lab_.tun.Inject(slot.name, number % kWorkers,
                      InnerPacket(static_cast<uint16_t>(slot.index), number))) {
    return true;
  }
  slot.injected.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

void Torture::InjectLoop(const Stop& stop) {
  for (uint32_t number = 0; !stop.load(std::memory_order_relaxed); ++number) {
    for (const auto& slot : ledger_.slots()) InjectOnce(*slot, number);
    std::this_thread::sleep_for(microseconds(200));
  }
}

void Torture::PeersOnce(uint32_t number) {
  for (const encap::Mode mode : {encap::Mode::kGre, encap::Mode::kGif}) {
    const size_t keys = mode == encap::Mode::kGre ? Place::kKeys : 1;
    for (size_t n = 0; n < Place::kRemotes * keys; ++n) {
      const Place place{n % Place::kRemotes, n / Place::kRemotes};
      encap::EncapConfig config =
          GreConfig("peer", place.remote, place.key_value()).encap;
      config.mode = mode;
      // Tunnels with sequence numbers drop it and count it: out_of_order.
      const auto inner = InnerPacket(Ledger::PlaceTag(mode, place), number);
      if (lab_.wire.Deliver(FromPeer(config, inner))) delivered_.fetch_add(1);
    }
  }
}

void Torture::PeerLoop(const Stop& stop) {
  for (uint32_t number = 0; !stop.load(std::memory_order_relaxed); ++number) {
    PeersOnce(number);
    std::this_thread::sleep_for(microseconds(400));
  }
}

bool Torture::TakeAll() {
  bool any = false;
  for (const auto& slot : ledger_.slots()) {
    for (int n = 0; n < 64; ++n) {
      const auto packet = lab_.tun.Take(slot->name, milliseconds(0));
      if (!packet) break;
      ledger_.CheckReceived(*slot, packet->bytes);
      ++taken_;
      any = true;
    }
  }
  return any;
}

void Torture::TakeLoop(const Stop& stop) {
  while (!stop.load(std::memory_order_relaxed)) {
    if (!TakeAll()) std::this_thread::sleep_for(microseconds(500));
  }
}

void Torture::CheckList(const TunnelList& list) {
  std::map<std::string, std::string> holder;  // by identity
  for (const TunnelView& view : list.tunnels) {
    const encap::EncapConfig& e = view.config.encap;
    const std::string place = e.local.ToString() + " " + e.remote.ToString();
    const std::string key = e.input_key ? std::to_string(*e.input_key) : "none";
    const auto add = [&](const std::string& identity) {
      const auto [it, added] = holder.emplace(identity, view.config.name);
      if (!added) {
        failures_.Add("List shows " + identity + " twice: " + it->second +
                      " and " + view.config.name);
      }
    };
    if (encap::IsGre(e.mode)) {
      add("47 " + place + " " + key);
    } else {
      add("4 " + place);
      add("41 " + place);
    }
  }
  for (const auto& slot : ledger_.slots()) {
    const bool there = std::any_of(
        list.tunnels.begin(), list.tunnels.end(),
        [&](const TunnelView& v) { return v.config.name == slot->name; });
    if (slot->keeper && !there) failures_.Add("List lacks " + slot->name);
  }
}

// Readers see each moment; an operator looks at the lock and interrupts.
void Torture::WatchLoop(const Stop& stop) {
  std::mt19937 random(77);
  uint64_t revision = 0;
  while (!stop.load(std::memory_order_relaxed)) {
    const TunnelList list = lab_.manager->List();
    CheckList(list);
    if (list.revision < revision) failures_.Add("the revision went back");
    revision = list.revision;
    lists_.fetch_add(1, std::memory_order_relaxed);
    const ConfigLockInfo info = lab_.manager->LockInfo();
    if (random() % 32 == 0 && info.holder) {
      (void)lab_.manager->InterruptLock(info.holder->id).ok();
    } else if (random() % 32 == 0 && !info.waiters.empty()) {
      const auto& waiter = info.waiters[random() % info.waiters.size()];
      (void)lab_.manager->InterruptLock(waiter.id).ok();
    }
    std::this_thread::sleep_for(microseconds(300));
  }
}

void Torture::RunLoad() {
  Stop stop_clients{false}, stop_traffic{false};
  WakeMeter meter;
  std::vector<std::thread> traffic, clients;
  traffic.emplace_back([&] { InjectLoop(stop_traffic); });
  traffic.emplace_back([&] { PeerLoop(stop_traffic); });
  traffic.emplace_back([&] { TakeLoop(stop_traffic); });
  traffic.emplace_back([&] { WatchLoop(stop_traffic); });
  for (auto& client : clients_) {
    clients.emplace_back([&client, &stop_clients] {
      while (!stop_clients.load(std::memory_order_relaxed)) client->Step();
    });
  }
  // A machine that has much else to do gets more time to come as far.
  const SteadyTime start = SteadyNow();
  const auto changes = [&] {
    uint64_t sum = 0;
    for (const auto& client : clients_) sum += client->changes();
    return sum;
  };
  while (!failures_.any() && (Since(start) < seconds(LoadSeconds()) ||
                              (changes() < kLeastChanges &&
                               Since(start) < 4 * seconds(LoadSeconds())))) {
    std::this_thread::sleep_for(milliseconds(10));
  }
  stop_clients.store(true);
  for (std::thread& thread : clients) thread.join();
  stop_traffic.store(true);
  for (std::thread& thread : traffic) thread.join();
  wake_times_ = meter.Stop();
}

bool Torture::Await(const char* what, const std::function<bool()>& done) {
  const SteadyTime end = SteadyNow() + seconds(60);
  while (!done()) {
    if (SteadyNow() > end) {
      ADD_FAILURE() << "waited in vain: " << what;
      return false;
    }
    TakeAll();
    std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
}

// No packet of a keeper is lost uncounted, however often it was paused,
// detached and moved while packets waited in its device.
void Torture::Drain() {
  for (auto& client : clients_) client->Finish();
  Await("keepers have sent or dropped all that they were given", [&] {
    const auto totals = TransmitTotals(Stats());
    for (const auto& slot : ledger_.slots()) {
      if (!slot->keeper) continue;
      const auto it = totals.find(slot->name);
      if (it == totals.end() || it->second != slot->injected.load()) {
        return false;
      }
    }
    return true;
  });
  Await("the workers have received all that was delivered", [&] {
    uint64_t received = 0;
    for (const WorkerCounters& worker : Stats().workers) {
      received += worker.receive_packets;
    }
    return received == delivered_.load();
  });
  // A pause waits until the batches under way have ended, the last one too.
  const std::string& name = ledger_.slots()[0]->name;
  EXPECT_TRUE(lab_.manager->Pause({}, name, {}).ok());
  EXPECT_TRUE(lab_.manager->Resume({}, name, {}).ok());
  Await("worker counters, wire and checks agree on what was sent", [&] {
    uint64_t sent = 0, noted = 0;
    for (const WorkerCounters& worker : Stats().workers) {
      sent += worker.transmit_packets;
    }
    for (const auto& slot : ledger_.slots()) noted += slot->sent.load();
    return sent == noted && sent == lab_.wire.sent();
  });
}

// With nothing else going on, in = out + drops, both ways and exactly.
void Torture::CheckSumsAtRest() {
  constexpr uint64_t kRounds = 50;
  const StatsSnapshot before = Stats();
  uint64_t noted_before = 0, noted_after = 0;
  for (const auto& slot : ledger_.slots()) noted_before += slot->sent.load();
  std::map<std::string, uint64_t> injected;
  for (uint32_t n = 0; n < kRounds; ++n) {
    for (const auto& slot : ledger_.slots()) {
      if (InjectOnce(*slot, n)) ++injected[slot->name];
    }
  }
  auto expected = TransmitTotals(before);
  for (const auto& [name, count] : injected) expected[name] += count;
  Await("tunnels at rest send all",
        [&] { return TransmitTotals(Stats()) == expected; });
  for (const auto& slot : ledger_.slots()) noted_after += slot->sent.load();
  EXPECT_EQ(noted_after - noted_before, kRounds * before.tunnels.size());

  const uint64_t delivered_before = delivered_.load();
  for (uint32_t n = 0; n < kRounds; ++n) PeersOnce(n);
  const uint64_t delivered = delivered_.load() - delivered_before;
  EXPECT_EQ(delivered,
            kRounds * (Place::kRemotes * Place::kKeys + Place::kRemotes));
  Await("every packet received is counted once", [&] {
    return ReceiveTotal(Stats()) == ReceiveTotal(before) + delivered;
  });
}

void Torture::CheckLeaveTimes() {
  Latencies leave;
  for (const auto& client : clients_) {
    const Latencies& times = client->leave_times();
    leave.insert(leave.end(), times.begin(), times.end());
  }
  const auto p99 = Percentile99(leave), wake = Percentile99(wake_times_);
  std::printf(
      "left after cancel, deadline or timeout: %zu, p99 %.3f ms; "
      "wake-up on this machine: p99 %.3f ms\n",
      leave.size(), Milliseconds(p99), Milliseconds(wake));
  EXPECT_GT(leave.size(), 20u);
  EXPECT_LE(p99, milliseconds(50) + 5 * wake);
}

void Torture::CheckCoverage() {
  std::map<std::string, int> outcomes;
  for (const auto& client : clients_) {
    for (const auto& [what, count] : client->outcomes()) {
      outcomes[what] += count;
    }
  }
  for (const auto& [what, count] : outcomes) {
    std::printf("  %-40s %d\n", what.c_str(), count);
  }
  for (const char* what :
       {"create OK", "create ENDPOINT_PAIR_IN_USE", "move OK", "restamp OK",
        "move ENDPOINT_PAIR_IN_USE", "pause OK", "resume OK", "detach OK",
        "attach OK", "up OK", "down OK", "delete OK", "same OK",
        "delete ETAG_MISMATCH"}) {
    EXPECT_GT(outcomes[what], 0) << what;
  }
  std::printf("  lists %llu, sent %llu, delivered %llu, taken %llu\n",
              static_cast<unsigned long long>(lists_.load()),
              static_cast<unsigned long long>(lab_.wire.sent()),
              static_cast<unsigned long long>(delivered_.load()),
              static_cast<unsigned long long>(taken_));
  std::printf("  drops at the end: %s\n", DropsText(Stats()).c_str());
  EXPECT_GT(lists_.load(), 100u);
  EXPECT_GT(lab_.wire.sent(), 1000u);
  EXPECT_GT(taken_, 1000u);
}

void Torture::DeleteAll() {
  for (const TunnelView& view : lab_.manager->List().tunnels) {
    const auto result = lab_.manager->DeleteTunnel({}, view.config.name, {});
    EXPECT_TRUE(result.ok()) << result.status();
  }
  EXPECT_TRUE(lab_.manager->List().tunnels.empty());
  EXPECT_TRUE(lab_.tun.names().empty());
  EXPECT_EQ(lab_.tun.created(), lab_.tun.destroyed());
}

TEST(Torture, ClientsChangeTunnelsUnderTraffic) {
  Torture torture;
  torture.RunLoad();
  if (!torture.failures().any()) {
    torture.Drain();
    torture.CheckSumsAtRest();
    torture.CheckLeaveTimes();
    torture.CheckCoverage();
    torture.DeleteAll();
  }
  for (const std::string& what : torture.failures().list()) {
    ADD_FAILURE() << what;
  }
}

}  // namespace
}  // namespace tunnel
