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
//   - what went into a device came out or was counted as dropped;
//   - nothing is received between the return of detach or down and the call
//   that
//     undoes it;
//   - no packet is sent with a configuration that the store does not have;
//   - each call, and each list of tunnels, fits a moment between its begin and
//     its return in one order of all changes (CommitLog).
// Any call to devices, links or the store may fail. TORTURE_SECONDS or
// TORTURE_MOVES say how long, TORTURE_SEED repeats the choices of a run.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "tests/concurrency/client.h"
#include "tests/concurrency/commit_log.h"
#include "tests/concurrency/interrupts.h"
#include "tests/concurrency/lab.h"
#include "tests/concurrency/latency.h"
#include "tests/concurrency/ledger.h"
#include "tests/concurrency/observer.h"
#include "tests/concurrency/watchdog.h"
#include "tunnel/base/clock.h"

namespace tunnel {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr size_t kClients = 8, kWorkers = 2;
constexpr uint64_t kLeastChanges = 400;
// Nothing that goes on takes so long, on a busy machine too.
constexpr seconds kStall{20};

// TORTURE_MOVES: as many changes of an identity in place of some seconds.
uint64_t WantedMoves() {
  const char* text = std::getenv("TORTURE_MOVES");
  return text == nullptr ? 0 : std::strtoull(text, nullptr, 0);
}

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

  bool InjectOnce(Slot& slot, uint32_t number);
  void PeersOnce();
  bool TakeAll();
  StatsSnapshot Stats() { return *lab_.manager->Stats({}); }
  void AwaitLoad();
  uint64_t Sum(uint64_t (Client::*figure)() const) const;
  // False when `done` does not come true in a while.
  bool Await(const char* what, const std::function<bool()>& done);

  Failures failures_;
  Ledger ledger_{failures_};
  Holders holders_{failures_};
  Alarm alarm_;
  Interrupts interrupts_{failures_};
  CommitLog log_{ledger_, failures_};
  Lab lab_{kWorkers, 256, &log_};
  Observer observer_{*lab_.manager, ledger_,   log_,
                     interrupts_,   failures_, Seed()};
  std::vector<std::unique_ptr<Client>> clients_;
  std::atomic<uint64_t> delivered_{0};
  uint64_t taken_ = 0;
};

Torture::Torture() {
  lab_.wire.SetSink(
      [this](size_t, std::span<const uint8_t> packet, const SendRoute& route) {
        // A worker that is taken off its CPU in the middle of a batch, for a
        // tenth of its time however fast the machine is.
        thread_local SteadyTime back = SteadyNow();
        if (Since(back) > milliseconds(9)) {
          std::this_thread::sleep_for(milliseconds(1));
          back = SteadyNow();
        }
        ledger_.CheckSent(packet, route);
      });
  const auto& slots = ledger_.slots();
  for (size_t c = 0; c < kClients; ++c) {
    clients_.push_back(std::make_unique<Client>(
        Client::World{*lab_.manager, holders_, failures_, alarm_, ledger_, log_,
                      interrupts_, lab_.links},
        std::vector<Slot*>{slots[c].get(), slots[c + kClients].get()},
        Seed() + c + 1));
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

void Torture::PeersOnce() {
  for (const encap::Mode mode : {encap::Mode::kGre, encap::Mode::kGif}) {
    const size_t keys = mode == encap::Mode::kGre ? Place::kKeys : 1;
    for (size_t n = 0; n < Place::kRemotes * keys; ++n) {
      const Place place{n % Place::kRemotes, n / Place::kRemotes};
      encap::EncapConfig config =
          GreConfig("peer", place.remote, place.key_value()).encap;
      config.mode = mode;
      // Tunnels with sequence numbers drop it and count it: out_of_order.
      const auto inner =
          InnerPacket(Ledger::PlaceTag(mode, place), ledger_.NextPeerNumber());
      if (lab_.wire.Deliver(FromPeer(config, inner))) delivered_.fetch_add(1);
    }
  }
}

void Torture::PeerLoop(const Stop& stop) {
  while (!stop.load(std::memory_order_relaxed)) {
    PeersOnce();
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

void Torture::RunLoad() {
  Stop stop_clients{false}, stop_traffic{false};
  std::vector<std::thread> traffic, clients;
  traffic.emplace_back([&] { InjectLoop(stop_traffic); });
  traffic.emplace_back([&] { PeerLoop(stop_traffic); });
  traffic.emplace_back([&] { TakeLoop(stop_traffic); });
  traffic.emplace_back([&] { observer_.Run(stop_traffic); });
  for (auto& client : clients_) {
    clients.emplace_back([&client, &stop_clients] {
      while (!stop_clients.load(std::memory_order_relaxed)) client->Step();
    });
  }
  {
    const Watchdog watchdog([this] { return Sum(&Client::calls); }, kStall);
    AwaitLoad();
    stop_clients.store(true);
    for (std::thread& thread : clients) thread.join();
  }
  stop_traffic.store(true);
  for (std::thread& thread : traffic) thread.join();
}

uint64_t Torture::Sum(uint64_t (Client::*figure)() const) const {
  uint64_t sum = 0;
  for (const auto& client : clients_) sum += (client.get()->*figure)();
  return sum;
}

// A machine that has much else to do gets more time to come as far.
void Torture::AwaitLoad() {
  const SteadyTime start = SteadyNow();
  const uint64_t wanted_moves = WantedMoves();
  const auto more = [&] {
    if (failures_.any()) return false;
    if (wanted_moves != 0) return Sum(&Client::moves) < wanted_moves;
    return Since(start) < seconds(LoadSeconds()) ||
           (Sum(&Client::changes) < kLeastChanges &&
            Since(start) < 4 * seconds(LoadSeconds()));
  };
  while (more()) {
    std::this_thread::sleep_for(milliseconds(10));
  }
  std::printf("changes %zu, of them to another identity %zu, in %.1f s\n",
              size_t{Sum(&Client::changes)}, size_t{Sum(&Client::moves)},
              Milliseconds(Since(start)) / 1000);
}

bool Torture::Await(const char* what, const std::function<bool()>& done) {
  const SteadyTime end = SteadyNow() + kStall;
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
  const bool sent_all =
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
  if (!sent_all) return;
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
  for (uint64_t n = 0; n < kRounds; ++n) PeersOnce();
  const uint64_t delivered = delivered_.load() - delivered_before;
  EXPECT_EQ(delivered,
            kRounds * (Place::kRemotes * Place::kKeys + Place::kRemotes));
  Await("every packet received is counted once", [&] {
    return ReceiveTotal(Stats()) == ReceiveTotal(before) + delivered;
  });
}

void Torture::CheckLeaveTimes() {
  Latencies leave, change;
  const auto append = [](Latencies& all, const Latencies& some) {
    all.insert(all.end(), some.begin(), some.end());
  };
  for (const auto& client : clients_) {
    append(leave, client->leave_times());
    append(change, client->change_times());
  }
  std::printf(
      "left after cancel, deadline or timeout: %zu, in %.3f ms (p99 %.3f); a "
      "change takes %.3f ms (p99 %.3f)\n",
      leave.size(), Milliseconds(Median(leave)),
      Milliseconds(Percentile99(leave)), Milliseconds(Median(change)),
      Milliseconds(Percentile99(change)));
  EXPECT_GT(leave.size(), 20u);
  // Most of a change is the wait for the lock: who stayed until its turn would
  // take half as long.
  EXPECT_LE(10 * Median(leave), Median(change));
}

void Torture::CheckCoverage() {
  std::map<std::string, int> outcomes;
  for (const auto& client : clients_) {
    for (const auto& [what, count] : client->outcomes()) {
      outcomes[what] += count;
    }
  }
  int injected = 0;
  for (const auto& [what, count] : outcomes) {
    if (what.ends_with("NETLINK_ERROR")) injected += count;
    std::printf("  %-40s %d\n", what.c_str(), count);
  }
  for (const char* what :
       {"create OK", "create ENDPOINT_PAIR_IN_USE", "move OK", "restamp OK",
        "move ENDPOINT_PAIR_IN_USE", "pause OK", "resume OK", "detach OK",
        "attach OK", "up OK", "down OK", "delete OK", "same OK", "swap OK",
        "take over OK", "delete ETAG_MISMATCH"}) {
    EXPECT_GT(outcomes[what], 0) << what;
  }
  EXPECT_GT(injected, 0);
  std::printf("  lists %zu, sent %zu, delivered %zu, taken %zu\n",
              size_t{observer_.lists()}, size_t{lab_.wire.sent()},
              size_t{delivered_.load()}, size_t{taken_});
  std::printf("  drops at the end: %s\n", DropsText(Stats()).c_str());
  EXPECT_GT(observer_.lists(), 100u);
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
  if (!torture.failures().any()) torture.Drain();
  if (!torture.failures().any() && !testing::Test::HasFailure()) {
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
