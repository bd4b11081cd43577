#include "ctl/store/sqlite_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ctl/store/samples_for_test.h"
#include "ctl/store/sqlite.h"
#include "tunnel/base/error.h"

namespace tunnel::ctl {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kKernel[] = "boot/namespace";

class SqliteStoreTest : public testing::Test {
 protected:
  SqliteStoreTest() {
    std::string name = testing::TempDir() + "/store-XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  ~SqliteStoreTest() override { fs::remove_all(directory_); }

  SqliteStore::Loaded Open(const std::string& kernel = kKernel) {
    auto loaded = SqliteStore::Open(directory_, kernel);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return loaded.ok() ? *std::move(loaded) : SqliteStore::Loaded{};
  }
  std::string path() const { return directory_ + "/tunneld.db"; }

  std::string directory_;
};

std::vector<std::string> Names(const StoredState& state) {
  std::vector<std::string> names;
  for (const StoredTunnel& tunnel : state.tunnels) {
    names.push_back(absl::StrCat(tunnel.config.name, "/", tunnel.generation));
  }
  return names;
}

TEST_F(SqliteStoreTest, BeginsEmptyAndPrivate) {
  const auto loaded = Open();
  EXPECT_THAT(loaded.state.tunnels, IsEmpty());
  EXPECT_THAT(loaded.problems, IsEmpty());
  for (const auto& file : fs::directory_iterator(directory_)) {
    struct stat info {};
    ASSERT_EQ(stat(file.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U) << file.path();
  }
}

TEST_F(SqliteStoreTest, KeepsWhatWasCommitted) {
  auto loaded = Open();
  StoreCommit commit;
  commit.put = {FullTunnel("b"), SimpleTunnel("a", 1)};
  commit.request = FullRequest("r1");
  commit.set_pending = true;
  commit.pending = FullPending();
  ASSERT_TRUE(loaded.store->Commit(commit).ok());
  StoredTunnel changed = SimpleTunnel("a", 2);
  changed.generation = 2;
  ASSERT_TRUE(loaded.store->Commit({.put = {changed}}).ok());
  loaded.store.reset();

  loaded = Open();
  EXPECT_THAT(loaded.problems, IsEmpty());
  EXPECT_THAT(Names(loaded.state), ElementsAre("a/2", "b/5"));
  EXPECT_EQ(loaded.state.tunnels[0].config, changed.config);
  EXPECT_EQ(loaded.state.tunnels[1].config, FullConfig("b"));
  EXPECT_EQ(loaded.state.tunnels[1].ifindex, 42U);
  ASSERT_EQ(loaded.state.requests.size(), 1U);
  EXPECT_EQ(loaded.state.requests[0].id, "r1");
  ASSERT_TRUE(loaded.state.pending.has_value());
  EXPECT_EQ(loaded.state.pending->created, FullPending().created);
  ASSERT_TRUE(loaded.store->Commit({.set_pending = true}).ok());
  loaded.store.reset();
  EXPECT_FALSE(Open().state.pending.has_value());
}

TEST_F(SqliteStoreTest, RemembersDevicesUntilTheyAreGone) {
  auto loaded = Open();
  ASSERT_TRUE(loaded.store
                  ->Commit({.put = {SimpleTunnel("a", 1), SimpleTunnel("b", 2),
                                    SimpleTunnel("c", 3)}})
                  .ok());
  // One commit deletes "a" and makes it again with another device.
  StoreCommit commit;
  commit.removed = {{"a", 101, false}, {"b", 102, true}, {"c", 0, false}};
  commit.put = {SimpleTunnel("a", 9)};
  ASSERT_TRUE(loaded.store->Commit(commit).ok());
  loaded.store.reset();
  loaded = Open();
  EXPECT_THAT(Names(loaded.state), ElementsAre("a/1"));
  EXPECT_EQ(loaded.state.tunnels[0].ifindex, 109U);
  ASSERT_EQ(loaded.state.removed.size(), 2U);
  EXPECT_EQ(loaded.state.removed[1].name, "b");
  EXPECT_EQ(loaded.state.removed[1].ifindex, 102U);
  EXPECT_TRUE(loaded.state.removed[1].ethernet);
  loaded.store->DeviceRemoved(loaded.state.removed[0]);
  loaded.store.reset();  // written at the end, if not before
  loaded = Open();
  EXPECT_EQ(loaded.state.removed.size(), 1U);
  loaded.store.reset();
  // After a boot there is nothing to remove, and no index to trust.
  loaded = Open("another boot");
  EXPECT_THAT(loaded.state.removed, IsEmpty());
  EXPECT_EQ(loaded.state.tunnels[0].ifindex, 0U);
  loaded.store.reset();
  EXPECT_THAT(Open().state.removed, IsEmpty());
}

TEST_F(SqliteStoreTest, KeepsTheLastRequestsInTheirOrder) {
  auto loaded = Open();
  for (size_t i = 0; i < kMaxStoredRequests + 3; ++i) {
    StoreCommit commit;
    commit.request = StoredRequest{absl::StrCat("r", i), "f", {}};
    ASSERT_TRUE(loaded.store->Commit(commit).ok());
    if (i != 10) continue;
    loaded.store.reset();  // the order outlives the process
    loaded = Open();
  }
  loaded.store.reset();
  loaded = Open();
  ASSERT_EQ(loaded.state.requests.size(), kMaxStoredRequests);
  EXPECT_EQ(loaded.state.requests.front().id, "r3");
  EXPECT_EQ(loaded.state.requests.back().id,
            absl::StrCat("r", kMaxStoredRequests + 2));
}

TEST_F(SqliteStoreTest, RefusesTheFileOfANewerVersion) {
  Open();
  {
    auto database = Database::Open(path());
    ASSERT_TRUE(database.ok()) << database.status();
    ASSERT_TRUE((*database)->Execute("PRAGMA user_version=7").ok());
    ASSERT_TRUE(
        (*database)->Execute("UPDATE record SET body=x'00' WHERE kind=0").ok());
  }
  const auto refused = SqliteStore::Open(directory_, kKernel);
  EXPECT_EQ(GetReason(refused.status()), Reason::kStoreFailed);
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("has version 7, this tunneld knows 1"));
}

TEST_F(SqliteStoreTest, SaysWhatToDoWhenItCanNotOpen) {
  const auto none = SqliteStore::Open("/nonexistent", kKernel);
  EXPECT_EQ(GetReason(none.status()), Reason::kStoreFailed);
  EXPECT_THAT(std::string(none.status().message()),
              HasSubstr("/nonexistent/tunneld.db: can not open: No such file"));
  fs::create_symlink("/etc/passwd", path());
  EXPECT_EQ(GetReason(SqliteStore::Open(directory_, kKernel).status()),
            Reason::kStoreFailed);
}

// A limit of file sizes that ends within the log.
class FileLimit {
 public:
  explicit FileLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileLimit() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(SqliteStoreTest, FullDiskChangesNothingAndTheNextCommitWorks) {
  auto loaded = Open();
  ASSERT_TRUE(loaded.store->Commit({.put = {SimpleTunnel("a", 1)}}).ok());
  const auto log_size = fs::file_size(path() + "-wal");
  StoreCommit big;
  for (int i = 0; i < 200; ++i) {
    big.put.push_back(FullTunnel(absl::StrCat("t", i)));
  }
  big.request = FullRequest("r1");
  // Each step of the write fails once.
  for (size_t room = 0; room < 45'000; room += 3'000) {
    const FileLimit limit(log_size + room);
    const absl::Status status = loaded.store->Commit(big);
    ASSERT_EQ(GetReason(status), Reason::kStoreFailed) << room << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("File too large"));
    EXPECT_THAT(std::string(status.message()), HasSubstr("try again"));
  }
  ASSERT_TRUE(loaded.store->Commit({.put = {SimpleTunnel("b", 2)}}).ok());
  loaded.store.reset();
  loaded = Open();
  EXPECT_THAT(loaded.problems, IsEmpty());
  EXPECT_THAT(Names(loaded.state), ElementsAre("a/1", "b/1"));
  EXPECT_THAT(loaded.state.requests, IsEmpty());
  ASSERT_TRUE(loaded.store->Commit(big).ok());
  loaded.store.reset();
  EXPECT_EQ(Open().state.tunnels.size(), 202U);
}

}  // namespace
}  // namespace tunnel::ctl
