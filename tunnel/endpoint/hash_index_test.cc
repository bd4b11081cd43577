#include "tunnel/endpoint/hash_index.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "tunnel/sync/qsbr.h"

namespace tunnel {
namespace {

struct Cell {
  uint64_t value = 0;
};

TEST(HashIndexTest, RefusesASecondInsertAndKeepsTheFirst) {
  HashIndex<int, Cell> index;
  ASSERT_NE(index.Insert(1, Cell{10}), nullptr);
  EXPECT_EQ(index.Insert(1, Cell{11}), nullptr);
  EXPECT_EQ(index.Find(1)->value, 10u);
  EXPECT_EQ(index.size(), 1u);
}

TEST(HashIndexTest, EraseUnlinksAndReclaimFrees) {
  HashIndex<int, Cell> index;
  index.Insert(1, Cell{10});
  EXPECT_TRUE(index.Erase(1));
  EXPECT_FALSE(index.Erase(1));
  EXPECT_EQ(index.Find(1), nullptr);
  EXPECT_TRUE(index.HasRetired());
  index.Reclaim();
  EXPECT_FALSE(index.HasRetired());
}

TEST(HashIndexTest, ValuesStayWhereTheyAreWhenTheIndexGrows) {
  HashIndex<int, Cell> index;
  std::map<int, Cell*> where;
  for (int i = 0; i < 5000; ++i) {
    where[i] = index.Insert(i, Cell{static_cast<uint64_t>(i)});
    if (i % 7 == 0) index.Reclaim();
  }
  for (const auto& [key, cell] : where) {
    ASSERT_EQ(index.Find(key), cell);
    ASSERT_EQ(cell->value, static_cast<uint64_t>(key));
  }
}

TEST(HashIndexTest, AgreesWithAMapOverRandomOperations) {
  std::mt19937 random(7);
  HashIndex<int, Cell> index;
  std::map<int, uint64_t> model;
  for (int step = 0; step < 200000; ++step) {
    const int key = random() % 600;
    if (random() % 2 == 0) {
      const bool added =
          index.Insert(key, Cell{static_cast<uint64_t>(step)}) != nullptr;
      ASSERT_EQ(added, model.emplace(key, step).second);
    } else {
      ASSERT_EQ(index.Erase(key), model.erase(key) == 1);
    }
    if (random() % 16 == 0) index.Reclaim();
    ASSERT_EQ(index.size(), model.size());
  }
  for (int key = 0; key < 600; ++key) {
    const Cell* cell = index.Find(key);
    const auto it = model.find(key);
    ASSERT_EQ(cell != nullptr, it != model.end());
    if (cell != nullptr) {
      ASSERT_EQ(cell->value, it->second);
    }
  }
}

// Readers search while one writer adds, erases, grows and frees: a key that is
// never erased is always found, and a value found is always that of its key.
TEST(HashIndexTest, ReadersSeeWholeEntriesWhileTheWriterWorks) {
  constexpr int kFixed = 100;
  constexpr int kKeys = 2000;
  Qsbr qsbr(2);
  HashIndex<int, Cell> index;
  for (int i = 0; i < kFixed; ++i)
    index.Insert(i, Cell{static_cast<uint64_t>(i) * 3});
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> faults{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < 2; ++r) {
    readers.emplace_back([&, r] {
      std::mt19937 random(r);
      while (!stop.load(std::memory_order_relaxed)) {
        const ReadSection section(qsbr.reader(r));
        for (int i = 0; i < 32; ++i) {
          const int key = random() % kKeys;
          const Cell* cell = index.Find(key);
          if (cell == nullptr ? key < kFixed
                              : cell->value != static_cast<uint64_t>(key) * 3) {
            faults.fetch_add(1, std::memory_order_relaxed);
          }
        }
      }
    });
  }
  std::mt19937 random(99);
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 60; ++i) {
      const int key = kFixed + random() % (kKeys - kFixed);
      if (random() % 3 != 0) {
        index.Insert(key, Cell{static_cast<uint64_t>(key) * 3});
      } else {
        index.Erase(key);
      }
    }
    qsbr.Wait();
    index.Reclaim();
  }
  stop.store(true, std::memory_order_relaxed);
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(faults.load(), 0u);
}

}  // namespace
}  // namespace tunnel
