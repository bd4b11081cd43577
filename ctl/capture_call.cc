#include "ctl/capture_call.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "ctl/audit.h"
#include "ctl/faults.h"
#include "ctl/pcapng.h"
#include "ctl/status_map.h"
#include "ctl/version.h"
#include "encap/drop_reason.h"
#include "tunnel/base/clock.h"
#include "tunnel/base/error.h"
#include "tunnel/base/log.h"

namespace tunnel::ctl {
namespace {

using Response = v1::CaptureResponse;
using Layer = CapturedPacket::Layer;

constexpr size_t kMessageBytes = 256 * 1024;  // of packets

// Lists every fault of `request`.
CaptureOptions ReadOptions(const v1::CaptureRequest& request, Faults& faults) {
  CaptureOptions options;
  const v1::CaptureSide side = request.side();
  const bool all = side == v1::CAPTURE_ALL;
  options.outer =
      all || side == v1::CAPTURE_OUTER || side == v1::CAPTURE_SIDE_UNSPECIFIED;
  options.inner = all || side == v1::CAPTURE_INNER;
  options.drops = all || side == v1::CAPTURE_DROP;
  if (!v1::CaptureSide_IsValid(side)) {
    faults.AddInvalid("side", absl::StrCat(static_cast<int>(side),
                                           "; want outer, inner, drop or all"));
  }
  if (request.name().empty()) faults.AddInvalid("name", "missing");
  if (request.snap_length() == 0) return options;
  options.snap_length = request.snap_length();
  if (options.snap_length < kMinSnapLength ||
      options.snap_length > kMaxSnapLength) {
    faults.AddInvalid(
        "snap_length",
        absl::StrCat(options.snap_length, "; want ", kMinSnapLength, " to ",
                     kMaxSnapLength, ", or 0 for whole packets"));
  }
  return options;
}

// The file as far as it has been made: an interface is described when its first
// packet comes, since some readers take files of one link type alone.
class File {
 public:
  File(std::string tunnel, const CaptureOptions& options, bool ethernet)
      : tunnel_(std::move(tunnel)), options_(options), ethernet_(ethernet) {}

  std::string Begin() {
    std::string out = PcapngSection(absl::StrCat("tunneld ", kVersion));
    // Whose packets may come first is known where one side alone is asked for.
    if (options_.outer && !options_.inner) Describe(Layer::kOuter, out);
    if (options_.inner && !options_.outer) Describe(Layer::kInner, out);
    return out;
  }

  void Add(const CapturedPacket& packet, std::string& out) {
    Interface& interface = Describe(packet.layer, out);
    ++interface.packets;
    std::string comment;
    if (packet.drop != encap::DropReason::kNone) {
      comment = absl::StrCat("drop: ",
                             std::string(encap::DropReasonName(packet.drop)));
    }
    out += PcapngPacketBlock(
        {.interface = *interface.number,
         .time_ns = packet.time_ns,
         .outbound = packet.transmit,
         .length = packet.length,
         .bytes = absl::MakeSpan(packet.bytes.data(), packet.bytes.size()),
         .comment = comment});
  }

  // What was lost is of no interface in particular: it stands at the first.
  std::string End(uint64_t lost) {
    std::string out;
    for (const Interface& interface : interfaces_) {
      if (!interface.number) continue;
      const bool first = *interface.number == 0;
      out += PcapngStatistics(*interface.number, RealtimeNs(),
                              interface.packets, first ? lost : 0);
    }
    return out;
  }

 private:
  struct Interface {
    std::optional<uint32_t> number;
    uint64_t packets = 0;
  };

  Interface& Describe(Layer layer, std::string& out) {
    Interface& interface = interfaces_[layer == Layer::kInner];
    if (interface.number) return interface;
    interface.number = count_++;
    const bool inner = layer == Layer::kInner;
    out += PcapngInterface(
        absl::StrCat(tunnel_, inner ? " inner" : " outer"),
        inner && ethernet_ ? LinkType::kEthernet : LinkType::kRawIp,
        options_.snap_length);
    return interface;
  }

  const std::string tunnel_;
  const CaptureOptions options_;
  const bool ethernet_;
  Interface interfaces_[2];
  uint32_t count_ = 0;
};

// Keeps itself alive until gRPC is done with it; the hub may hold it longer,
// and then finds it finished.
//
// mu_ guards the state; gRPC is called without it. Whoever sets writing_ or
// finished_ makes the one call to gRPC that goes with it. Nothing is written
// and the call not finished before the job on the pool, which may wait for the
// configuration lock, has ended (ready_).
class CaptureCall final : public grpc::ServerWriteReactor<Response>,
                          public CaptureStream,
                          public std::enable_shared_from_this<CaptureCall> {
 public:
  CaptureCall(const ServiceContext& context, CallContext caller,
              const v1::CaptureRequest& request)
      : context_(context),
        call_(std::move(caller)),
        name_(request.name()),
        left_(request.count() == 0 ? ~uint64_t{0} : request.count()) {
    call_.cancel = stop_.get_token();
    call_.lock_times = &lock_times_;
    options_ = ReadOptions(request, faults_);
  }

  void Start() {
    self_ = shared_from_this();
    absl::Status status = CheckMayChange(context_, "Capture");
    if (status.ok()) status = faults_.ToStatus();
    if (status.ok()) {
      status = context_.pool.Run([self = self_] { self->Open(); });
    }
    if (!status.ok()) Opened(status);
  }

  // ---- from the hub ----

  void Pump() override { Advance(); }

  void End(const absl::Status& status) override {
    stop_.request_stop();
    {
      std::lock_guard lock(mu_);
      if (!end_) end_ = ToGrpcStatus(status);
    }
    Advance();
  }

  void Complete() override {
    {
      std::lock_guard lock(mu_);
      completing_ = true;
    }
    Advance();
  }

  // ---- from gRPC ----

  void OnWriteDone(bool ok) override {
    {
      std::lock_guard lock(mu_);
      writing_ = false;
      current_.clear_pcapng();
    }
    if (ok) {
      Advance();
    } else {
      OnCancel();
    }
  }

  void OnCancel() override {
    End(MakeError(Reason::kCancelled, "capture: the client has gone"));
  }

  void OnDone() override {
    if (id_) context_.captures.Remove(*id_);
    std::unique_ptr<TunnelManager::Capture> capture;  // ends outside the lock
    {
      std::lock_guard lock(mu_);
      capture = std::move(capture_);
    }
    if (capture != nullptr) {
      LogInfo("a capture has ended",
              {{"tunnel", name_},
               {"packets", absl::StrCat(current_.packets())},
               {"lost", absl::StrCat(capture->lost())}});
    }
    capture.reset();
    const std::shared_ptr<CaptureCall> last = std::move(self_);
  }

 private:
  // On the pool.
  void Open() {
    auto capture = context_.manager.StartCapture(call_, name_, options_);
    absl::Status status = capture.status();
    if (status.ok()) {
      const uint64_t id = (*capture)->id();
      status = context_.captures.Add(id, shared_from_this());
      std::lock_guard lock(mu_);
      if (status.ok()) {
        id_ = id;
        current_.set_capture(id);
        file_.emplace(name_, options_, (*capture)->ethernet());
        capture_ = *std::move(capture);
      }
    }
    Opened(status);
  }

  void Opened(const absl::Status& status) {
    AuditAction({.call = call_,
                 .request_id = "",
                 .start = start_,
                 .lock_times = lock_times_},
                status);
    {
      std::lock_guard lock(mu_);
      ready_ = true;
      if (!status.ok() && !end_) end_ = ToGrpcStatus(status);
      if (status.ok()) begin_ = file_->Begin();
    }
    Advance();
  }

  // Starts the next operation, if none is under way and there is one to start:
  // the end, else what has been captured.
  void Advance() {
    std::unique_lock lock(mu_);
    if (!ready_ || writing_ || finished_) return;
    if (!end_) Fill();
    if (!current_.pcapng().empty() || told_lost_ != current_.lost()) {
      told_lost_ = current_.lost();
      writing_ = true;
      lock.unlock();
      StartWrite(&current_);
      return;
    }
    if (!end_) return;
    finished_ = true;
    lock.unlock();
    Finish(*end_);  // written once, before finished_
  }

  // With mu_ held: makes the next message, and sees whether it is the last one.
  void Fill() {
    std::string& out = *current_.mutable_pcapng();
    out = std::exchange(begin_, {});
    const bool gone = capture_->ended();
    if (completing_ && !left_is_final_) {
      left_is_final_ = true;
      // In order of time: what waits now is what comes first.
      left_ = std::min<uint64_t>(left_, capture_->Waiting());
    }
    const uint64_t packets = capture_->Read(
        left_, kMessageBytes,
        [&](const CapturedPacket& packet) { file_->Add(packet, out); });
    left_ -= packets;
    current_.set_packets(current_.packets() + packets);
    current_.set_lost(capture_->lost());
    if (left_ == 0) {
      end_ = grpc::Status::OK;
    } else if (gone && packets == 0) {
      end_ = ToGrpcStatus(
          MakeError(Reason::kTunnelNotFound,
                    absl::StrCat("tunnel \"", name_, "\" has been deleted"),
                    {{"name", name_}, {"closest", ""}}));
    }
    if (end_) out += file_->End(capture_->lost());
  }

  const ServiceContext& context_;
  const std::chrono::steady_clock::time_point start_ =
      std::chrono::steady_clock::now();
  std::stop_source stop_;
  CallContext call_;
  LockTimes lock_times_;
  const std::string name_;
  Faults faults_;
  CaptureOptions options_;
  std::shared_ptr<CaptureCall> self_;
  std::optional<uint64_t> id_;  // in the hub; set before ready_

  std::mutex mu_;
  std::unique_ptr<TunnelManager::Capture> capture_;
  std::optional<File> file_;
  std::string begin_;  // not sent yet
  uint64_t left_;      // packets to give out
  Response current_;   // untouched while writing_
  uint64_t told_lost_ = 0;
  bool completing_ = false;     // Complete() was called
  bool left_is_final_ = false;  // left_ is what had been captured then
  bool ready_ = false;
  bool writing_ = false;
  bool finished_ = false;
  std::optional<grpc::Status> end_;
};

}  // namespace

grpc::ServerWriteReactor<Response>* StartCapture(
    const ServiceContext& context, const grpc::CallbackServerContext& rpc,
    const v1::CaptureRequest& request) {
  auto call = std::make_shared<CaptureCall>(
      context, MakeCallContext(context, rpc, "Capture", request.name()),
      request);
  call->Start();
  return call.get();
}

}  // namespace tunnel::ctl
