#include "tunnel/events.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"

namespace tunnel {
namespace {

using Kind = WatchEvent::Kind;

TunnelView View(const std::string& name, uint32_t ifindex = 1) {
  TunnelView view;
  view.config.name = name;
  view.ifindex = ifindex;
  return view;
}

void Put(EventBus& bus, const std::string& name, uint32_t ifindex = 1) {
  bus.Put(View(name, ifindex), std::make_shared<TunnelCounterBlocks>(1));
}

std::vector<std::string> Texts(const std::vector<WatchEvent>& events) {
  static const char* const kNames[] = {"added", "modified", "deleted", "synced",
                                       "expired"};
  std::vector<std::string> texts;
  for (const WatchEvent& event : events) {
    texts.push_back(absl::StrCat(kNames[static_cast<int>(event.kind)], " ",
                                 event.tunnel.config.name));
  }
  return texts;
}

using Strings = std::vector<std::string>;

TEST(EventBusTest, SnapshotThenSyncedThenChanges) {
  EventBus bus;
  Put(bus, "a");
  Put(bus, "b");
  auto watcher = bus.Watch({}, "", 0, [] {});
  ASSERT_TRUE(watcher.ok());
  EXPECT_EQ(Texts((*watcher)->Next(10)),
            (Strings{"added a", "added b", "synced "}));
  Put(bus, "a", 2);
  Put(bus, "c");
  bus.Remove("b");
  EXPECT_EQ(Texts((*watcher)->Next(10)),
            (Strings{"modified a", "added c", "deleted b"}));
  EXPECT_TRUE((*watcher)->Next(10).empty());
}

TEST(EventBusTest, AnEmptyBusIsSyncedAtOnce) {
  EventBus bus;
  auto watcher = bus.Watch({}, "", 0, [] {});
  EXPECT_EQ(Texts((*watcher)->Next(10)), (Strings{"synced "}));
}

TEST(EventBusTest, ASlowWatcherGetsTheLastStateOnce) {
  EventBus bus;
  Put(bus, "a");
  auto watcher = bus.Watch({}, "", 0, [] {});
  (*watcher)->Next(10);
  for (uint32_t i = 2; i < 1000; ++i) Put(bus, "a", i);
  const auto events = (*watcher)->Next(10);
  ASSERT_EQ(Texts(events), (Strings{"modified a"}));
  EXPECT_EQ(events[0].tunnel.ifindex, 999u);
}

TEST(EventBusTest, DeliversADeletionThatHappensWhileTheSnapshotIsRead) {
  EventBus bus;
  Put(bus, "a");
  Put(bus, "b");
  auto watcher = bus.Watch({}, "", 0, [] {});
  EXPECT_EQ(Texts((*watcher)->Next(1)), (Strings{"added a"}));
  bus.Remove("a");
  EXPECT_EQ(Texts((*watcher)->Next(10)),
            (Strings{"added b", "synced ", "deleted a"}));
}

TEST(EventBusTest, ResumesAfterARevisionOfThisEpochOnly) {
  EventBus bus;
  Put(bus, "a");
  const TunnelList list = bus.List();
  Put(bus, "b");
  auto watcher = bus.Watch({}, list.epoch, list.revision, [] {});
  ASSERT_TRUE(watcher.ok());
  EXPECT_EQ(Texts((*watcher)->Next(10)), (Strings{"added b", "synced "}));
  for (const auto& [epoch, since] :
       {std::pair<std::string, uint64_t>{"other", 1},
        {list.epoch, list.revision + 100}}) {
    EXPECT_EQ(GetReason(bus.Watch({}, epoch, since, [] {}).status()),
              Reason::kRevisionExpired);
  }
}

TEST(EventBusTest, ForgottenDeletionsExpireTheWatcherThatMissedThem) {
  EventBus bus;
  Put(bus, "keep");
  auto watcher = bus.Watch({}, "", 0, [] {});
  (*watcher)->Next(10);
  for (int i = 0; i < 5000; ++i) {
    Put(bus, absl::StrCat("t", i));
    bus.Remove(absl::StrCat("t", i));
  }
  EXPECT_EQ(Texts((*watcher)->Next(10)), (Strings{"expired "}));
}

TEST(EventBusTest, FiltersByName) {
  EventBus bus;
  Put(bus, "a");
  Put(bus, "b");
  auto watcher = bus.Watch({"b"}, "", 0, [] {});
  EXPECT_EQ(Texts((*watcher)->Next(10)), (Strings{"added b", "synced "}));
}

TEST(EventBusTest, NamesTheClosest) {
  EventBus bus;
  Put(bus, "gre0");
  Put(bus, "wan-east");
  EXPECT_EQ(bus.Closest("gre1"), "gre0");
  EXPECT_EQ(bus.Closest("wan-eats"), "wan-east");
  EXPECT_EQ(bus.Closest("completely-else"), "");
}

TEST(EventBusTest, DoesNotWakeADestroyedWatcher) {
  EventBus bus;
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    while (!stop.load(std::memory_order_relaxed)) Put(bus, "a");
  });
  for (int i = 0; i < 2000; ++i) {
    auto alive = std::make_unique<std::atomic<int>>(0);
    auto watcher = bus.Watch({}, "", 0, [&alive = *alive] { ++alive; });
    watcher->reset();  // from here on `alive` may go
  }
  stop.store(true, std::memory_order_relaxed);
  writer.join();
}

// Every live watcher ends in the final state, whatever the pace.
TEST(EventBusTest, WatchersConvergeToTheFinalState) {
  EventBus bus;
  std::atomic<bool> done{false};
  std::vector<std::thread> watchers;
  std::vector<std::set<std::string>> finals(4);
  for (size_t w = 0; w < finals.size(); ++w) {
    watchers.emplace_back([&, w] {
      auto watcher = *bus.Watch({}, "", 0, [] {});
      std::set<std::string>& known = finals[w];
      while (true) {
        const bool last = done.load(std::memory_order_acquire);
        const auto events = watcher->Next(1 + w);
        for (const WatchEvent& event : events) {
          if (event.kind == Kind::kAdded || event.kind == Kind::kModified) {
            known.insert(event.tunnel.config.name);
          } else if (event.kind == Kind::kDeleted) {
            known.erase(event.tunnel.config.name);
          }
        }
        if (last && events.empty()) return;
      }
    });
  }
  for (int i = 0; i < 20000; ++i) {
    const std::string name = absl::StrCat("t", i * 7 % 50);
    if (i % 3 == 0) {
      bus.Remove(name);
    } else {
      Put(bus, name);
    }
  }
  done.store(true, std::memory_order_release);
  for (std::thread& watcher : watchers) watcher.join();
  std::set<std::string> wanted;
  for (const TunnelView& view : bus.List().tunnels)
    wanted.insert(view.config.name);
  for (const auto& known : finals) EXPECT_EQ(known, wanted);
}

}  // namespace
}  // namespace tunnel
