#include "ctl/cli/render_lock.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "ctl/cli/duration.h"
#include "ctl/cli/table.h"

namespace tunnel::ctl::cli {
namespace {

using tunnel::v1::LatencyHistogram;

constexpr size_t kBarWidth = 40;

std::string PartyText(const tunnel::v1::LockParty& party) {
  return absl::StrCat("id ", party.id(), " ", party.operation(), " (uid ",
                      party.uid(), ", pid ", party.pid(), ")");
}

uint64_t Samples(const LatencyHistogram& histogram) {
  uint64_t samples = 0;
  for (const uint64_t count : histogram.counts()) samples += count;
  return samples;
}

// "<= 2 ms", "> 10 s" for the last bucket.
std::string BoundText(const LatencyHistogram& histogram, int bucket) {
  const int bounds = histogram.bounds_seconds_size();
  if (bucket < bounds) {
    return absl::StrCat(
        "<= ", DurationText(absl::Seconds(histogram.bounds_seconds(bucket))));
  }
  if (bounds == 0) return "any";
  return absl::StrCat(
      "> ", DurationText(absl::Seconds(histogram.bounds_seconds(bounds - 1))));
}

// The bucket with the sample that `share` of all are not above; -1 for none.
int QuantileBucket(const LatencyHistogram& histogram, double share) {
  const uint64_t samples = Samples(histogram);
  if (samples == 0) return -1;
  const uint64_t rank = std::max<uint64_t>(
      1,
      static_cast<uint64_t>(std::ceil(share * static_cast<double>(samples))));
  uint64_t seen = 0;
  for (int i = 0; i < histogram.counts_size(); ++i) {
    seen += histogram.counts(i);
    if (seen >= rank) return i;
  }
  return histogram.counts_size() - 1;
}

void AddRow(absl::string_view name, const LatencyHistogram& histogram,
            Table* table) {
  const uint64_t samples = Samples(histogram);
  if (samples == 0) {
    table->AddRow({std::string(name), "0", "-", "-", "-", "-"});
    return;
  }
  const auto bound = [&](double share) {
    return BoundText(histogram, QuantileBucket(histogram, share));
  };
  table->AddRow({std::string(name), absl::StrCat(samples),
                 DurationText(absl::Seconds(histogram.sum_seconds() /
                                            static_cast<double>(samples))),
                 bound(0.5), bound(0.99), bound(1)});
}

void AddBars(absl::string_view name, const LatencyHistogram& histogram,
             Table* table) {
  uint64_t most = 1;
  for (const uint64_t count : histogram.counts()) most = std::max(most, count);
  for (int i = 0; i < histogram.counts_size(); ++i) {
    const uint64_t count = histogram.counts(i);
    if (count == 0) continue;
    const size_t width = std::max<size_t>(1, count * kBarWidth / most);
    table->AddRow({std::string(name), BoundText(histogram, i),
                   absl::StrCat(count), std::string(width, '#')});
  }
}

std::string TimesText(const tunnel::v1::ConfigLockState& lock) {
  if (!lock.has_wait() && !lock.has_hold()) return "";
  Table table({"", "COUNT", "MEAN", "P50", "P99", "MAX"});
  AddRow("wait", lock.wait(), &table);
  AddRow("hold", lock.hold(), &table);
  if (Samples(lock.wait()) + Samples(lock.hold()) == 0) return table.Text();
  Table bars({"TIME", "BUCKET", "COUNT", ""});
  AddBars("wait", lock.wait(), &bars);
  AddBars("hold", lock.hold(), &bars);
  return absl::StrCat(table.Text(), bars.Text());
}

}  // namespace

std::string PendingText(const tunnel::v1::PendingApply& pending) {
  return absl::StrCat(pending.id(), " goes back by itself in ",
                      DurationText(FromProto(pending.remaining())), " (",
                      absl::StrJoin(pending.tunnels(), " "), ")");
}

std::string LockText(const tunnel::v1::ConfigLockState& lock) {
  std::string text = "free\n";
  if (lock.has_holder()) {
    text = absl::StrCat("held by ", PartyText(lock.holder()), " for ",
                        DurationText(FromProto(lock.holder().age())), ", step ",
                        lock.step(), "\n");
  }
  for (const tunnel::v1::LockParty& waiter : lock.waiters()) {
    absl::StrAppend(&text, "waiting ", PartyText(waiter), " for ",
                    DurationText(FromProto(waiter.age())), "\n");
  }
  if (lock.has_pending()) {
    absl::StrAppend(&text, "to be confirmed: ", PendingText(lock.pending()),
                    "\n");
  }
  absl::StrAppend(&text, "acquired ", lock.acquired_total(), " times, ",
                  lock.interrupted_total(), " waits interrupted\n");
  return absl::StrCat(text, TimesText(lock));
}

}  // namespace tunnel::ctl::cli
