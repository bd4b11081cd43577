// WatchTunnels: snapshot, changes, heartbeats, slow readers, the end.

#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/component/daemon.h"

namespace tunnel::ctl {
namespace {

using std::chrono::milliseconds;
using Response = v1::WatchTunnelsResponse;

// One open stream.
struct Watch {
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReader<Response>> reader;

  Watch(v1::TunnelService::Stub& stub, const v1::WatchTunnelsRequest& request) {
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::minutes(1));
    reader = stub.WatchTunnels(&context, request);
  }
  ~Watch() {
    if (reader == nullptr) return;
    context.TryCancel();
    Response rest;
    while (reader->Read(&rest)) {
    }
    reader->Finish();
  }

  // The next event that is no heartbeat.
  Response Next() {
    Response response;
    do {
      if (!reader->Read(&response)) {
        ADD_FAILURE() << "the stream has ended";
        return {};
      }
    } while (response.has_heartbeat());
    return response;
  }

  // Reads what is left.
  grpc::Status Drain() {
    Response rest;
    while (reader->Read(&rest)) {
    }
    const grpc::Status status = reader->Finish();
    reader.reset();
    return status;
  }
};

class WatchTest : public ::testing::Test {
 protected:
  explicit WatchTest(DaemonOptions options = {}) : daemon_(options) {}

  std::unique_ptr<Watch> Open(const v1::WatchTunnelsRequest& request = {}) {
    return std::make_unique<Watch>(daemon_.tunnels(), request);
  }

  v1::TunnelChange Create(const std::string& name, int host) {
    grpc::ClientContext context;
    v1::TunnelChange change;
    const grpc::Status status = daemon_.tunnels().CreateTunnel(
        &context, GreRequest(name, host), &change);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return change;
  }
  void SetTtl(const std::string& name, uint32_t ttl) {
    grpc::ClientContext context;
    v1::UpdateTunnelRequest request;
    request.mutable_tunnel()->set_name(name);
    request.mutable_tunnel()->set_ttl(ttl);
    v1::TunnelChange change;
    ASSERT_TRUE(
        daemon_.tunnels().UpdateTunnel(&context, request, &change).ok());
  }
  void Delete(const std::string& name) {
    grpc::ClientContext context;
    v1::DeleteTunnelRequest request;
    request.set_name(name);
    v1::TunnelChange change;
    ASSERT_TRUE(
        daemon_.tunnels().DeleteTunnel(&context, request, &change).ok());
  }

  TestDaemon daemon_;
};

TEST_F(WatchTest, SnapshotThenSyncedThenChanges) {
  Create("a", 2);
  Create("b", 3);
  auto watch = Open();
  std::vector<std::string> names;
  Response event = watch->Next();
  for (; event.has_added(); event = watch->Next()) {
    names.push_back(event.added().name());
  }
  EXPECT_EQ(names.size(), 2u);
  ASSERT_TRUE(event.has_synced());
  EXPECT_FALSE(event.epoch().empty());
  uint64_t revision = event.revision();

  SetTtl("a", 7);
  event = watch->Next();
  ASSERT_TRUE(event.has_modified()) << event.DebugString();
  EXPECT_EQ(event.modified().name(), "a");
  EXPECT_EQ(event.modified().ttl(), 7u);
  EXPECT_GT(event.revision(), revision);
  revision = event.revision();

  Delete("b");
  event = watch->Next();
  EXPECT_EQ(event.deleted(), "b");
  EXPECT_GT(event.revision(), revision);

  Create("c", 4);
  event = watch->Next();
  ASSERT_TRUE(event.has_added()) << event.DebugString();
  EXPECT_EQ(event.added().name(), "c");
}

TEST_F(WatchTest, ShowsOnlyTheNamesAskedFor) {
  Create("a", 2);
  v1::WatchTunnelsRequest request;
  request.add_names("b");
  Create("b", 3);
  auto watch = Open(request);
  EXPECT_EQ(watch->Next().added().name(), "b");
  EXPECT_TRUE(watch->Next().has_synced());
  SetTtl("a", 9);
  SetTtl("b", 10);
  const Response event = watch->Next();
  EXPECT_EQ(event.modified().name(), "b");
  EXPECT_EQ(event.modified().ttl(), 10u);
}

TEST_F(WatchTest, GoesOnFromARevision) {
  Create("a", 2);
  auto first = Open();
  EXPECT_TRUE(first->Next().has_added());
  const Response synced = first->Next();
  ASSERT_TRUE(synced.has_synced());
  first.reset();
  SetTtl("a", 11);
  v1::WatchTunnelsRequest request;
  request.set_epoch(synced.epoch());
  request.set_since_revision(synced.revision());
  auto second = Open(request);
  const Response event = second->Next();
  ASSERT_TRUE(event.has_modified()) << event.DebugString();
  EXPECT_EQ(event.modified().ttl(), 11u);

  request.set_epoch("another run");
  const grpc::Status expired = Open(request)->Drain();
  EXPECT_EQ(expired.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(ReasonOf(expired), "REVISION_EXPIRED");
  request.clear_epoch();
  EXPECT_EQ(ReasonOf(Open(request)->Drain()), "FIELD_INVALID");
}

TEST_F(WatchTest, SlowReaderGetsTheLastStateAndDelaysNobody) {
  Create("a", 2);
  auto watch = Open();
  EXPECT_TRUE(watch->Next().has_added());
  ASSERT_TRUE(watch->Next().has_synced());
  // More than flow control lets through unread: 2,000 events of some 300 bytes.
  constexpr int kChanges = 2000;
  for (int i = 0; i < kChanges; ++i) SetTtl("a", 1 + i % 200);
  SetTtl("a", 255);
  int events = 0;
  uint64_t revision = 0;
  uint32_t ttl = 0;
  while (ttl != 255) {
    const Response event = watch->Next();
    ASSERT_TRUE(event.has_modified());
    EXPECT_GT(event.revision(), revision);
    revision = event.revision();
    ttl = event.modified().ttl();
    ++events;
  }
  EXPECT_LE(events, kChanges + 1);
  RecordProperty("events", events);
}

TEST_F(WatchTest, EndsWithShuttingDown) {
  Create("a", 2);
  std::vector<std::unique_ptr<Watch>> watches;
  for (int i = 0; i < 50; ++i) {
    watches.push_back(Open());
    EXPECT_TRUE(watches.back()->Next().has_added());
    EXPECT_TRUE(watches.back()->Next().has_synced());
  }
  auto stopped = std::async(std::launch::async, [&] { daemon_.Stop(); });
  for (auto& watch : watches) {
    const grpc::Status status = watch->Drain();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(ReasonOf(status), "SHUTTING_DOWN");
  }
  stopped.get();
}

TEST_F(WatchTest, CancelledWatchMakesRoom) {
  for (int i = 0; i < 300; ++i) {
    auto watch = Open();
    EXPECT_TRUE(watch->Next().has_synced());
  }
  Create("a", 2);
  auto watch = Open();
  EXPECT_TRUE(watch->Next().has_added());
}

class FastWatchTest : public WatchTest {
 protected:
  static DaemonOptions Options() {
    DaemonOptions options;
    options.server.watch.heartbeat = milliseconds(80);
    options.server.watch.max_streams = 3;
    return options;
  }
  FastWatchTest() : WatchTest(Options()) {}
};

TEST_F(FastWatchTest, BeatsWhenNothingHappens) {
  const auto start = std::chrono::steady_clock::now();
  auto watch = Open();
  const Response synced = watch->Next();
  ASSERT_TRUE(synced.has_synced());
  for (int i = 1; i <= 3; ++i) {
    Response beat;
    ASSERT_TRUE(watch->reader->Read(&beat));
    EXPECT_TRUE(beat.has_heartbeat()) << beat.DebugString();
    EXPECT_EQ(beat.epoch(), synced.epoch());
    EXPECT_EQ(beat.revision(), synced.revision());
    // A reader that was held up may find two of them at once.
    EXPECT_GT(std::chrono::steady_clock::now() - start, i * milliseconds(60));
  }
}

TEST_F(FastWatchTest, RefusesOneWatchTooMany) {
  std::vector<std::unique_ptr<Watch>> watches;
  for (int i = 0; i < 3; ++i) {
    watches.push_back(Open());
    EXPECT_TRUE(watches.back()->Next().has_synced());
  }
  const grpc::Status status = Open()->Drain();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonOf(status), "WATCH_LIMIT");
}

}  // namespace
}  // namespace tunnel::ctl
