#include "tunnel/bpf/linux_fast_path.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"
#include "tunnel/base/log.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/bpf/eligibility.h"

namespace tunnel {
namespace {

absl::Status Full(const char* what) {
  return MakeError(Reason::kTunnelLimit,
                   absl::StrCat("the fast path has no ", what, " left"));
}

absl::Status Refused(const char* what, int error) {
  return MakeError(Reason::kKernelFeatureMissing,
                   absl::StrCat(what, ": ", std::strerror(error)));
}

void LogIfRefused(int error, const char* what) {
  if (error == 0) return;
  LogError(what, {{"cause", std::strerror(error)}});
}

absl::StatusOr<std::shared_ptr<const KernelObject>> LoadObject() {
  return KernelObject::Load();
}

}  // namespace

class LinuxFastPath::Entry : public FastEntry {
 public:
  Entry(LinuxFastPath& path, Tunnel& tunnel, uint32_t slot,
        std::shared_ptr<Attachment> underlay)
      : path_(path),
        tunnel_(tunnel),
        slot_(slot),
        underlay_(std::move(underlay)) {}
  ~Entry() override { path_.slots_.GiveBack(slot_); }
  Tunnel& tunnel() const { return tunnel_; }
  uint32_t slot() const { return slot_; }

 private:
  LinuxFastPath& path_;
  Tunnel& tunnel_;
  const uint32_t slot_;
  const std::shared_ptr<Attachment> underlay_;
};

class LinuxFastPath::Tunnel : public FastTunnel {
 public:
  Tunnel(LinuxFastPath& path, uint32_t id, uint32_t device,
         Attachment attachment)
      : path_(path),
        id_(id),
        device_(device),
        attachment_(std::move(attachment)) {}
  ~Tunnel() override {
    SetOutput(nullptr);
    path_.tunnels_.GiveBack(id_);
  }

  absl::StatusOr<std::unique_ptr<FastEntry>> Prepare(
      const FastRecord& record) override {
    return path_.Prepare(*this, id_, device_, record);
  }

  void SetOutput(const FastEntry* entry) override {
    const KernelObject& object = *path_.object_;
    if (entry != nullptr) {
      if (entered_out_) {
        path_.replaced_ = true;
      } else {
        Begin(kFpOut);
      }
      const uint32_t slot = static_cast<const Entry*>(entry)->slot();
      const int error = object.SetOutput(device_, slot);
      entered_out_ = error == 0;
      if (error == 0) return;
      LogIfRefused(error, "a tunnel can not take the fast path out");
    }
    entered_out_ = false;
    if (object.RemoveOutput(device_) == 0) path_.replaced_ = true;
  }

  // One more key, or one less, leads to it.
  void AddInput() {
    if (inputs_++ == 0) Begin(kFpIn);
  }
  void RemoveInput() { --inputs_; }

  std::string Steer(FastSteering steering, std::span<const int> cpus) override {
    return path_.steering_.Set(device_, steering, cpus);
  }

  FastCounters Read() const override {
    const fp_counter_block sum = path_.object_->ReadCounters(id_);
    return {.transmit_packets = sum.transmit_packets,
            .transmit_bytes = sum.transmit_bytes,
            .receive_packets = sum.receive_packets,
            .receive_bytes = sum.receive_bytes,
            .send_errors = sum.send_errors,
            .inner_write_errors = sum.inner_write_errors,
            .transmit_passed = sum.transmit_passed,
            .last_receive_ns = sum.last_receive_ns};
  }

  FastSend Send(size_t worker,
                const encap::PacketBuffer& packet) const noexcept override {
    std::vector<FastSender>& senders = *path_.senders_;
    if (worker >= senders.size()) return FastSend::kRefused;
    return senders[worker].Send(device_, packet);
  }

  FastTurn Turn(FastDirection direction) const override {
    const bool out = direction == FastDirection::kOut;
    const uint64_t word =
        Word(out ? kFpOut : kFpIn).load(std::memory_order_acquire);  // [F1]
    const bool entered = out ? entered_out_ : inputs_ != 0;
    return {!entered || (word & 1) != 0, word / 2};
  }
  void SetDone(FastDirection direction, uint64_t done) override {
    fp_turn& turn = path_.object_->turn(
        id_, direction == FastDirection::kOut ? kFpOut : kFpIn);
    std::atomic_ref<__u64>(turn.done)  // has_turned() [F1]
        .store(done, std::memory_order_release);
  }
  void ForceTurn(FastDirection direction) override {
    Word(direction == FastDirection::kOut ? kFpOut : kFpIn)
        .fetch_or(1, std::memory_order_acq_rel);  // has_turned() [F1]
  }

 private:
  std::atomic_ref<__u64> Word(uint32_t direction) const {
    return std::atomic_ref<__u64>(path_.object_->turn(id_, direction).word);
  }
  // Packets are counted from now on, and none is known to be done.
  void Begin(uint32_t direction) {
    fp_turn& turn = path_.object_->turn(id_, direction);
    std::atomic_ref<__u64>(turn.done).store(UINT64_MAX,
                                            std::memory_order_release);
    Word(direction)  // has_turned() [F1]
        .fetch_and(~__u64{1}, std::memory_order_acq_rel);
  }

  LinuxFastPath& path_;
  const uint32_t id_;
  const uint32_t device_;
  const Attachment attachment_;
  bool entered_out_ = false;
  uint32_t inputs_ = 0;
};

std::optional<uint32_t> LinuxFastPath::Numbers::Take() {
  if (!free_.empty()) {
    const uint32_t number = free_.back();
    free_.pop_back();
    return number;
  }
  if (next_ == end_) return std::nullopt;
  return next_++;
}

void LinuxFastPath::Numbers::Settle() {
  free_.insert(free_.end(), waiting_.begin(), waiting_.end());
  waiting_.clear();
}

void LinuxFastPath::Preload() {
  loading_ = std::async(std::launch::async, LoadObject).share();
}

void LinuxFastPath::AwaitLoaded() const {
  if (loading_.valid()) loading_.wait();
}

absl::Status LinuxFastPath::Usable() {
  if (usable_.has_value()) return *usable_;
  const absl::StatusOr<std::shared_ptr<const KernelObject>> loaded =
      loading_.valid() ? loading_.get() : LoadObject();
  usable_ = loaded.status();
  if (!loaded.ok()) {
    LogInfo("the kernel can not carry packets of tunnels",
            {{"cause", std::string(loaded.status().message())}});
    return *usable_;
  }
  object_ = *loaded;
  claims_.Use(*object_);
  for (const auto& [bytes, input] : inputs_) {
    fp_input_key key;
    std::memcpy(&key, bytes.data(), sizeof(key));
    object_->SetInput(key, input.slot);
  }
  object_->SetMode(kFpInputs, !inputs_.empty());
  for (const auto& [port, uses] : udp_ports_) TellUdpPort(port, true);
  if (const int left = SweepFilters(); left != 0) {
    LogInfo("filters of a daemon before have been removed",
            {{"filters", absl::StrCat(left)}});
  }
  return *usable_;
}

absl::StatusOr<std::unique_ptr<FastTunnel>> LinuxFastPath::Open(
    uint32_t ifindex, size_t workers) {
  RETURN_IF_ERROR(Usable());
  if (!senders_.has_value()) OpenSenders(workers);
  const std::optional<uint32_t> id = Take(tunnels_);
  if (!id.has_value()) return Full("tunnel");
  absl::StatusOr<Attachment> attachment = Attachment::Make(
      object_->encap_program(), ifindex, Attachment::Hook::kEgress, via_);
  int error = 0;
  if (attachment.ok()) error = object_->ClearCounters(*id);
  if (!attachment.ok() || error != 0) {
    tunnels_.GiveBack(*id);
    return attachment.ok() ? Refused("counters of the fast path", error)
                           : attachment.status();
  }
  return std::make_unique<Tunnel>(*this, *id, ifindex, *std::move(attachment));
}

void LinuxFastPath::OpenSenders(size_t workers) {
  senders_.emplace();
  for (size_t i = 0; i < std::min<size_t>(workers, kFpMaxSenders); ++i) {
    const auto index = static_cast<uint32_t>(i);
    absl::StatusOr<FastSender> sender =
        FastSender::Open(object_->sender(index));
    int error = 0;
    if (sender.ok()) error = object_->SetSender(sender->cookie(), index);
    if (!sender.ok() || error != 0) {
      LogInfo("super-packets between tunnels take the slow way",
              {{"cause", error != 0 ? std::string(std::strerror(error))
                                    : std::string(sender.status().message())}});
      return;
    }
    senders_->push_back(*std::move(sender));
  }
}

absl::StatusOr<std::shared_ptr<Attachment>> LinuxFastPath::AttachUnderlay(
    uint32_t ifindex) {
  if (const auto known = underlays_.find(ifindex); known != underlays_.end()) {
    if (std::shared_ptr<Attachment> there = known->second.lock()) return there;
  }
  ASSIGN_OR_RETURN(Attachment made,
                   Attachment::Make(object_->decap_program(), ifindex,
                                    Attachment::Hook::kIngress, via_));
  std::erase_if(underlays_, [](const auto& u) { return u.second.expired(); });
  auto shared = std::make_shared<Attachment>(std::move(made));
  underlays_[ifindex] = shared;
  return shared;
}

absl::StatusOr<std::unique_ptr<FastEntry>> LinuxFastPath::Prepare(
    Tunnel& tunnel, uint32_t id, uint32_t device, const FastRecord& record) {
  ASSIGN_OR_RETURN(std::shared_ptr<Attachment> underlay,
                   AttachUnderlay(record.underlay_ifindex));
  const std::optional<uint32_t> slot = Take(slots_);
  if (!slot.has_value()) return Full("slot");
  auto entry =
      std::make_unique<Entry>(*this, tunnel, *slot, std::move(underlay));
  const int error = object_->WriteSlot(*slot, SlotFor(id, device, record));
  if (error != 0) return Refused("a record of the fast path", error);
  return entry;
}

LinuxFastPath::InputBytes LinuxFastPath::BytesOf(const fp_input_key& key) {
  InputBytes bytes;
  std::memcpy(bytes.data(), &key, sizeof(key));
  return bytes;
}

void LinuxFastPath::SetInput(const FastInputKey& key, const FastEntry* entry) {
  const fp_input_key raw = InputKeyFor(key);
  claims_.Add(raw);
  // Only a key with an interface can stand before another one.
  if (entry == nullptr && key.ifindex == 0) return RemoveInput(raw);
  Input& input = inputs_[BytesOf(raw)];
  Tunnel* const before = std::exchange(input.tunnel, nullptr);
  input.slot = 0;
  if (entry != nullptr) {
    const auto* const own = static_cast<const Entry*>(entry);
    input.tunnel = &own->tunnel();
    input.slot = own->slot();
    input.tunnel->AddInput();
  }
  if (before != nullptr) {
    before->RemoveInput();
    replaced_ = true;
  }
  if (object_ == nullptr) return;
  if (inputs_.size() == 1) object_->SetMode(kFpInputs, true);
  if (const int error = object_->SetInput(raw, input.slot); error != 0) {
    LogIfRefused(error, "a tunnel can not take the fast path in");
    RemoveInput(raw);
  }
}

void LinuxFastPath::ForgetInput(const FastInputKey& key) {
  const fp_input_key raw = InputKeyFor(key);
  RemoveInput(raw);
  claims_.Remove(raw);
}

std::shared_ptr<const void> LinuxFastPath::ClaimAt(uint32_t ifindex) {
  std::erase_if(claimants_, [](const auto& c) { return c.second.expired(); });
  std::weak_ptr<Claimant>& known = claimants_[ifindex];
  std::shared_ptr<Claimant> claimant = known.lock();
  if (claimant == nullptr) {
    claimant = std::make_shared<Claimant>();
    known = claimant;
    AttachClaimants();
  }
  return claimant;
}

void LinuxFastPath::SetClaiming(bool on) {
  // Programs that are still being loaded are not waited for.
  using std::chrono::seconds;
  if (on && object_ == nullptr && loading_.valid() &&
      loading_.wait_for(seconds(0)) == std::future_status::ready) {
    static_cast<void>(Usable());
  }
  AttachClaimants();
  claims_.Switch(on);
}

void LinuxFastPath::AttachClaimants() {
  if (object_ == nullptr) return;
  for (const auto& [ifindex, known] : claimants_) {
    const std::shared_ptr<Claimant> claimant = known.lock();
    if (claimant == nullptr || std::exchange(claimant->tried, true)) continue;
    // A device without that hook goes on without it.
    if (auto underlay = AttachUnderlay(ifindex); underlay.ok())
      claimant->underlay = *std::move(underlay);
  }
}

void LinuxFastPath::RemoveInput(const fp_input_key& key) {
  const auto it = inputs_.find(BytesOf(key));
  if (it == inputs_.end()) return;
  if (it->second.tunnel != nullptr) {
    it->second.tunnel->RemoveInput();
    replaced_ = true;
  }
  inputs_.erase(it);
  if (object_ == nullptr) return;
  object_->RemoveInput(key);
  if (inputs_.empty()) object_->SetMode(kFpInputs, false);
}

void LinuxFastPath::UseUdpPort(uint16_t port) {
  if (udp_ports_[port]++ == 0) TellUdpPort(port, true);
}

void LinuxFastPath::LeaveUdpPort(uint16_t port) {
  const auto it = udp_ports_.find(port);
  if (it == udp_ports_.end() || --it->second != 0) return;
  udp_ports_.erase(it);
  TellUdpPort(port, false);
}

void LinuxFastPath::TellUdpPort(uint16_t port, bool used) {
  if (object_ == nullptr) return;
  LogIfRefused(object_->SetUdpPort(port, used),
               "a port of a tunnel in UDP is not known to the fast path");
}

std::optional<uint32_t> LinuxFastPath::Take(Numbers& numbers) {
  std::optional<uint32_t> number = numbers.Take();
  if (number.has_value() || !numbers.any_waiting()) return number;
  WaitForPrograms();
  return numbers.Take();
}

void LinuxFastPath::Wait() {
  if (replaced_) WaitForPrograms();
}

void LinuxFastPath::WaitForPrograms() {
  object_->WaitForPrograms();
  replaced_ = false;
  slots_.Settle();
  tunnels_.Settle();
}

}  // namespace tunnel
