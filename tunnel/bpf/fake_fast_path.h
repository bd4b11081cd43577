// FakeFastPath: a FastPath that carries nothing and remembers what it was told.
//
// Calls of the manager come under its configuration lock; Read() and the test's
// own functions may come from any thread.

#ifndef TUNNEL_BPF_FAKE_FAST_PATH_H_
#define TUNNEL_BPF_FAKE_FAST_PATH_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tunnel/bpf/fast_path.h"
#include "tunnel/sync/mutex.h"

namespace tunnel {

class FakeFastPath : public FastPath {
 public:
  // A line for each call, in order: "open 100", "prepare 1 via 1 mtu 1500",
  // "out 100 1" (record 1), "out 100 -", "in 192.0.2.2 7 1" (remote, key; in
  // UDP with the port, 192.0.2.2:4754),
  // "forget 192.0.2.2 -", "wait", "close 100", "drop 1" (record), "use port
  // 4754", "leave port 4754", "claim at 1" and "leave 1" (ifindex), "claiming
  // on" and "claiming off".
  std::vector<std::string> TakeCalls() {
    const MutexLock lock(mu_);
    return std::exchange(calls_, {});
  }
  void SetUsable(absl::Status status) {
    const MutexLock lock(mu_);
    usable_ = std::move(status);
  }
  // While it loads, Usable() and AwaitLoaded() wait.
  void SetLoading(bool loading) {
    const MutexLock lock(mu_);
    loading_ = loading;
    loaded_.NotifyAll();
  }
  void SetPrepare(absl::Status status) {
    const MutexLock lock(mu_);
    prepare_ = std::move(status);
  }
  // What Read() gives, of every tunnel.
  void SetCounters(const FastCounters& counters) {
    const MutexLock lock(mu_);
    counters_ = counters;
  }
  // What becomes of super-packets that are given back.
  void SetSend(FastSend result) {
    const MutexLock lock(mu_);
    send_ = result;
  }
  // Bytes of those that were, in order.
  std::vector<size_t> given_back() const {
    const MutexLock lock(mu_);
    return given_back_;
  }
  // Records and tunnels that are there.
  size_t alive() const {
    const MutexLock lock(mu_);
    return alive_;
  }

  absl::Status Usable() override {
    ++usable_calls_;
    const MutexLock lock(mu_);
    while (loading_) loaded_.Wait(mu_);
    return usable_;
  }
  void AwaitLoaded() const override {
    const MutexLock lock(mu_);
    while (loading_) loaded_.Wait(mu_);
  }
  absl::StatusOr<std::unique_ptr<FastTunnel>> Open(uint32_t ifindex,
                                                   size_t) override {
    if (const absl::Status status = Usable(); !status.ok()) return status;
    Note(absl::StrCat("open ", ifindex));
    return std::make_unique<Tunnel>(*this, ifindex);
  }
  void SetInput(const FastInputKey& key, const FastEntry* entry) override {
    Note(absl::StrCat("in ", Text(key), " ", Text(entry)));
  }
  void ForgetInput(const FastInputKey& key) override {
    Note(absl::StrCat("forget ", Text(key)));
  }
  void UseUdpPort(uint16_t port) override {
    Note(absl::StrCat("use port ", port));
  }
  void LeaveUdpPort(uint16_t port) override {
    Note(absl::StrCat("leave port ", port));
  }
  std::shared_ptr<const void> ClaimAt(uint32_t ifindex) override {
    auto claim = claims_[ifindex].lock();
    if (claim == nullptr) {
      Note(absl::StrCat("claim at ", ifindex));
      claim = std::make_shared<Claim>(*this, ifindex);
      claims_[ifindex] = claim;
    }
    return claim;
  }
  void SetClaiming(bool on) override {
    if (std::exchange(claiming_, on) != on)
      Note(on ? "claiming on" : "claiming off");
  }
  void Wait() override { Note("wait"); }

 private:
  struct Entry : FastEntry {
    Entry(FakeFastPath& p, int n) : path(p), number(n) { path.Count(1); }
    ~Entry() override {
      path.Count(-1);
      path.Note(absl::StrCat("drop ", number));
    }
    FakeFastPath& path;
    const int number;
  };

  struct Claim {
    Claim(FakeFastPath& p, uint32_t i) : path(p), ifindex(i) {}
    ~Claim() { path.Note(absl::StrCat("leave ", ifindex)); }
    FakeFastPath& path;
    const uint32_t ifindex;
  };

  class Tunnel : public FastTunnel {
   public:
    Tunnel(FakeFastPath& path, uint32_t ifindex)
        : path_(path), ifindex_(ifindex) {
      path_.Count(1);
    }
    ~Tunnel() override {
      path_.Count(-1);
      path_.Note(absl::StrCat("close ", ifindex_));
    }
    absl::StatusOr<std::unique_ptr<FastEntry>> Prepare(
        const FastRecord& record) override {
      return path_.Prepare(record);
    }
    void SetOutput(const FastEntry* entry) override {
      path_.Note(absl::StrCat("out ", ifindex_, " ", Text(entry)));
    }
    std::string Steer(FastSteering steering,
                      std::span<const int> cpus) override {
      if (steering == FastSteering::kOff) return "off";
      return absl::StrCat(cpus.size(), " cpus");
    }
    FastCounters Read() const override {
      const MutexLock lock(path_.mu_);
      return path_.counters_;
    }
    FastSend Send(size_t,
                  const encap::PacketBuffer& packet) const noexcept override {
      return path_.Send(packet);
    }
    FastTurn Turn(FastDirection) const override { return {}; }
    void SetDone(FastDirection, uint64_t) override {}
    void ForceTurn(FastDirection) override {}

   private:
    FakeFastPath& path_;
    const uint32_t ifindex_;
  };

  static std::string Text(const FastEntry* entry) {
    if (entry == nullptr) return "-";
    return absl::StrCat(static_cast<const Entry*>(entry)->number);
  }
  static std::string Text(const FastInputKey& key) {
    return absl::StrCat(
        key.addresses.remote.ToString(),
        key.udp_port != 0 ? absl::StrCat(":", key.udp_port) : "", " ",
        key.key.has_value() ? absl::StrCat(*key.key) : "-");
  }
  absl::StatusOr<std::unique_ptr<FastEntry>> Prepare(const FastRecord& record) {
    {
      const MutexLock lock(mu_);
      if (!prepare_.ok()) return prepare_;
      ++last_;
    }
    Note(absl::StrCat("prepare ", last_, " via ", record.underlay_ifindex,
                      " mtu ", record.path_mtu));
    return std::make_unique<Entry>(*this, last_);
  }
  FastSend Send(const encap::PacketBuffer& packet) {
    const MutexLock lock(mu_);
    given_back_.push_back(packet.size());
    return send_;
  }
  void Note(std::string call) {
    const MutexLock lock(mu_);
    calls_.push_back(std::move(call));
  }
  void Count(int difference) {
    const MutexLock lock(mu_);
    alive_ += static_cast<size_t>(difference);
  }

  // Guarded by the caller's lock, or TSan says so.
  int usable_calls_ = 0;
  mutable Mutex mu_;
  std::vector<std::string> calls_ ABSL_GUARDED_BY(mu_);
  mutable CondVar loaded_;
  bool loading_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status usable_ ABSL_GUARDED_BY(mu_);
  absl::Status prepare_ ABSL_GUARDED_BY(mu_);
  FastCounters counters_ ABSL_GUARDED_BY(mu_);
  FastSend send_ ABSL_GUARDED_BY(mu_) = FastSend::kRefused;
  std::vector<size_t> given_back_ ABSL_GUARDED_BY(mu_);
  size_t alive_ ABSL_GUARDED_BY(mu_) = 0;
  // By the holder of the configuration lock.
  int last_ = 0;
  std::map<uint32_t, std::weak_ptr<Claim>> claims_;
  bool claiming_ = false;
};

}  // namespace tunnel

#endif  // TUNNEL_BPF_FAKE_FAST_PATH_H_
