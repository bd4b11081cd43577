// Capture: what a client gets, who may, how it ends.

#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "tests/component/daemon.h"

namespace tunnel::ctl {
namespace {

using Response = v1::CaptureResponse;

// An IPv4 packet from 10.9.0.1 to 10.9.0.2 with a payload of eight bytes that
// is found again.
std::vector<uint8_t> InnerPacket(const std::string& payload) {
  std::vector<uint8_t> p = {0x45, 0,    0,  28, 0, 0, 0,  0, 64, 253,
                            0x65, 0xd1, 10, 9,  0, 1, 10, 9, 0,  2};
  for (const char c : payload) p.push_back(static_cast<uint8_t>(c));
  return p;
}

struct Call {
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReader<Response>> reader;

  Call(v1::TelemetryService::Stub& stub, const v1::CaptureRequest& request) {
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::minutes(1));
    reader = stub.Capture(&context, request);
  }
  // Reads to the end; all bytes, and the last message.
  grpc::Status Drain(std::string* file, Response* last) {
    Response message;
    while (reader->Read(&message)) {
      *file += message.pcapng();
      *last = message;
    }
    return reader->Finish();
  }
  grpc::Status Drain() {
    std::string file;
    Response last;
    return Drain(&file, &last);
  }
};

class CaptureTest : public ::testing::Test {
 protected:
  CaptureTest() {
    grpc::ClientContext context;
    v1::TunnelChange change;
    EXPECT_TRUE(daemon_.tunnels()
                    .CreateTunnel(&context, GreRequest("g0"), &change)
                    .ok());
    generation_ = change.tunnel().generation();
  }

  static v1::CaptureRequest Request(v1::CaptureSide side = v1::CAPTURE_OUTER,
                                    uint64_t count = 0) {
    v1::CaptureRequest request;
    request.set_name("g0");
    request.set_side(side);
    request.set_count(count);
    return request;
  }
  std::unique_ptr<Call> Open(const v1::CaptureRequest& request = Request()) {
    return std::make_unique<Call>(daemon_.telemetry(), request);
  }
  // Its tap is in place, and the file has begun.
  std::string Begin(Call& call) {
    Response first;
    EXPECT_TRUE(call.reader->Read(&first));
    EXPECT_EQ(first.packets(), 0u);
    return first.pcapng();
  }
  void Send(const std::string& payload = "captured") {
    EXPECT_TRUE(daemon_.tun().Inject("g0", 0, InnerPacket(payload)));
  }

  TestDaemon daemon_;
  uint64_t generation_ = 0;
};

TEST_F(CaptureTest, GivesTheFileUntilTheCountAndChangesNothing) {
  auto call = Open(Request(v1::CAPTURE_OUTER, 2));
  std::string file = Begin(*call);
  ASSERT_GE(file.size(), 4u);
  EXPECT_EQ(file.substr(0, 4), "\x0a\x0d\x0d\x0a");
  for (int i = 0; i < 3; ++i) Send();
  Response last;
  EXPECT_EQ(ReasonOf(call->Drain(&file, &last)), "OK");
  EXPECT_EQ(last.packets(), 2u);
  EXPECT_EQ(last.lost(), 0u);
  EXPECT_NE(file.find("g0 outer"), std::string::npos);
  size_t found = 0;
  for (size_t at = file.find("captured"); at != std::string::npos;
       at = file.find("captured", at + 1))
    ++found;
  EXPECT_EQ(found, 2u);
  grpc::ClientContext context;
  v1::GetTunnelRequest get;
  get.set_name("g0");
  v1::Tunnel tunnel;
  ASSERT_TRUE(daemon_.tunnels().GetTunnel(&context, get, &tunnel).ok());
  EXPECT_EQ(tunnel.generation(), generation_);
}

// A packet is seen when the underlay has taken it, not when it was queued.
TEST_F(CaptureTest, OuterSideHasOnlyWhatTheUnderlayTook) {
  auto call = Open(Request(v1::CAPTURE_OUTER, 1));
  std::string file = Begin(*call);
  const uint64_t sent = daemon_.wire().sent();
  daemon_.wire().FailSends(2, encap::DropReason::kQueueFull);
  for (const char* payload : {"refused1", "refused2", "captured"})
    Send(payload);
  Response last;
  EXPECT_EQ(ReasonOf(call->Drain(&file, &last)), "OK");
  EXPECT_EQ(daemon_.wire().sent(), sent + 1);
  EXPECT_NE(file.find("captured"), std::string::npos);
  EXPECT_EQ(file.find("refused"), std::string::npos);
}

// So that an answer, which another worker may get before the call that sends
// has returned, is the younger one.
TEST_F(CaptureTest, TimeOfWhatIsSentIsThatBeforeItIsSent) {
  const auto now_ns = [] {
    return std::chrono::system_clock::now().time_since_epoch() /
           std::chrono::nanoseconds(1);
  };
  const auto sent_ns = std::make_shared<std::atomic<int64_t>>(0);
  daemon_.wire().SetSink([=](size_t, std::span<const uint8_t>,
                             const SendRoute&) { sent_ns->store(now_ns()); });
  const auto capture =
      daemon_.manager().StartCapture({}, "g0", {.outer = true});
  ASSERT_TRUE(capture.ok()) << capture.status();
  const int64_t begin_ns = now_ns();
  Send();
  int64_t captured_ns = 0;
  while ((*capture)->Read(1, 1, [&](const CapturedPacket& packet) {
    captured_ns = static_cast<int64_t>(packet.time_ns);
  }) == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_GE(captured_ns, begin_ns);
  EXPECT_LE(captured_ns, sent_ns->load());
}

TEST_F(CaptureTest, DropsComeWithTheirReason) {
  auto call = Open(Request(v1::CAPTURE_DROP, 1));
  std::string file = Begin(*call);
  daemon_.wire().FailSends(1, encap::DropReason::kNoRoute);
  Send();
  Response last;
  EXPECT_EQ(ReasonOf(call->Drain(&file, &last)), "OK");
  EXPECT_NE(file.find("drop: no_route"), std::string::npos);
}

TEST_F(CaptureTest, FifthOfATunnelIsRefusedUntilOneEnds) {
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 4; ++i) {
    calls.push_back(Open());
    Begin(*calls.back());
  }
  const grpc::Status refused = Open()->Drain();
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonOf(refused), "CAPTURE_LIMIT");
  calls.front()->context.TryCancel();
  EXPECT_EQ(calls.front()->Drain().error_code(), grpc::StatusCode::CANCELLED);
  std::unique_ptr<Call> again;
  Response first;
  for (bool open = false; !open;) {
    again = Open();
    open = again->reader->Read(&first);
    if (open) break;
    EXPECT_EQ(ReasonOf(again->reader->Finish()), "CAPTURE_LIMIT");
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  calls.front() = std::move(again);
  for (const auto& call : calls) {
    call->context.TryCancel();
    call->Drain();
  }
}

TEST_F(CaptureTest, ItsHandOffIsInTheStatisticsWhileItRuns) {
  auto call = Open();
  Begin(*call);
  const auto stats = [this](const std::string& name) {
    grpc::ClientContext context;
    v1::GetStatsRequest request;
    if (!name.empty()) request.add_names(name);
    v1::GetStatsResponse reply;
    EXPECT_TRUE(daemon_.telemetry().GetStats(&context, request, &reply).ok());
    return reply;
  };
  for (int i = 0; i < 10; ++i) Send();
  for (int packets = 0; packets < 10;) {
    Response message;
    ASSERT_TRUE(call->reader->Read(&message));
    packets = static_cast<int>(message.packets());
  }
  const v1::GetStatsResponse now = stats("g0");
  ASSERT_EQ(now.captures_size(), 1);
  EXPECT_EQ(now.captures(0).tunnel(), "g0");
  EXPECT_EQ(now.captures(0).capture(), 1u);
  const v1::HandoffStats& handoff = now.captures(0).handoff();
  EXPECT_EQ(handoff.packets(), 10u);
  EXPECT_EQ(handoff.pushes(), 10u);
  EXPECT_EQ(handoff.depth(), 0u);
  EXPECT_GE(handoff.visits(), 1u);
  EXPECT_LE(handoff.visits(), 10u);
  EXPECT_GE(handoff.depth_sum(), 10u);
  EXPECT_EQ(handoff.wakeups(), 0u);
  EXPECT_EQ(handoff.drops(), 0u);
  grpc::ClientContext context;
  v1::GetMetricsResponse metrics;
  ASSERT_TRUE(daemon_.telemetry().GetMetrics(&context, {}, &metrics).ok());
  EXPECT_NE(metrics.text().find("tunnel_handoff_packets_total{tunnel=\"g0\","
                                "capture=\"1\"} 10"),
            std::string::npos)
      << metrics.text();
  call->context.TryCancel();
  call->Drain();
  while (stats("").captures_size() != 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

// What came before the end is delivered, though the stream moves some hundred
// times a second only; and it ends though packets go on.
TEST_F(CaptureTest, EndsInOrderBehindWhatHadBeenCaptured) {
  for (int round = 0; round < 20; ++round) {
    auto call = Open();
    Response first;
    ASSERT_TRUE(call->reader->Read(&first));
    const uint64_t sent = daemon_.wire().sent();
    for (int i = 0; i < 50; ++i) Send();
    const auto captured = [this] {
      grpc::ClientContext context;
      v1::GetStatsResponse reply;
      daemon_.telemetry().GetStats(&context, {}, &reply);
      for (const v1::CaptureStats& capture : reply.captures())
        if (capture.handoff().packets() >= 50) return true;
      return false;
    };
    while (daemon_.wire().sent() < sent + 50 || !captured())
      std::this_thread::yield();
    grpc::ClientContext context;
    v1::EndCaptureRequest request;
    request.set_capture(first.capture());
    v1::EndCaptureResponse response;
    EXPECT_EQ(
        ReasonOf(daemon_.telemetry().EndCapture(&context, request, &response)),
        "OK");
    std::string file;
    Response last;
    EXPECT_EQ(ReasonOf(call->Drain(&file, &last)), "OK");
    EXPECT_EQ(last.packets(), 50u);
  }
  grpc::ClientContext context;
  v1::EndCaptureResponse response;
  EXPECT_TRUE(daemon_.telemetry().EndCapture(&context, {}, &response).ok());
}

TEST_F(CaptureTest, EndsWithTheTunnel) {
  auto call = Open();
  Begin(*call);
  grpc::ClientContext context;
  v1::DeleteTunnelRequest request;
  request.set_name("g0");
  v1::TunnelChange change;
  ASSERT_TRUE(daemon_.tunnels().DeleteTunnel(&context, request, &change).ok());
  const grpc::Status status = call->Drain();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ReasonOf(status), "TUNNEL_NOT_FOUND");
}

TEST_F(CaptureTest, EndsWithTheDaemon) {
  auto call = Open();
  Begin(*call);
  std::thread stop([this] { daemon_.Stop(); });
  EXPECT_EQ(ReasonOf(call->Drain()), "SHUTTING_DOWN");
  stop.join();
}

TEST_F(CaptureTest, BadRequestsListTheirFields) {
  v1::CaptureRequest request;
  request.set_side(static_cast<v1::CaptureSide>(9));
  request.set_snap_length(15);
  EXPECT_EQ(BadFieldsOf(Open(request)->Drain()),
            (std::vector<std::string>{"side", "name", "snap_length"}));
  request = Request();
  request.set_name("g1");
  EXPECT_EQ(ReasonOf(Open(request)->Drain()), "TUNNEL_NOT_FOUND");
}

}  // namespace
}  // namespace tunnel::ctl
