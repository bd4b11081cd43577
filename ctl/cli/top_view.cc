#include "ctl/cli/top_view.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "absl/time/time.h"
#include "ctl/cli/duration.h"

namespace tunnel::ctl::cli {
namespace {

// Of drops by reason, of system calls by kind.
using CountMap = google::protobuf::Map<std::string, uint64_t>;

uint64_t Total(const CountMap& counts) {
  uint64_t total = 0;
  for (const auto& [what, count] : counts) total += count;
  return total;
}

// What a counter has grown by; 0 when it has begun anew.
uint64_t Grown(uint64_t before, uint64_t after) {
  return after > before ? after - before : 0;
}

std::optional<double> Ratio(uint64_t of, uint64_t by) {
  if (by == 0) return std::nullopt;
  return static_cast<double>(of) / static_cast<double>(by);
}

class Rates {
 public:
  explicit Rates(double seconds) : seconds_(seconds) {}

  double operator()(uint64_t before, uint64_t after) const {
    if (seconds_ <= 0) return 0;
    return static_cast<double>(Grown(before, after)) / seconds_;
  }

  TunnelRates Of(const v1::TunnelStats& before,
                 const v1::TunnelStats& after) const {
    TunnelRates rates;
    rates.name = after.name();
    rates.receive = {
        (*this)(before.receive_packets(), after.receive_packets()),
        8 * (*this)(before.receive_bytes(), after.receive_bytes()),
        (*this)(Total(before.receive_drops()), Total(after.receive_drops()))};
    rates.transmit = {
        (*this)(before.transmit_packets(), after.transmit_packets()),
        8 * (*this)(before.transmit_bytes(), after.transmit_bytes()),
        (*this)(Total(before.transmit_drops()), Total(after.transmit_drops()))};
    return rates;
  }

  WorkerRates Of(const v1::WorkerStats& before,
                 const v1::WorkerStats& after) const {
    WorkerRates rates;
    rates.worker = after.worker();
    rates.cpu = after.cpu();
    if (seconds_ > 0) {
      rates.busy = std::clamp(
          (after.busy_seconds() - before.busy_seconds()) / seconds_, 0.0, 1.0);
    }
    rates.receive_packets =
        (*this)(before.receive_packets(), after.receive_packets());
    rates.transmit_packets =
        (*this)(before.transmit_packets(), after.transmit_packets());
    rates.socket_drops = (*this)(before.socket_drops(), after.socket_drops());
    rates.receive_batch =
        Ratio(Grown(before.receive_packets(), after.receive_packets()),
              Grown(before.receive_batches(), after.receive_batches()));
    rates.transmit_batch =
        Ratio(Grown(before.transmit_packets(), after.transmit_packets()),
              Grown(before.transmit_batches(), after.transmit_batches()));
    const uint64_t calls =
        Grown(Total(before.syscalls()), Total(after.syscalls()));
    rates.syscalls = (*this)(0, calls);
    rates.packets_per_syscall =
        Ratio(Grown(before.receive_packets() + before.transmit_packets(),
                    after.receive_packets() + after.transmit_packets()),
              calls);
    return rates;
  }

  HandoffRates Of(const v1::HandoffStats& before,
                  const v1::HandoffStats& after) const {
    const uint64_t packets = Grown(before.packets(), after.packets());
    const uint64_t pushes = Grown(before.pushes(), after.pushes());
    const uint64_t visits = Grown(before.visits(), after.visits());
    HandoffRates rates;
    rates.packets = (*this)(before.packets(), after.packets());
    rates.drops = (*this)(before.drops(), after.drops());
    rates.depth = after.depth();
    rates.capacity = after.capacity();
    rates.high_watermark = after.high_watermark();
    rates.mean_depth =
        Ratio(Grown(before.depth_sum(), after.depth_sum()), visits);
    rates.batch = Ratio(packets, pushes);
    rates.packets_per_wakeup =
        Ratio(packets, Grown(before.wakeups(), after.wakeups()));
    rates.syncs_per_packet = Ratio(2 * (pushes + visits), packets);
    return rates;
  }

 private:
  const double seconds_;
};

void AddWorkers(const Rates& rates, const v1::GetStatsResponse& before,
                const v1::GetStatsResponse& after, TopView& view) {
  for (int i = 0; i < after.workers_size(); ++i) {
    const v1::WorkerStats& now = after.workers(i);
    // Workers live as long as the daemon.
    const v1::WorkerStats& then =
        i < before.workers_size() ? before.workers(i) : now;
    view.workers.push_back(rates.Of(then, now));
    if (now.has_handoff()) {
      view.handoffs.push_back(rates.Of(then.handoff(), now.handoff()));
      view.handoffs.back().worker = now.worker();
    }
  }
}

void AddCaptures(const Rates& rates, const v1::GetStatsResponse& before,
                 const v1::GetStatsResponse& after, TopView& view) {
  std::map<uint64_t, const v1::HandoffStats*> then;
  for (const v1::CaptureStats& capture : before.captures())
    then[capture.capture()] = &capture.handoff();
  for (const v1::CaptureStats& now : after.captures()) {
    const auto found = then.find(now.capture());
    view.handoffs.push_back(rates.Of(
        found == then.end() ? now.handoff() : *found->second, now.handoff()));
    view.handoffs.back().capture = now.capture();
    view.handoffs.back().tunnel = now.tunnel();
  }
}

bool Before(const TunnelRates& a, const TunnelRates& b) {
  const auto key = [](const TunnelRates& t) {
    return std::make_tuple(-(t.receive.bits + t.transmit.bits),
                           -(t.receive.drops + t.transmit.drops));
  };
  return std::make_tuple(key(a), std::cref(a.name)) <
         std::make_tuple(key(b), std::cref(b.name));
}

}  // namespace

TopView TopBetween(const v1::GetStatsResponse& before,
                   const v1::GetStatsResponse& after) {
  TopView view;
  view.seconds =
      std::max(0.0, absl::ToDoubleSeconds(FromProto(after.steady_time()) -
                                          FromProto(before.steady_time())));
  const Rates rates(view.seconds);
  std::map<std::string, const v1::TunnelStats*> then;
  for (const v1::TunnelStats& tunnel : before.tunnels())
    then[tunnel.name()] = &tunnel;
  for (const v1::TunnelStats& tunnel : after.tunnels()) {
    const auto found = then.find(tunnel.name());
    view.tunnels.push_back(
        rates.Of(found == then.end() ? tunnel : *found->second, tunnel));
  }
  std::sort(view.tunnels.begin(), view.tunnels.end(), Before);
  view.unmatched_drops =
      rates(Total(before.unmatched_drops()), Total(after.unmatched_drops()));
  AddWorkers(rates, before, after, view);
  AddCaptures(rates, before, after, view);
  return view;
}

}  // namespace tunnel::ctl::cli
