// What a client holds against the outcome of each call.

#include <chrono>

#include "absl/strings/str_cat.h"
#include "tests/concurrency/client.h"
#include "tests/concurrency/faulty_platform.h"
#include "tunnel/base/error.h"

namespace tunnel {

void Client::Note(const char* verb, const Call& call,
                  const absl::Status& status, bool changed) {
  const SteadyTime now = SteadyNow();
  const bool injected = FaultScript::Disarm();
  calls_.fetch_add(1, std::memory_order_relaxed);
  CheckOrder(verb, call, changed && status.ok());
  if (changed && status.ok())
    world_.interrupts.Completed(call.context.operation);
  const auto reason = GetReason(status);
  ++outcomes_[absl::StrCat(verb, " ",
                           reason        ? ReasonName(*reason)
                           : status.ok() ? "OK"
                                         : "?")];
  if (injected) {
    // The cause, and nothing that came after it.
    if (status != FaultScript::Error(call.fail_at)) {
      world_.failures.Add(absl::StrCat(
          verb, ": want ", FaultScript::Error(call.fail_at).message(), ", got ",
          status.ToString()));
    }
    return;
  }
  if (status.ok()) {
    changes_.fetch_add(1, std::memory_order_relaxed);
    change_times_.push_back(now - call.begun);
  }
  if (status.ok() || reason == Reason::kConfigLockInterrupted ||
      reason == Reason::kEndpointPairInUse) {
    return;
  }
  if (reason == Reason::kCancelled && call.rung != nullptr) {
    const std::chrono::nanoseconds at(
        call.rung->at_ns.load(std::memory_order_acquire));
    leave_times_.push_back(now.time_since_epoch() - at);
  } else if (reason == Reason::kDeadlineExceeded && call.context.deadline) {
    leave_times_.push_back(now - *call.context.deadline);
  } else if (reason == Reason::kConfigLockBusy && call.options.lock_timeout) {
    leave_times_.push_back(now - call.begun - *call.options.lock_timeout);
  } else {
    world_.failures.Add(absl::StrCat(verb, ": ", status.ToString()));
  }
}

void Client::CheckOrder(const char* verb, const Call& call, bool changed) {
  for (size_t i = 0; i < call.slots.size(); ++i) {
    const Slot& slot = *call.slots[i];
    const size_t now = world_.log.LastChange(slot.name);
    if (!changed) {
      if (now != call.before[i]) Fail(slot, verb, "has changed the store");
      continue;
    }
    // What had returned before it began comes before it.
    if (now == call.before[i] || now <= call.oldest)
      Fail(slot, verb, "is not in the store, or out of order");
    world_.log.Returned(now);
  }
}

void Client::CheckPairInUse(const Slot& slot, Place wanted, const Call& call,
                            const absl::Status& status) {
  const auto detail = GetErrorDetail(status);
  if (!detail || detail->reason != Reason::kEndpointPairInUse) return;
  const auto& metadata = detail->metadata;
  const auto key = wanted.key_value();
  if (metadata.at("local") != LocalAddress().ToString() ||
      metadata.at("remote") != RemoteAddress(wanted.remote).ToString() ||
      metadata.at("key") != (key ? absl::StrCat(*key) : "none")) {
    Fail(slot, "refusal", "names another pair than the one asked for");
  }
  const std::string& holder = metadata.at("tunnel");
  if (holder == slot.name ||
      !world_.log.Held(holder, Holders::Identities(slot.mode, wanted),
                       call.oldest, world_.log.Newest())) {
    Fail(slot, "refusal", absl::StrCat("names ", holder, ", which had not it"));
  }
}

void Client::Verify(const Slot& slot, const Model& model, const char* verb) {
  const auto view = world_.manager.Get(slot.name);
  if (view.ok() != model.exists) {
    return Fail(slot, verb, model.exists ? "is missing" : "is still there");
  }
  if (!model.exists) return;
  const auto changes = Diff(model.config, view->config);
  if (!(view->config == model.config) || !changes.empty()) {
    Fail(slot, verb,
         absl::StrCat("shows another configuration",
                      changes.empty() ? "" : ", first " + changes[0].field));
  }
  if (view->paused != model.paused || view->detached != model.detached) {
    Fail(slot, verb, "shows another state");
  }
  if (view->generation != model.generation) {
    Fail(slot, verb,
         absl::StrCat("shows generation ", view->generation, ", want ",
                      model.generation));
  }
  VerifyLink(slot, *view, verb);
  if (view->etag != Etag(model.config)) Fail(slot, verb, "shows another etag");
}

void Client::VerifyLink(const Slot& slot, const TunnelView& view,
                        const char* verb) {
  const auto link = world_.links.GetInterface(view.ifindex);
  if (!link || link->mtu != view.config.mtu.value_or(0) ||
      link->tx_queue_len != view.config.txqueuelen ||
      link->up != view.config.admin_up) {
    Fail(slot, verb, "the interface differs from its configuration");
  }
}

void Client::SetHearing(Slot& slot, const Model& model) {
  slot.deaf_from.store(model.Hearing() ? 0 : world_.ledger.peer_number() + 1,
                       std::memory_order_relaxed);
}

void Client::Fail(const Slot& slot, const char* verb, const std::string& what) {
  world_.failures.Add(absl::StrCat(slot.name, " after ", verb, ": ", what));
}

}  // namespace tunnel
