#include "tests/concurrency/observer.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"

namespace tunnel {

void Observer::Run(const std::atomic<bool>& stop) {
  while (!stop.load(std::memory_order_relaxed)) {
    LookAtTunnels();
    LookAtLock();
    std::this_thread::sleep_for(std::chrono::microseconds(300));
  }
}

void Observer::LookAtTunnels() {
  const size_t oldest = log_.Oldest();
  const TunnelList list = manager_.List();
  CheckList(list);
  if (list.revision < revision_) failures_.Add("the revision went back");
  revision_ = list.revision;
  if (!log_.Was(list, oldest, log_.Newest()))
    failures_.Add("List shows what was at no moment of the call");
  lists_.fetch_add(1, std::memory_order_relaxed);
}

void Observer::LookAtLock() {
  const ConfigLockInfo info = manager_.LockInfo();
  for (const LockParty& waiter : info.waiters) {
    // Numbers are given in the order of arrival.
    if (info.holder && waiter.id < info.holder->id) {
      failures_.Add(absl::StrCat("the lock has gone to ", info.holder->id,
                                 " before ", waiter.id));
    }
  }
  if (random_() % 32 == 0 && info.holder) {
    Interrupt(*info.holder);
  } else if (random_() % 32 == 0 && !info.waiters.empty()) {
    Interrupt(info.waiters[random_() % info.waiters.size()]);
  }
}

void Observer::Interrupt(const LockParty& party) {
  if (Interrupts::Spared(party.operation)) return;
  if (manager_.InterruptLock(party.id).ok())
    interrupts_.Accepted(party.operation);
}

void Observer::CheckList(const TunnelList& list) {
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

}  // namespace tunnel
