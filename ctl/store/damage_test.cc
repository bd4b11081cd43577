// Files that lost or changed bytes: what is sound comes back as it was, what is
// not is named, the file is kept, and nothing is forgotten silently.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "absl/strings/str_cat.h"
#include "ctl/store/log_check.h"
#include "ctl/store/rebuild.h"
#include "ctl/store/samples_for_test.h"
#include "ctl/store/sqlite_store.h"

namespace tunnel::ctl {
namespace {

namespace fs = std::filesystem;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kKernel[] = "boot/namespace";

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void WriteFile(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

using Tunnels = std::map<std::string, EndpointConfig>;

Tunnels TunnelsOf(const StoredState& state) {
  Tunnels tunnels;
  for (const StoredTunnel& tunnel : state.tunnels) {
    tunnels[tunnel.config.name] = tunnel.config;
  }
  return tunnels;
}

class DamageTest : public testing::Test {
 protected:
  DamageTest() {
    std::string name = testing::TempDir() + "/damage-XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  ~DamageTest() override { fs::remove_all(directory_); }

  // A directory with these files and nothing else.
  std::string Place(const std::string& file, const std::string& log) {
    const std::string place = directory_ + "/case";
    fs::remove_all(place);
    fs::create_directory(place);
    WriteFile(place + "/tunneld.db", file);
    if (!log.empty()) WriteFile(place + "/tunneld.db-wal", log);
    return place;
  }

  // The tunnels that a start with these files finds; `problems` counts what it
  // tells. The second start has the same ones and nothing to tell but that the
  // damaged file is still there, and the store can be written.
  Tunnels Start(const std::string& file, const std::string& log,
                size_t& problems) {
    const std::string place = Place(file, log);
    auto first = SqliteStore::Open(place, kKernel);
    EXPECT_TRUE(first.ok()) << first.status();
    if (!first.ok()) return {};
    const Tunnels tunnels = TunnelsOf(first->state);
    problems = first->problems.size();
    EXPECT_EQ(fs::exists(place + "/tunneld.db.damaged-1"), problems != 0);
    EXPECT_TRUE(
        first->store->Commit({.put = {SimpleTunnel("probe", 5000)}}).ok());
    first->store.reset();
    auto second = SqliteStore::Open(place, kKernel);
    EXPECT_TRUE(second.ok()) << second.status();
    EXPECT_THAT(second->problems, IsEmpty());
    EXPECT_EQ(second->earlier.size(), problems == 0 ? 0U : 1U);
    Tunnels again = TunnelsOf(second->state);
    EXPECT_EQ(again.erase("probe"), 1U);
    EXPECT_EQ(again, tunnels);
    return tunnels;
  }

  std::string directory_;
};

TEST_F(DamageTest, AnyByteOfTheFile) {
  StoreCommit commit;
  for (int i = 0; i < 40; ++i) {
    commit.put.push_back(FullTunnel(absl::StrCat("t", i)));
  }
  commit.put.push_back(SimpleTunnel("s", 1));
  {
    auto loaded = SqliteStore::Open(directory_, kKernel);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    ASSERT_TRUE(loaded->store->Commit(commit).ok());
  }
  const std::string file = ReadFile(directory_ + "/tunneld.db");
  const size_t all = commit.put.size();
  ASSERT_GT(file.size(), 4 * 4096U);
  size_t damaged = 0, lost = 0;
  // All of the header, and a byte in each 397 of the rest.
  for (size_t at = 0; at < file.size(); at += at < 120 ? 1 : 397) {
    std::string bytes = file;
    bytes[at] = static_cast<char>(bytes[at] ^ (at % 2 == 0 ? 0xff : 0x01));
    size_t problems = 0;
    const Tunnels tunnels = Start(bytes, "", problems);
    for (const auto& [name, config] : tunnels) {
      ASSERT_EQ(config,
                name == "s" ? SimpleTunnel("s", 1).config : FullConfig(name))
          << "byte " << at;
    }
    ASSERT_TRUE(tunnels.size() == all || problems != 0)
        << "byte " << at << ": silently lost " << all - tunnels.size();
    damaged += problems != 0 ? 1 : 0;
    lost += all - tunnels.size();
    if (HasFailure()) FAIL() << "byte " << at;
  }
  EXPECT_GT(damaged, 50U);
  EXPECT_GT(lost, 0U);
}

TEST_F(DamageTest, WhatIsNoDatabaseAtAll) {
  for (const std::string& bytes :
       {std::string(10'000, 'x'), std::string(4096, '\0'), std::string("x")}) {
    size_t problems = 0;
    EXPECT_THAT(Start(bytes, "", problems), IsEmpty());
    EXPECT_GT(problems, 0U);
  }
  size_t problems = 0;
  EXPECT_THAT(Start("", "", problems), IsEmpty());
  EXPECT_EQ(problems, 0U);  // an empty file is an empty database
}

// File and log after each of a row of commits, as a power cut would leave them.
class LogTest : public DamageTest {
 protected:
  LogTest() {
    auto loaded = SqliteStore::Open(directory_, kKernel);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    Tunnels now;
    for (uint32_t i = 0; i <= kCommits; ++i) {
      if (i > 0) {
        StoreCommit commit;
        const std::string name = absl::StrCat("t", i % 4);
        commit.put = {SimpleTunnel(name, i), SimpleTunnel("every", i)};
        if (i == 5) commit.removed = {{"t3", 103, false}};
        EXPECT_TRUE(loaded->store->Commit(commit).ok());
        for (const StoredDevice& device : commit.removed) {
          now.erase(device.name);
        }
        for (const StoredTunnel& tunnel : commit.put) {
          now[tunnel.config.name] = tunnel.config;
        }
      }
      states_.push_back(now);
      ends_.push_back(ReadFile(directory_ + "/tunneld.db-wal").size());
    }
    file_ = ReadFile(directory_ + "/tunneld.db");
    log_ = ReadFile(directory_ + "/tunneld.db-wal");
  }

  // Which commit it is that ended with these tunnels; -1: a mix.
  int Which(const Tunnels& tunnels) const {
    for (size_t i = states_.size(); i-- > 0;) {
      if (states_[i] == tunnels) return static_cast<int>(i);
    }
    return -1;
  }

  static constexpr uint32_t kCommits = 8;
  std::vector<Tunnels> states_;
  std::vector<size_t> ends_;  // of the log, bytes
  std::string file_, log_;
};

TEST_F(LogTest, CutAnywhereLeavesOneOfTheCommits) {
  ASSERT_GT(ends_.back(), ends_.front());
  for (size_t length = 0; length <= log_.size(); length += 1009) {
    size_t problems = 0;
    const Tunnels tunnels = Start(file_, log_.substr(0, length), problems);
    int wanted = 0;
    while (wanted < static_cast<int>(kCommits) && ends_[wanted + 1] <= length) {
      ++wanted;
    }
    ASSERT_EQ(Which(tunnels), wanted)
        << length << " bytes of the log, " << tunnels.size() << " tunnels";
    ASSERT_EQ(problems, 0U) << length;
    if (HasFailure()) FAIL() << length << " bytes of the log";
  }
  for (uint32_t i = 0; i <= kCommits; ++i) {
    size_t problems = 0;
    EXPECT_EQ(Which(Start(file_, log_.substr(0, ends_[i]), problems)),
              static_cast<int>(i));
    EXPECT_EQ(problems, 0U);
  }
}

TEST_F(LogTest, DamageWithinItIsTold) {
  for (size_t at = 0; at < log_.size(); at += at < 40 ? 1 : 611) {
    std::string bytes = log_;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    size_t problems = 0;
    const int which = Which(Start(file_, bytes, problems));
    ASSERT_GE(which, 0) << "byte " << at << ": a mix";
    // The very last commit may be one that was not finished.
    ASSERT_TRUE(problems != 0 || which >= static_cast<int>(kCommits) - 1)
        << "byte " << at << ": silently back at commit " << which;
    if (HasFailure()) FAIL() << "byte " << at;
  }
}

TEST_F(DamageTest, RebuildThatWasInterruptedIsFinished) {
  // The new file is complete, the old one not yet moved.
  {
    auto loaded = SqliteStore::Open(directory_, kKernel);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    ASSERT_TRUE(loaded->store->Commit({.put = {SimpleTunnel("a", 1)}}).ok());
  }
  const std::string path = directory_ + "/tunneld.db";
  fs::rename(path, path + ".rebuilt");
  WriteFile(path, "damaged");
  WriteFile(path + "-wal", "its log");
  for (const bool log_moved : {false, true}) {
    const std::string place = Place("damaged", log_moved ? "" : "its log");
    const std::string there = place + "/tunneld.db";
    fs::copy(path + ".rebuilt", there + ".rebuilt");
    if (log_moved) WriteFile(there + ".damaged-1-wal", "its log");
    auto loaded = SqliteStore::Open(place, kKernel);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(TunnelsOf(loaded->state).size(), 1U);
    EXPECT_EQ(ReadFile(there + ".damaged-1"), "damaged");
    EXPECT_EQ(ReadFile(there + ".damaged-1-wal"), "its log");
    EXPECT_EQ(loaded->earlier.size(), 1U);
  }
}

}  // namespace
}  // namespace tunnel::ctl
